"""On the QTRAN payoff the weights find the optimum, and QMIX does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from benchmarl.algorithms import QmixConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig

import remix_plugin
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.environments.matrix_game.common import MatrixGameTask

SEEDS = (0, 1, 2)


@pytest.fixture
def final_return(save_folder: Path) -> Callable[[type[AlgorithmConfig], int], float]:
    """Return of the greedy joint action at the end of ``experiment=matrix_game``.

    The networks are smaller and 16 of its 50 iterations are run, to save time.
    """

    def train(algorithm: type[AlgorithmConfig], seed: int) -> float:
        config = remix_plugin.get_experiment_config("matrix_game")
        config.max_n_frames = 1024
        config.evaluation_interval = 512
        config.loggers = []
        config.save_folder = str(save_folder)
        options = algorithm.get_from_yaml()
        if hasattr(options, "unrestricted_embed_dim"):
            options.unrestricted_embed_dim = 64
        experiment = Experiment(
            task=MatrixGameTask.QTRAN.get_from_yaml(),
            algorithm_config=options,
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
        by_algorithm = json.loads(path.read_text())["matrix_game"]["qtran"]
        last = by_algorithm[experiment.algorithm_name][f"seed_{seed}"]["step_2"]
        assert last["step_count"] == config.max_n_frames
        return last["return"][0]

    return train


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("algorithm", [RemixConfig, OwqmixConfig])
def test_weights_find_the_optimum(
    algorithm: type[AlgorithmConfig],
    seed: int,
    final_return: Callable[[type[AlgorithmConfig], int], float],
) -> None:
    assert final_return(algorithm, seed) == 8.0


@pytest.mark.parametrize("seed", SEEDS)
def test_qmix_stays_with_the_safe_actions(
    seed: int, final_return: Callable[[type[AlgorithmConfig], int], float]
) -> None:
    assert final_return(QmixConfig, seed) <= 0.0
