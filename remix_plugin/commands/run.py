"""Train: BenchMARL's own run, which ends by saying how it went.

Takes the arguments of BenchMARL's run.py, which are Hydra's, sweeps included. What is
missing for loggers and pictures is said in the first second. The mean return of the
last evaluation is handed to Hydra, whose sweepers (Optuna, say) maximize it.

    remix run algorithm=remix task=predator_prey/punish_2 experiment=predator_prey
    remix run -m algorithm=remix,qmix task=matrix_game/qtran experiment=matrix_game
    remix run --cfg job algorithm=remix task=matrix_game/qtran
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from benchmarl.experiment import Callback, Experiment
from benchmarl.hydra_config import load_experiment_from_hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDictBase

from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.episodes import read_episodes


class EvaluationReturns(Callback):
    """Keeps the mean return of every evaluation.

    Attributes:
        returns (list of float): a mean over episodes for each evaluation so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.returns: list[float] = []

    def on_evaluation_end(self, rollouts: list[TensorDictBase]) -> None:
        """Add the mean return of these episodes."""
        returns = read_episodes(self.experiment, rollouts)["return"]
        self.returns.append(float(sum(returns)) / len(returns))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the subcommand takes."""
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="OVERRIDE",
        help="algorithm=..., task=... and other options, or flags of Hydra "
        "(--hydra-help)",
    )


def main(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Train as the arguments say."""
    return run_with_hydra(args.arguments)


def run_with_hydra(arguments: Sequence[str]) -> int:
    """Hand arguments to Hydra, as BenchMARL's ``run.py`` does.

    Args:
        arguments (sequence of str): those of the command line.

    Returns:
        int: 0; Hydra ends the process itself where something is wrong.
    """
    sys.argv = ["remix run", *arguments]
    decorate = hydra.main(
        version_base=None, config_path="pkg://benchmarl.conf", config_name="config"
    )
    decorate(run_experiment)()
    return 0


def run_experiment(cfg: DictConfig) -> float | None:
    """Run what a config of BenchMARL says.

    Args:
        cfg (DictConfig): as Hydra has composed it.

    Returns:
        float: mean return of the last evaluation; None if there was none.
    """
    choices = HydraConfig.get().runtime.choices
    algorithm, task = choices["algorithm"], choices["task"]
    print(f"\nAlgorithm: {algorithm}, Task: {task}")
    print(f"\nLoaded config:\n\n{OmegaConf.to_yaml(cfg)}", flush=True)
    experiment = load_experiment_from_hydra(cfg, task_name=task)
    evaluations = EvaluationReturns()
    attach(experiment, evaluations)
    experiment.run()
    print(f"\n{_summary(experiment, evaluations.returns)}", flush=True)
    return evaluations.returns[-1] if evaluations.returns else None


def _summary(experiment: Experiment, returns: Sequence[float]) -> str:
    """Where results are, how good they are, and what to type next."""
    lines = []
    if returns:
        n_episodes = experiment.config.evaluation_episodes
        lines.append(f"last evaluation return: {returns[-1]:.2f}")
        lines.append(
            f"best evaluation return: {max(returns):.2f} "
            f"(of {len(returns)} evaluations of {n_episodes} episodes)"
        )
    folder = Path(experiment.folder_name)
    lines.append(f"results:                {folder}")
    if returns and experiment.config.create_json:
        lines.append(f"next:                   remix curves {folder}")
    return "\n".join(lines)
