"""Greedy joint actions after seconds of training: the optimum of one-step games."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import TaskClass
from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig
from tiny_experiments import changed, name_of

import remix_plugin
from remix_plugin.algorithms.qplex import QplexConfig
from remix_plugin.algorithms.qtran import QtranConfig
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import CwqmixConfig, OwqmixConfig
from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

Train = Callable[..., float]
# Each agent's best action is the same whatever the other does.
MONOTONIC = [[0, 1, 2], [1, 3, 5], [2, 5, 8]]
# What the reference code sets for its toy games.
TOY = {"n_heads": 10, "importance_layers": 3}
# On the payoff of the QTRAN paper, with seeds that reach 8 well before the last frame.
# QMIX and Qatten cannot represent it, which is no promise that they end elsewhere.
FIND_THE_OPTIMUM = [
    *(pytest.param(RemixConfig, {}, s, 1024, 0.001, id=f"remix-{s}") for s in (0, 1)),
    pytest.param(OwqmixConfig, {}, 0, 512, 0.001, id="owqmix-0"),
    pytest.param(CwqmixConfig, {}, 0, 512, 0.001, id="cwqmix-0"),
    pytest.param(QplexConfig, {}, 0, 640, 0.005, id="qplex-0"),
    pytest.param(QplexConfig, TOY, 0, 640, 0.005, id="qplex_toy-0"),
    pytest.param(QtranConfig, {"arch": "coma"}, 0, 640, 0.003, id="qtran_coma-0"),
]


@pytest.fixture
def final_return(save_folder: Path) -> Train:
    """Return of the greedy joint action at the end of ``experiment=matrix_game``.

    The networks are smaller and few of its 50 iterations are run, to save time.
    """

    def train(
        task: TaskClass, algorithm: AlgorithmConfig, seed: int, frames: int, lr: float
    ) -> float:
        config = remix_plugin.get_experiment_config("matrix_game")
        config.max_n_frames = config.evaluation_interval = frames
        config.lr = lr
        config.loggers = []
        config.save_folder = str(save_folder)
        experiment = Experiment(
            task=task,
            algorithm_config=algorithm,
            model_config=MlpConfig(
                num_cells=[64, 64],
                layer_class=torch.nn.Linear,
                activation_class=torch.nn.ReLU,
            ),
            seed=seed,
            config=config,
        )
        experiment.run()
        path = experiment.folder_name / f"{experiment.name}.json"
        by_task = json.loads(path.read_text())["matrix_game"][task.name.lower()]
        steps = by_task[experiment.algorithm_name][f"seed_{seed}"]
        last = max(steps.values(), key=lambda step: step.get("step_count", -1))
        assert last["step_count"] == frames
        return last["return"][0]

    return train


@pytest.mark.parametrize(
    ("config", "options", "seed", "frames", "lr"), FIND_THE_OPTIMUM
)
def test_optimum_is_found_beside_punished_actions(
    config: type[AlgorithmConfig],
    options: dict[str, Any],
    seed: int,
    frames: int,
    lr: float,
    final_return: Train,
) -> None:
    algorithm = changed(config, **options)
    if hasattr(algorithm, "unrestricted_embed_dim"):
        algorithm.unrestricted_embed_dim = 64
    task = MatrixGameTask.QTRAN.get_from_yaml()
    assert final_return(task, algorithm, seed, frames, lr) == 8.0


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS, ids=name_of)
def test_monotonic_game_is_learned(
    config: type[AlgorithmConfig], final_return: Train
) -> None:
    task = MatrixGameTask.CUSTOM.get_task({"payoff": MONOTONIC})
    # On policy an iteration is one update.
    frames, lr = (3_840, 0.01) if config.on_policy() else (256, 0.003)
    assert final_return(task, config.get_from_yaml(), 0, frames, lr) == 8.0
