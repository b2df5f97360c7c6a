"""Measures what a checkpoint costs, in seconds and bytes, with the replay among it.

Collects with ReMIX and ``experiment=predator_prey``, or ``experiment=smax``, makes few
updates, and saves as often as that config says.

Usage: python benchmarks/checkpoints.py [--task smax/3m] [--threads 2]
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch
from benchmarl.environments import task_config_registry
from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig
from side_by_side import machine

from remix_plugin import get_experiment_config
from remix_plugin.algorithms.remix import RemixConfig

TASKS = ("predator_prey/punish_2", "smax/3m")


def main() -> None:
    """Collect, save and print a row per checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default=TASKS[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(machine("cpu", args.threads))
    print("\n| frames | seconds | checkpoint, MB | new rows, MB | all rows, MB |")
    print("|---" * 5 + "|")
    with tempfile.TemporaryDirectory() as folder:
        experiment = _experiment(args.task, folder)
        save, before = experiment._save_experiment, 0

        def timed_save() -> None:
            nonlocal before
            start = time.perf_counter()
            save()
            seconds = time.perf_counter() - start
            path = experiment.folder_name / "checkpoints"
            checkpoint = path / f"checkpoint_{experiment.total_frames}.pt"
            rows = sum(file.stat().st_size for file in path.glob("replay/*/*"))
            sizes = (checkpoint.stat().st_size, rows - before, rows)
            cells = (f"{size / 1e6:.1f} |" for size in sizes)
            print(f"| {experiment.total_frames:,} | {seconds:.2f} |", *cells)
            before = rows

        experiment._save_experiment = timed_save
        experiment.run()


def _experiment(task: str, folder: str) -> Experiment:
    """ReMIX with one update an iteration, which is not evaluated."""
    config = get_experiment_config(task.split("/")[0])
    config.off_policy_n_optimizer_steps = 1
    config.evaluation = config.checkpoint_at_end = False
    config.save_folder = folder
    model = MlpConfig([128, 128], torch.nn.Linear, activation_class=torch.nn.ReLU)
    return Experiment(
        task=task_config_registry[task].get_from_yaml(),
        algorithm_config=RemixConfig.get_from_yaml(),
        model_config=model,
        seed=0,
        config=config,
    )


if __name__ == "__main__":
    main()
