"""Warnings of rows that leave little to learn, and what a checkpoint brings back."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from small_tasks import SmallTask
from tiny_experiments import Build, changed, experiment_builder

from remix_plugin.algorithms.tunedqmix import TunedQmixConfig

build = pytest.fixture(experiment_builder)


def make(build: Build, td_lambda: float, **settings: Any) -> Any:
    return build(SmallTask(), changed(TunedQmixConfig, td_lambda=td_lambda), **settings)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"off_policy_collected_frames_per_batch": 4}, "rows of 1 step: .* one-step"),
        ({"off_policy_train_batch_size": 4}, "rows of 4 steps: .*=4 .* a single row"),
    ],
    ids=["one step", "one row"],
)
def test_rows_that_are_too_few_or_too_short_are_warned_of(
    settings: dict[str, int], message: str, build: Build
) -> None:
    with pytest.warns(UserWarning, match=message):
        make(build, 0.6, **settings)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*makes rows of")
        make(build, 0.6)
        # Transitions are not rows.
        make(build, 0.0, **settings)


def test_discount_and_lambda_are_those_of_the_config_after_loading(
    build: Build,
) -> None:
    saved = make(build, 0.9, gamma=0.5).losses["agents"]
    loss = make(build, 0.3, gamma=0.8).losses["agents"]
    loss.load_state_dict(saved.state_dict())
    assert loss.value_estimator.lmbda == torch.tensor(0.3)
    assert loss.value_estimator.gamma == torch.tensor(0.8)
    one_step = make(build, 0.0).losses["agents"]
    one_step.load_state_dict(saved.state_dict())
    for name, parameter in one_step.named_parameters():
        assert torch.equal(parameter, dict(saved.named_parameters())[name])
