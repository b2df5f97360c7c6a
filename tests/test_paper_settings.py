"""The published settings, as BenchMARL runs them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from benchmarl.hydra_config import (
    load_algorithm_config_from_hydra,
    load_experiment_config_from_hydra,
    load_model_config_from_hydra,
)
from omegaconf import DictConfig
from torch import nn

ROWS = {"paper_predator_prey": 200, "paper_smac": 125}
GRU = ("model=layers/gru_64", "model@critic_model=layers/gru_64")


@pytest.fixture(params=ROWS)
def composed(
    request: pytest.FixtureRequest, compose_benchmarl: Callable[..., DictConfig]
) -> tuple[DictConfig, int]:
    """The whole config of a paper's run, and the steps of a row."""
    cfg = compose_benchmarl(
        "algorithm=paper/remix",
        "task=predator_prey/punish_2",
        f"experiment={request.param}",
        *GRU,
    )
    return cfg, ROWS[request.param]


def test_experiment_has_the_numbers_of_table_2(
    composed: tuple[DictConfig, int],
) -> None:
    cfg, steps = composed
    config = load_experiment_config_from_hydra(cfg.experiment)
    assert config.off_policy_n_envs_per_worker == 8
    assert config.off_policy_collected_frames_per_batch == 8 * steps
    assert config.off_policy_n_optimizer_steps == 1
    assert config.off_policy_train_batch_size == 128 * steps
    assert config.off_policy_memory_size == 10_000 * steps
    assert (config.lr, config.gamma) == (0.001, 0.99)
    assert not config.soft_target_update
    # TorchRL counts from 0: 25 updates, of 8 episodes each.
    assert (config.hard_target_update_frequency + 1) * 8 == 200
    assert (config.exploration_eps_init, config.exploration_eps_end) == (1.0, 0.05)
    assert config.exploration_anneal_frames == 100_000
    assert config.evaluation_episodes == 32


def test_the_last_iteration_is_evaluated(composed: tuple[DictConfig, int]) -> None:
    config = load_experiment_config_from_hydra(composed[0].experiment)
    assert (
        config.evaluation_interval % config.off_policy_collected_frames_per_batch == 0
    )
    assert config.max_n_frames % config.evaluation_interval == 0


def test_algorithm_and_models_have_the_numbers_of_table_2(
    composed: tuple[DictConfig, int],
) -> None:
    cfg, _ = composed
    remix = load_algorithm_config_from_hydra(cfg.algorithm)
    assert (remix.td_lambda, remix.mixing_embed_dim) == (0.6, 32)
    assert remix.unrestricted_embed_dim == 256
    assert (remix.w_min, remix.w_max, remix.double_q) == (0.1, 1.0, True)
    for model in (cfg.model, cfg.critic_model):
        config = load_model_config_from_hydra(model)
        assert config.is_rnn
        assert (config.hidden_size, config.n_layers) == (64, 1)
        assert (config.encoder_num_cells, config.mlp_num_cells) == ([64], [])
        assert config.activation_class is nn.ReLU
