"""The weightings of Weighted QMIX, against values worked by hand, and their limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from weighting_inputs import plain_inputs, random_inputs, weigh

from remix_plugin.weighting.wqmix import (
    CentralWeighting,
    OptimisticWeighting,
    UniformWeighting,
)


def test_optimistic_weighting_by_hand() -> None:
    inputs = plain_inputs([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    weight = weigh(OptimisticWeighting(0.1), inputs)
    assert torch.equal(weight, torch.tensor([[1.0], [0.1], [0.1]]))


def test_central_weighting_by_hand() -> None:
    inputs = {
        "target_value": torch.tensor([[5.0], [1.0], [1.0], [4.0]]),
        "greedy_target_value": torch.full((4, 1), 4.0),
        "is_greedy": torch.tensor([[False], [True], [False], [False]]),
    }
    weight = weigh(CentralWeighting(0.1), inputs)
    assert torch.equal(weight, torch.tensor([[1.0], [1.0], [0.1], [0.1]]))


def test_uniform_weighting_is_1() -> None:
    weight = weigh(UniformWeighting(), random_inputs(0))
    assert torch.equal(weight, torch.ones(24, 1))


@pytest.mark.parametrize("weighting", [OptimisticWeighting, CentralWeighting])
@pytest.mark.parametrize(
    ("alpha", "error", "message"),
    [
        (0, ValueError, r"alpha=0 .* > 0 and <= 1"),
        (-0.5, ValueError, r"alpha=-0\.5 .* > 0 and <= 1"),
        (1.5, ValueError, r"alpha=1\.5 .* > 0 and <= 1"),
        (math.nan, ValueError, r"alpha=nan .* > 0 and <= 1"),
        ("0.1", TypeError, r"alpha='0\.1' .* number"),
        (False, TypeError, r"alpha=False .* number"),
    ],
)
def test_an_alpha_out_of_range_is_refused(
    weighting: type, alpha: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        weighting(alpha)


@pytest.mark.parametrize("weighting", [OptimisticWeighting, CentralWeighting])
def test_an_alpha_of_1_is_uniform(weighting: type) -> None:
    inputs = {
        **random_inputs(9),
        "greedy_target_value": torch.zeros(24, 1),
        "is_greedy": torch.zeros(24, 1, dtype=torch.bool),
    }
    assert torch.equal(weigh(weighting(1.0), inputs), torch.ones(24, 1))
