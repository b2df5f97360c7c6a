"""Which joint action each algorithm settles on in the matrix game of the QTRAN paper.

Every algorithm learns from random joint actions (``experiment=matrix_game``, but twice
as many games, and BenchMARL's default model), with several seeds. Prints a markdown
table: the greedy joint action after training and its payoff, by algorithm and seed.

Usage: python scripts/matrix_game.py [--algorithms NAME ...] [--seeds N] [--frames N]
"""

from __future__ import annotations

import argparse
import tempfile

import torch
from benchmarl.algorithms import algorithm_config_registry
from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig
from torchrl.envs.utils import ExplorationType, set_exploration_type

from remix_plugin import get_experiment_config
from remix_plugin.commands.arguments import whole
from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.registration import ALGORITHM_CONFIGS

OURS = tuple(config.associated_class().__name__.lower() for config in ALGORITHM_CONFIGS)
THEIRS = ("qmix", "vdn", "iql")


def main() -> None:
    """Train and print, a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithms", nargs="+", default=[*OURS, *THEIRS])
    parser.add_argument(
        "--seeds", type=whole(1), default=5, help="seeds 0 to this, less 1"
    )
    parser.add_argument(
        "--frames", type=whole(1), default=6_400, help="games to learn from"
    )
    args = parser.parse_args()
    for name in args.algorithms:
        if name not in algorithm_config_registry:
            known = ", ".join(sorted(algorithm_config_registry))
            parser.error(f"--algorithms: {name!r} is not one of {known}")
    torch.set_num_threads(1)
    payoff = MatrixGameTask.QTRAN.get_from_yaml().config["payoff"]
    best = max(max(row) for row in payoff)
    print("payoff of (row, column):", payoff)
    seeds = range(args.seeds)
    print("| algorithm |", *(f"seed {seed} |" for seed in seeds), f"found {best} |")
    print("|---" * (args.seeds + 2) + "|")
    for name in args.algorithms:
        cells, found = [], 0
        for seed in seeds:
            row, column = _settles_on(name, seed, args.frames)
            cells.append(f"({row}, {column}): {payoff[row][column]:g}")
            found += payoff[row][column] == best
        print(
            "|", " | ".join([name, *cells, f"{found} of {args.seeds}"]), "|", flush=True
        )


def _settles_on(name: str, seed: int, frames: int) -> tuple[int, int]:
    """The greedy joint action after training."""
    config = get_experiment_config("matrix_game")
    config.max_n_frames = frames
    config.loggers = []
    config.create_json = config.evaluation = False
    with tempfile.TemporaryDirectory() as folder:
        config.save_folder = folder
        experiment = Experiment(
            task=MatrixGameTask.QTRAN.get_from_yaml(),
            algorithm_config=algorithm_config_registry[name].get_from_yaml(),
            model_config=MlpConfig.get_from_yaml(),
            seed=seed,
            config=config,
        )
        experiment.run()
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        played = experiment.policy(experiment.test_env.reset())
    row, column = played["agents", "action"].flatten().tolist()
    return row, column


if __name__ == "__main__":
    main()
