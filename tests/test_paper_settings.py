"""The published settings, as BenchMARL runs them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.hydra_config import (
    load_algorithm_config_from_hydra,
    load_experiment_config_from_hydra,
    load_model_config_from_hydra,
    load_task_config_from_hydra,
)
from benchmarl.models import MlpConfig
from omegaconf import DictConfig
from small_tasks import SmallTask, parameters
from torch import nn

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.suites.plan import read_suite

pytestmark = pytest.mark.slow

# Steps of a row, and frames between evaluations
ROWS = {"paper_predator_prey": (200, 8_000), "paper_smac": (125, 10_000)}
GRU = ("model=layers/gru_64", "model@critic_model=layers/gru_64")
# Table 2, and what pymarl2's base has
REPLAY_EPISODES, BATCH_EPISODES, EPISODES_A_COPY = 10_000, 128, 200
PARALLEL = 8


@pytest.fixture(params=ROWS)
def composed(
    request: pytest.FixtureRequest, compose_benchmarl: Callable[..., DictConfig]
) -> tuple[DictConfig, str]:
    """The whole config of a paper's run, and the experiment's name."""
    cfg = compose_benchmarl(
        "algorithm=paper/remix",
        "task=predator_prey/punish_2",
        "task.observe_last_action=True",
        f"experiment={request.param}",
        *GRU,
    )
    return cfg, request.param


def test_experiment_has_the_published_numbers(composed: tuple[DictConfig, str]) -> None:
    cfg, name = composed
    steps, evaluated = ROWS[name]
    config = load_experiment_config_from_hydra(cfg.experiment)
    assert config.off_policy_n_envs_per_worker == PARALLEL
    assert config.off_policy_collected_frames_per_batch == PARALLEL * steps
    assert config.off_policy_n_optimizer_steps == 1
    assert config.off_policy_train_batch_size == BATCH_EPISODES * steps
    assert config.off_policy_memory_size == REPLAY_EPISODES * steps
    assert (config.lr, config.gamma) == (0.001, 0.99)
    assert (config.adam_eps, config.clip_grad_val) == (1e-8, 10.0)
    assert (config.exploration_eps_init, config.exploration_eps_end) == (0.995, 0.05)
    assert config.exploration_anneal_frames == 100_000
    assert (config.evaluation_episodes, config.evaluation_interval) == (32, evaluated)


def test_targets_are_copied_every_200_episodes(
    composed: tuple[DictConfig, str],
    tiny_experiment: ExperimentConfig,
    tiny_model: MlpConfig,
) -> None:
    published = load_experiment_config_from_hydra(composed[0].experiment)
    for field in ("soft_target_update", "hard_target_update_frequency"):
        setattr(tiny_experiment, field, getattr(published, field))
    experiment = Experiment(
        task=SmallTask(),
        algorithm_config=RemixConfig.get_from_yaml(),
        model_config=tiny_model,
        critic_model_config=copy.deepcopy(tiny_model),
        seed=0,
        config=tiny_experiment,
    )
    loss, updater = experiment.losses["agents"], experiment.target_updaters["agents"]
    copied = []
    for update in range(1, 101):
        with torch.no_grad():
            for value in loss.parameters():
                value.add_(1)
        updater.step()
        online, target = (parameters(loss, target=flag) for flag in (False, True))
        if all(torch.equal(online[name], target[name]) for name in target):
            copied.append(update)
    # An update is for as many episodes as there are environments.
    every = EPISODES_A_COPY // PARALLEL
    assert copied == [every, 2 * every, 3 * every, 4 * every]
    experiment.close()


def test_the_last_iteration_is_evaluated(composed: tuple[DictConfig, str]) -> None:
    config = load_experiment_config_from_hydra(composed[0].experiment)
    assert (
        config.evaluation_interval % config.off_policy_collected_frames_per_batch == 0
    )
    assert config.max_n_frames % config.evaluation_interval == 0


def test_algorithm_and_models_have_the_published_numbers(
    composed: tuple[DictConfig, str],
) -> None:
    cfg, _ = composed
    remix = load_algorithm_config_from_hydra(cfg.algorithm)
    assert (remix.td_lambda, remix.mixing_embed_dim) == (0.6, 32)
    assert remix.unrestricted_embed_dim == 256
    assert (remix.w_min, remix.w_max, remix.double_q) == (0.1, 1.0, True)
    # MAC-PO
    assert (remix.normalization, remix.mean_multiple) == ("clipped", 2)
    assert (remix.warm_up_frames, remix.unrestricted_coef) == (30_000, 0.5)
    assert (remix.unrestricted_value, remix.policy_support) == ("online", "all")
    for model in (cfg.model, cfg.critic_model):
        config = load_model_config_from_hydra(model)
        assert config.is_rnn
        assert (config.hidden_size, config.n_layers) == (64, 1)
        assert (config.encoder_num_cells, config.mlp_num_cells) == ([64], [])
        assert config.activation_class is nn.ReLU


@pytest.mark.parametrize(
    ("algorithm", "published"),
    [
        ("owqmix", {"unrestricted_coef": 0.5, "alpha": 0.1}),
        ("cwqmix", {"unrestricted_coef": 0.5, "alpha": 0.1}),
        ("tunedqmix", {"td_coef": 0.5}),
        ("qplex", {"td_coef": 0.5}),
        ("qatten", {"td_coef": 0.5}),
        ("qtran", {}),
    ],
)
def test_rivals_have_the_targets_of_table_2_and_the_factors_of_pymarl2(
    algorithm: str,
    published: dict[str, float],
    compose_benchmarl: Callable[..., DictConfig],
) -> None:
    cfg = compose_benchmarl(f"algorithm=paper/{algorithm}", "task=matrix_game/qtran")
    config = vars(load_algorithm_config_from_hydra(cfg.algorithm))
    plain = compose_benchmarl(f"algorithm={algorithm}", "task=matrix_game/qtran")
    ours = vars(load_algorithm_config_from_hydra(plain.algorithm))
    expected = {"td_lambda": 0.6, "burn_in": "stored", **published}
    assert config == {**ours, **expected}


def test_agents_see_their_last_action_but_not_their_index(
    composed: tuple[DictConfig, str],
) -> None:
    task = load_task_config_from_hydra(composed[0].task, "predator_prey/punish_2")
    env = task.get_env_fun(1, continuous_actions=False, seed=0, device="cpu")()
    # 5 x 5 cells of predators and prey, and 6 actions
    assert env.rollout(1)["agents", "observation"].shape[-1] == 5 * 5 * 2 + 6


# Steps on the axes of Figure 2, and on the axis of Figure 5, in millions
FIGURE_2 = {
    "smac/1c3s5z": 2,
    "smac/3s_vs_5z": 3,
    "smac/5m_vs_6m": 4,
    "smac/6h_vs_8z": 5,
    "smac/mmm2": 2,
    "smac/corridor": 5,
}


def settings(overrides: tuple[str, ...]) -> dict[str, str]:
    return dict(override.split("=", 1) for override in overrides)


def test_figure_2_on_starcraft_has_the_papers_budgets_and_weights() -> None:
    runs = read_suite("figure_2_smac").runs
    budgets: dict[str, set[Any]] = {}
    for run in runs:
        budgets.setdefault(run.task, set()).add(run.frames)
        alpha = settings(run.overrides).get("algorithm.alpha")
        assert alpha == ("0.5" if run.label in ("owqmix", "cwqmix") else None)
    assert budgets == {task: {n * 1_000_000} for task, n in FIGURE_2.items()}
    assert {run.seed for run in runs} == set(range(4))


@pytest.mark.parametrize(
    ("suite", "tasks", "frames"),
    [
        ("figure_3", {"predator_prey/punish_2"}, 300_000),
        ("figure_4", {"predator_prey/punish_1_5"}, 300_000),
        ("figure_5_smac", {"smac/mmm2"}, 2_000_000),
    ],
)
def test_other_figures_are_of_the_papers_tasks(
    suite: str, tasks: set[str], frames: int
) -> None:
    runs = read_suite(suite).runs
    assert {run.task for run in runs} == tasks
    assert {run.frames for run in runs} == {frames}
