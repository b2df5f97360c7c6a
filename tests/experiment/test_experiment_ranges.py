"""Experiment options, each from both sides of its range."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarl.experiment import ExperimentConfig

from remix_plugin import get_experiment_config
from remix_plugin.experiment.config import CheckedExperimentConfig
from remix_plugin.experiment.ranges import check_experiment

INF, NAN = math.inf, math.nan
# What is no number for any option, and no whole one for those that count
NO_NUMBER = [True, "1", [1], NAN, INF, -INF, -1]
NO_COUNT = [*NO_NUMBER, 0, 1.5, 2.0]
# By option: values that are refused, and values that are not
SHARES = {
    "gamma": ([*NO_NUMBER, None, 1.5, -0.1], [0, 0.5, 1, 1.0]),
    "exploration_eps_init": ([*NO_NUMBER, None, 1.5], [0.06, 1, 1.0]),
    "exploration_eps_end": ([*NO_NUMBER, None, 1.5, -1e-9], [0, 0.0, 1.0]),
    "polyak_tau": ([*NO_NUMBER, None, 0, 0.0, 1.01], [1e-6, 1, 1.0]),
}
POSITIVE = {
    "lr": ([*NO_NUMBER, None, 0, 0.0], [1e-12, 1, 1e30]),
    "adam_eps": ([*NO_NUMBER, None], [0, 0.0, 1e-8]),
    "clip_grad_val": ([*NO_NUMBER, 0, 0.0], [None, 1e-3, 5]),
    "off_policy_prb_alpha": ([*NO_NUMBER, None], [0, 0.6, 1.0]),
    "off_policy_prb_beta": ([*NO_NUMBER, None], [0, 0.4, 1.0]),
}
COUNTS = {
    "hard_target_update_frequency": ([*NO_COUNT, None, 2.5], [1, 1000]),
    "exploration_anneal_frames": ([*NO_COUNT, -5], [None, 1, 10**9]),
    "max_n_iters": (NO_COUNT, [None, 1, 10**6]),
    "max_n_frames": (NO_COUNT, [3, 10**9]),
    "off_policy_collected_frames_per_batch": ([*NO_COUNT, None], [1, 5_000]),
    "off_policy_n_envs_per_worker": ([*NO_COUNT, None, 10**9], [1, 100_000]),
    "off_policy_n_optimizer_steps": ([*NO_COUNT, None], [1, 10_000]),
    "off_policy_train_batch_size": ([*NO_COUNT, None], [1, 200_000]),
    "off_policy_memory_size": ([*NO_COUNT, None, 1_999], [2_000, 10**9]),
    "off_policy_init_random_frames": ([*NO_NUMBER, None, 1.5], [0, 10**6]),
    "evaluation_interval": ([*NO_COUNT, None, -400], [2_000, 10**9]),
    "evaluation_episodes": ([*NO_COUNT, None, 10**9], [1, 100_000]),
    "checkpoint_interval": ([*NO_NUMBER, None, 2.5], [0, 2_000]),
    "keep_checkpoints_num": (NO_COUNT, [None, 1]),
}
OTHERS = {
    "evaluation": ([0, 1, "yes", None], [True, False]),
    "render": ([0, 1, "yes", None], [True, False]),
    "clip_grad_norm": ([1, NAN], [True, False]),
    "loggers": (["csv", None, ["csvv"], [1], [""], 3], [[], ["csv"], ("csv",)]),
    "sampling_device": (["cuda:77", "tpux", 3, "cpu:x", None], ["cpu"]),
    "buffer_device": (["cuda:77", ""], ["cpu", "disk"]),
    "adam_extra_kwargs": (
        [{"beta": 1}, {"betas": (2, 3)}, {"lr": 1.0}, 3, None],
        [{}, {"amsgrad": True}, {"weight_decay": 0.1}],
    ),
    "wandb_extra_kwargs": ([{"project": "other"}, None, "a"], [{}, {"notes": "b"}]),
    "save_folder": (["/nowhere/at/all"], [None]),
}
ON_POLICY = {
    "on_policy_collected_frames_per_batch": (NO_COUNT, [1, 6_000]),
    "on_policy_n_envs_per_worker": ([*NO_COUNT, 10**9], [1, 100_000]),
    "on_policy_n_minibatch_iters": (NO_COUNT, [1, 45]),
    "on_policy_minibatch_size": (NO_COUNT, [1, 10**6]),
    "gamma": ([NAN, 1.5], [0.9]),
}
OFF_POLICY = {**SHARES, **POSITIVE, **COUNTS, **OTHERS}
Table = dict[str, tuple[list[Any], list[Any]]]


def cases(table: Table, side: int) -> Iterator[Any]:
    for field, values in table.items():
        for value in values[side]:
            yield pytest.param(field, value, id=f"{field}={value!r}")


BAD, GOOD = list(cases(OFF_POLICY, 0)), list(cases(OFF_POLICY, 1))


@pytest.fixture(scope="module")
def in_range() -> CheckedExperimentConfig:
    """BenchMARL's options with ours for Predator-Prey."""
    return get_experiment_config("predator_prey")


