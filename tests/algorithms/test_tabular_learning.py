"""Policies learn a bandit and a chain of two states, whose best returns are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig
from tabular_tasks import BANDIT, CHAIN, Table, TabularTask
from tiny_experiments import changed, name_of

import remix_plugin
from remix_plugin.algorithms.actor_critic import ActorCriticConfig
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

POLICIES = [c for c in ALGORITHM_CONFIGS if issubclass(c, ActorCriticConfig)]
ITERATIONS = 60


def final_return(algorithm: AlgorithmConfig, table: Table, folder: Path) -> float:
    """Return of the greedy policy after training on whole episodes."""
    config = remix_plugin.get_experiment_config("matrix_game")
    frames = 64 * table.horizon
    for kind in ("on", "off"):
        setattr(config, f"{kind}_policy_collected_frames_per_batch", frames)
        setattr(config, f"{kind}_policy_n_envs_per_worker", 64)
    config.on_policy_minibatch_size = frames
    config.off_policy_train_batch_size = frames
    config.off_policy_n_optimizer_steps = 5
    config.max_n_frames = config.evaluation_interval = ITERATIONS * frames
    config.checkpoint_interval = 0
    config.lr = 0.01
    config.polyak_tau = 0.05
    config.loggers = []
    config.save_folder = str(folder)
    model = MlpConfig(
        num_cells=[32], layer_class=torch.nn.Linear, activation_class=torch.nn.ReLU
    )
    experiment = Experiment(
        task=TabularTask(table),
        algorithm_config=algorithm,
        model_config=model,
        seed=0,
        config=config,
    )
    experiment.run()
    (path,) = folder.rglob(f"{experiment.name}.json")
    (steps,) = json.loads(path.read_text())["small"]["small"].values()
    last = max(steps["seed_0"].values(), key=lambda step: step.get("step_count", -1))
    assert last["step_count"] == config.max_n_frames
    return last["return"][0]


def test_best_returns_are_those_of_foresight() -> None:
    assert BANDIT.best_return() == 1.0
    # Once over, then four times 1; staying is worth 0.3 a step.
    assert CHAIN.best_return() == 4.0


@pytest.mark.parametrize("config", POLICIES, ids=name_of)
@pytest.mark.parametrize("table", [BANDIT, CHAIN], ids=["bandit", "chain"])
def test_best_policy_is_learned(
    config: type[AlgorithmConfig], table: Table, save_folder: Path
) -> None:
    algorithm = changed(config, absolute_metric_factor=0)
    assert final_return(algorithm, table, save_folder) == table.best_return()
