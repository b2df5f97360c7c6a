"""Trains ReMIX on Predator-Prey, and reads its returns from BenchMARL's json."""

import argparse
import json
from pathlib import Path
from statistics import mean

from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig
from torch import nn

from remix_plugin import get_experiment_config
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.environments.predator_prey.common import PredatorPreyTask


def main(frames: int, results: Path) -> None:
    """Train for so many frames; print the mean return of each evaluation."""
    config = get_experiment_config("predator_prey")
    config.max_n_frames = frames
    config.save_folder = str(results)
    results.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(
        task=PredatorPreyTask.PUNISH_2.get_from_yaml(),
        algorithm_config=RemixConfig.get_from_yaml(),
        model_config=MlpConfig(
            num_cells=[128, 128], layer_class=nn.Linear, activation_class=nn.ReLU
        ),
        seed=0,
        config=config,
    )
    experiment.run()
    for frames_so_far, score in evaluations(experiment.folder_name):
        print(f"{frames_so_far:>9,} frames: mean return {score:.1f}")


def evaluations(folder: Path) -> list[tuple[int, float]]:
    """Frames and mean return of every evaluation of the run in ``folder``."""
    content = json.loads((folder / f"{folder.name}.json").read_text())
    run = content["predator_prey"]["punish_2"]["remix"]["seed_0"]
    steps = [step for name, step in run.items() if name.startswith("step_")]
    return [(step["step_count"], mean(step["return"])) for step in steps]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--results", type=Path, default=Path("results/example"))
    main(**vars(parser.parse_args()))