@pytest.fixture
def config(in_range: CheckedExperimentConfig) -> CheckedExperimentConfig:
    """A copy of them to spoil."""
    return copy.copy(in_range)


def test_there_are_two_hundred_bad_values() -> None:
    assert len(BAD) >= 200


@pytest.mark.parametrize(("field", "value"), BAD)
def test_value_out_of_range_is_refused_by_name(
    field: str, value: Any, config: CheckedExperimentConfig
) -> None:
    setattr(config, field, value)
    named = rf"experiment\.{field}.*is not allowed: it must "
    with pytest.raises((TypeError, ValueError), match=f"(?s){named}"):
        config.validate(on_policy=False)


@pytest.mark.parametrize(("field", "value"), GOOD)
def test_value_within_its_range_is_accepted(
    field: str, value: Any, config: CheckedExperimentConfig
) -> None:
    setattr(config, field, value)
    check_experiment(config, on_policy=False)


@pytest.mark.parametrize(("field", "value"), cases(ON_POLICY, 0))
def test_value_out_of_range_is_refused_on_policy(
    field: str, value: Any, config: CheckedExperimentConfig
) -> None:
    setattr(config, field, value)
    with pytest.raises((TypeError, ValueError), match=rf"experiment\.{field}="):
        config.validate(on_policy=True)


@pytest.mark.parametrize(("field", "value"), cases(ON_POLICY, 1))
def test_value_within_its_range_is_accepted_on_policy(
    field: str, value: Any, config: CheckedExperimentConfig
) -> None:
    setattr(config, field, value)
    check_experiment(config, on_policy=True)


def test_options_of_the_other_kind_are_left_alone(
    config: CheckedExperimentConfig,
) -> None:
    config.on_policy_minibatch_size = 0
    check_experiment(config, on_policy=False)
    config.on_policy_minibatch_size = 400
    config.off_policy_memory_size = 0
    check_experiment(config, on_policy=True)


