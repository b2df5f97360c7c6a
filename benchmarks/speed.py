"""Measures the speed of Predator-Prey and of one ReMIX update, in one process.

Prints two markdown tables: environment steps per second of Predator-Prey under a
random policy at several batch sizes, and the time of one optimization step (sampling,
loss, backward, clipping, Adam, target update) of each algorithm on Predator-Prey at the
same batch and model, as a ratio to BenchMARL's QMIX. Algorithms take turns, so that
whatever else the machine does falls on all alike; medians and quartiles are over turns,
of 200 steps (an episode, with its reset) and of 5 updates.

Usage: python benchmarks/speed.py [--device cuda] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable

import torch
from benchmarl.algorithms import algorithm_config_registry
from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig
from side_by_side import (
    machine,
    print_ratios,
    quartiles,
    seconds_of,
    take_turns,
)
from torch import nn
from torchrl.envs.utils import step_mdp

from remix_plugin import get_experiment_config
from remix_plugin.commands.arguments import device, whole
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.registration import ALGORITHM_CONFIGS

BATCH_SIZES = (1, 64, 1024, 4096)
OURS = [config.associated_class().__name__.lower() for config in ALGORITHM_CONFIGS]
ALGORITHMS = ("qmix", *OURS)
ENV_TURNS = 5
UPDATE_TURNS = 20
UPDATES_PER_TURN = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=whole(1), default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(machine(args.device, args.threads))
    print("\n| environments | env-steps/s | ms per batched step | quartiles |")
    print("|---|---|---|---|")
    for size in BATCH_SIZES:
        times = _time_env(size, args.device)
        median = statistics.median(times)
        cells = (size, f"{size / median:,.0f}", f"{1e3 * median:.2f}")
        print("|", *(f"{cell} |" for cell in (*cells, quartiles(times))))
    with tempfile.TemporaryDirectory() as folder:
        updates = {name: _update(name, args.device, folder) for name in ALGORITHMS}
        seconds = take_turns(updates, args.device, UPDATE_TURNS, UPDATES_PER_TURN)
    print_ratios("algorithm | ms per update", seconds, "qmix")


def _time_env(num_envs: int, device: str) -> list[float]:
    """Seconds per batched step, random actions and resets included, of each turn."""
    task = PredatorPreyTask.PUNISH_2.get_from_yaml()
    env = task.get_env_fun(num_envs, False, 0, device)()
    tensordict = env.reset()

    def step() -> None:
        nonlocal tensordict
        tensordict = step_mdp(env.step(env.rand_action(tensordict)))
        if tensordict["done"].any():
            tensordict = env.reset(tensordict.set("_reset", tensordict["done"]))

    # A turn is an episode, so that each has its resets.
    return [seconds_of(step, device, 200) for _ in range(ENV_TURNS + 1)][1:]


def _update(name: str, device: str, folder: str) -> Callable[[], object]:
    """One optimization step of an experiment whose replay buffer is filled."""
    config = get_experiment_config("predator_prey")
    config.sampling_device = config.train_device = config.buffer_device = device
    config.off_policy_memory_size = 40_000
    config.loggers = []
    config.create_json = False
    config.save_folder = folder
    model = MlpConfig(
        num_cells=[128, 128], layer_class=nn.Linear, activation_class=nn.ReLU
    )
    experiment = Experiment(
        task=PredatorPreyTask.PUNISH_2.get_from_yaml(),
        algorithm_config=algorithm_config_registry[name].get_from_yaml(),
        model_config=model,
        seed=0,
        config=config,
    )
    collected = iter(experiment.collector)
    buffer = experiment.replay_buffers["agents"]
    while len(buffer) < config.off_policy_memory_size:
        batch = next(collected).exclude(*experiment._get_excluded_keys("agents"))
        batch = experiment.algorithm.process_batch("agents", batch).reshape(-1)
        buffer.extend(batch.to(buffer.storage.device))
    return lambda: experiment._optimizer_loop("agents")


if __name__ == "__main__":
    main()
