"""Experiments of the tests of callbacks, which the tests of a file may share."""

from __future__ import annotations

import pytest
import torch
from benchmarl.experiment import ExperimentConfig
from benchmarl.models import GruConfig, MlpConfig
from tiny_experiments import Build, experiment_builder

import remix_plugin  # noqa: F401  registers algorithms and tasks

SETTINGS = {
    "max_n_frames": 48,
    "off_policy_collected_frames_per_batch": 16,
    "off_policy_n_envs_per_worker": 4,
    "off_policy_n_optimizer_steps": 2,
    "off_policy_train_batch_size": 16,
    "off_policy_memory_size": 64,
    "on_policy_collected_frames_per_batch": 16,
    "on_policy_n_envs_per_worker": 4,
    "on_policy_minibatch_size": 8,
    "on_policy_n_minibatch_iters": 1,
    "exploration_eps_init": 1.0,
    "exploration_eps_end": 0.05,
    "exploration_anneal_frames": 64,
    "lr": 0.001,
    "evaluation": True,
    "evaluation_interval": 16,
    "evaluation_episodes": 2,
    "render": False,
    "loggers": ["csv"],
    "create_json": True,
}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Three iterations of 4 steps in 4 environments and 2 updates, each evaluated."""
    config = ExperimentConfig.get_from_yaml()
    for field, value in SETTINGS.items():
        assert hasattr(config, field)
        setattr(config, field, value)
    config.save_folder = str(tmp_path_factory.mktemp("runs"))
    activation = torch.nn.ReLU
    mlp = MlpConfig(
        num_cells=[16], layer_class=torch.nn.Linear, activation_class=activation
    )
    gru = GruConfig(
        hidden_size=8,
        n_layers=1,
        bias=True,
        dropout=0,
        compile=False,
        mlp_num_cells=[8],
        mlp_layer_class=torch.nn.Linear,
        mlp_activation_class=activation,
    )
    return experiment_builder(config, mlp, gru)
