"""Measures the speed of Predator-Prey and of one ReMIX update, in one process.

Prints two markdown tables: environment steps per second of Predator-Prey under a
random policy at several batch sizes, and the time of one optimisation step (sampling,
loss, backward, clipping, Adam, target update) of each algorithm on Predator-Prey at the
same batch and model, as a ratio to BenchMARL's QMIX. Algorithms take turns, so that
whatever else the machine does falls on all alike; medians and quartiles are over turns,
of 200 steps (an episode, with its reset) and of 5 updates.

Usage: python scripts/benchmark_speed.py [--device cuda] [--threads 2]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable

import benchmarl
import torch
import torchrl
from benchmarl.algorithms import algorithm_config_registry
from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig
from torch import nn
from torchrl.envs.utils import step_mdp

from remix_plugin import get_experiment_config
from remix_plugin.environments.predator_prey.common import PredatorPreyTask

BATCH_SIZES = (1, 64, 1024, 4096)
ALGORITHMS = ("qmix", "remix", "owqmix", "cwqmix")
ENV_TURNS = 5
UPDATE_TURNS = 20
UPDATES_PER_TURN = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(_machine(args.device, args.threads))
    print("\n| environments | env-steps/s | ms per batched step | quartiles |")
    print("|---|---|---|---|")
    for size in BATCH_SIZES:
        times = _time_env(size, args.device)
        median = statistics.median(times)
        cells = (size, f"{size / median:,.0f}", f"{1e3 * median:.2f}")
        print("|", *(f"{cell} |" for cell in (*cells, _quartiles(times))))
    print("\n| algorithm | ms per update | quartiles | ratio to qmix |")
    print("|---|---|---|---|")
    updates = _time_updates(args.device)
    reference = statistics.median(updates["qmix"])
    for name, times in updates.items():
        median = statistics.median(times)
        cells = (f"{1e3 * median:.1f}", _quartiles(times), f"{median / reference:.2f}")
        print("|", *(f"{cell} |" for cell in (name, *cells)))


def _machine(device: str, threads: int) -> str:
    processor = platform.processor() or platform.machine()
    if device.startswith("cuda"):
        processor += f", {torch.cuda.get_device_name()}"
    return (
        f"{processor}, {threads} threads, Python {platform.python_version()}, "
        f"torch {torch.__version__}, torchrl {torchrl.__version__}, "
        f"benchmarl {benchmarl.__version__}"
    )


def _time_env(num_envs: int, device: str) -> list[float]:
    """Seconds per batched step, random actions and resets included, of each turn."""
    task = PredatorPreyTask.PUNISH_2.get_from_yaml()
    env = task.get_env_fun(num_envs, False, 0, device)()
    tensordict = env.reset()
    seconds = []
    # A turn is an episode, so that each has its resets.
    for _ in range(ENV_TURNS + 1):
        _synchronize(device)
        start = time.perf_counter()
        for _ in range(200):
            tensordict = env.step(env.rand_action(tensordict))
            tensordict = step_mdp(tensordict)
            if tensordict["done"].any():
                tensordict = env.reset(tensordict.set("_reset", tensordict["done"]))
        _synchronize(device)
        seconds.append((time.perf_counter() - start) / 200)
    return seconds[1:]


def _time_updates(device: str) -> dict[str, list[float]]:
    """Seconds per optimisation step of each turn, by algorithm."""
    seconds: dict[str, list[float]] = {name: [] for name in ALGORITHMS}
    with tempfile.TemporaryDirectory() as folder:
        updates = {name: _update(name, device, folder) for name in ALGORITHMS}
        for _ in range(UPDATE_TURNS + 1):
            for name, update in updates.items():
                _synchronize(device)
                start = time.perf_counter()
                for _ in range(UPDATES_PER_TURN):
                    update()
                _synchronize(device)
                elapsed = time.perf_counter() - start
                seconds[name].append(elapsed / UPDATES_PER_TURN)
    return {name: values[1:] for name, values in seconds.items()}


def _quartiles(seconds: list[float]) -> str:
    """First to third quartile in milliseconds."""
    first, _, third = statistics.quantiles(seconds, n=4)
    return f"{1e3 * first:.1f}-{1e3 * third:.1f}"


def _update(name: str, device: str, folder: str) -> Callable[[], object]:
    """One optimisation step of an experiment whose replay buffer is filled."""
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


def _synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