def test_message_says_field_value_and_range(config: CheckedExperimentConfig) -> None:
    config.gamma = 1.5
    message = "experiment.gamma=1.5 is not allowed: it must be a number >= 0 and <= 1."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_experiment(config, on_policy=False)
    config.gamma, config.max_n_frames = 0.9, 0
    message = (
        "experiment.max_n_frames=0 is not allowed: it must be null or an integer >= 1."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_experiment(config, on_policy=False)


def test_benchmarls_own_options_are_accepted() -> None:
    config = ExperimentConfig.get_from_yaml()
    config.loggers = ["csv"]  # wandb is not everywhere
    for on_policy in (False, True):
        check_experiment(config, on_policy)


@pytest.mark.parametrize(
    "name",
    ["matrix_game", "paper_predator_prey", "paper_smac", "predator_prey", "smax"],
)
def test_our_options_are_accepted(name: str) -> None:
    get_experiment_config(name).validate(on_policy=False)


@pytest.mark.parametrize("batch", ["train_batch_size", "collected_frames_per_batch"])
def test_memory_holds_a_batch(batch: str, config: CheckedExperimentConfig) -> None:
    setattr(config, f"off_policy_{batch}", 200_001)
    message = f"memory_size=200000 is not .* >= experiment.off_policy_{batch}=200001"
    with pytest.raises(ValueError, match=message):
        check_experiment(config, on_policy=False)


def test_memory_maps_are_the_cpus(config: CheckedExperimentConfig) -> None:
    config.buffer_device, config.train_device = "disk", "meta"
    message = "buffer_device='disk' with experiment.train_device='meta' is not allowed"
    with pytest.raises(ValueError, match=message):
        check_experiment(config, on_policy=False)
    check_experiment(config, on_policy=True)
    config.train_device = "cpu"
    check_experiment(config, on_policy=False)


def test_epsilon_must_not_rise(config: CheckedExperimentConfig) -> None:
    config.exploration_eps_init, config.exploration_eps_end = 0.1, 0.2
    message = "eps_end=0.2 is not allowed: it must be <= .*eps_init=0.1"
    with pytest.raises(ValueError, match=message):
        check_experiment(config, on_policy=False)
    config.exploration_eps_init = 0.2
    check_experiment(config, on_policy=False)


def test_a_third_of_two_frames_anneals_nothing(config: CheckedExperimentConfig) -> None:
    # TorchRL would divide by 0, and never explore if both epsilons are equal.
    config.exploration_anneal_frames, config.max_n_frames = None, 2
    with pytest.raises(ValueError, match=r"anneal_frames=None.* a run of 2 frames"):
        check_experiment(config, on_policy=False)
    config.max_n_frames = 3
    check_experiment(config, on_policy=False)


def test_a_run_has_an_end(config: CheckedExperimentConfig) -> None:
    config.max_n_frames = None
    with pytest.raises(ValueError, match=r"max_n_frames=None and .*max_n_iters=None"):
        check_experiment(config, on_policy=False)
    config.max_n_iters = 1
    check_experiment(config, on_policy=False)


@pytest.mark.parametrize("interval", [0, -400, NAN, None])
def test_interval_has_its_range_without_evaluations_too(
    interval: float | None, config: CheckedExperimentConfig
) -> None:
    # Projection weights are counted over it.
    config.evaluation, config.evaluation_interval = False, interval
    with pytest.raises(
        (TypeError, ValueError), match=r"experiment\.evaluation_interval"
    ):
        check_experiment(config, on_policy=False)


def test_what_benchmarl_refuses_is_refused(config: CheckedExperimentConfig) -> None:
    config.evaluation_interval = 2_001
    with pytest.raises(ValueError, match="not a multiple of the collected_frames"):
        config.validate(on_policy=False)


def test_option_that_there_is_not_names_those_there_are(
    config: CheckedExperimentConfig,
) -> None:
    config.gama = 0.9
    with pytest.raises(TypeError, match=r"experiment\.gama is not an option .* gamma,"):
        config.validate(on_policy=False)


def test_devices_and_folders_are_those_of_the_machine_that_runs(
    config: CheckedExperimentConfig,
) -> None:
    count = torch.cuda.device_count()
    config.train_device, config.save_folder = f"cuda:{count}", "/nowhere"
    check_experiment(config, on_policy=False, here=False)
    with pytest.raises(
        ValueError, match=f"train_device='cuda:{count}'.*sees {count} of"
    ):
        check_experiment(config, on_policy=False)


def test_checked_options_load_like_benchmarls(tmp_path: Path) -> None:
    loaded = CheckedExperimentConfig.get_from_yaml()
    assert type(loaded) is CheckedExperimentConfig
    assert vars(loaded) == vars(ExperimentConfig.get_from_yaml())
