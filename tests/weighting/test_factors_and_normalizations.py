"""Each factor of a weight and each normalization, against values worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from remix_plugin.weighting.remix import (
    bellman_error,
    gradient_factor,
    normalize,
    value_underestimation,
)
from remix_plugin.weighting.wqmix import central, optimistic


def column(*values: float) -> Tensor:
    """Team values ``[B, 1]``."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(-1)


def flags(*values: int) -> Tensor:
    """Booleans ``[B, 1]``."""
    return torch.tensor(values, dtype=torch.bool).unsqueeze(-1)


def per_agent(*rows: tuple[float, ...]) -> Tensor:
    """Values of agents ``[B, n, 1]``."""
    return torch.tensor(rows, dtype=torch.float64).unsqueeze(-1)


def normalized(raw: Tensor, name: str, valid: Tensor | None = None, **bounds) -> list:
    valid = torch.ones_like(raw, dtype=torch.bool) if valid is None else valid
    bounds = {"w_min": 0.1, "w_max": 1.0, "mean_multiple": 2.0, **bounds}
    return normalize(raw, valid, normalization=name, **bounds).squeeze(-1).tolist()


def test_bellman_error_is_the_positive_part_of_target_minus_value() -> None:
    error = bellman_error(column(1, 2, 3, -4), column(2.5, 2, 1, -1))
    assert error.squeeze(-1).tolist() == [1.5, 0.0, 0.0, 3.0]


def test_value_underestimation_is_the_exponential_of_a_clipped_gap() -> None:
    factor = value_underestimation(column(1, 0, 9, -9), column(0, 1, 0, 0), 2.0)
    expected = [math.e, 1 / math.e, math.e**2, math.e**-2]
    assert factor.squeeze(-1).tolist() == pytest.approx(expected, rel=1e-12)


def test_value_underestimation_with_a_clip_of_0_is_1() -> None:
    assert value_underestimation(column(7, -7), column(0, 0), 0.0).tolist() == [
        [1.0],
        [1.0],
    ]


def test_gradient_factor_on_situations_by_hand() -> None:
    gradient = per_agent((0.5, 0.25), (1.0, 2.0), (0.0, 1.0), (1.0, 1.0))
    probability = per_agent((0.5, 0.75), (0.5, 0.5), (0.75, 1.0), (1.0, 1.0))
    factor = gradient_factor(gradient, probability, 0.125)
    # 0.5 / 0.5 + 0.25 / 0.25 - 1;  0.5 + 0.25 - 1 < 0;  0.25 / floor + 0 - 1;  -1 < 0
    assert factor.squeeze(-1).tolist() == [1.0, 0.0, 1.0, 0.0]


def test_gradient_factor_sums_over_agents_in_a_batch_of_sequences() -> None:
    gradient = torch.ones(2, 3, 4, 1)
    factor = gradient_factor(gradient, torch.full_like(gradient, 0.5), 1e-3)
    assert factor.shape == (2, 3, 1)
    assert (factor == 1.0).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The mean of 0, 1, 2, 5 is 2.
        ("mean", [0.1, 0.5, 1.0, 1.0]),
        # The mean of 1, 2, 5 is 8 / 3.
        ("mean_positive", [0.1, 0.375, 0.75, 1.0]),
        # 0.1 + 0.9 * raw / 5
        ("max", [0.1, 0.28, 0.46, 1.0]),
        # Twice the mean of 1, 2, 5 is 16 / 3, so nothing is clipped.
        ("clipped", [0.1, 0.28, 0.46, 1.0]),
    ],
)
def test_normalizations_by_hand(name: str, expected: list[float]) -> None:
    assert normalized(column(0, 1, 2, 5), name) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The mean of 0, 1, 5 is 2.
        ("mean", [0.2, 0.5, 2.5]),
        # The mean of 1, 5 is 3.
        ("mean_positive", [0.2, 1 / 3, 5 / 3]),
        # 0.2 + 3.8 * raw / 5
        ("max", [0.2, 0.96, 4.0]),
        # Twice the mean of 1, 5 is 6.
        ("clipped", [0.2, 0.96, 4.0]),
    ],
)
def test_padding_counts_in_no_normalization(name: str, expected: list[float]) -> None:
    valid = flags(1, 0, 1, 0, 1)
    for padding in (0.0, 3.0, 1e12):
        raw = column(0, padding, 1, padding, 5)
        weight = normalized(raw, name, valid, w_min=0.2, w_max=4.0)
        kept = [weight[0], weight[2], weight[4]]
        assert kept == pytest.approx(expected, rel=1e-12)
        assert all(0.2 <= w <= 4.0 for w in weight)


@pytest.mark.parametrize("name", ["mean", "mean_positive", "max", "clipped"])
@pytest.mark.parametrize("valid", [flags(1, 1, 1), flags(1, 0, 0), flags(0, 0, 0)])
def test_all_zero_gives_the_smallest_weight(name: str, valid: Tensor) -> None:
    assert normalized(column(0, 0, 0), name, valid) == [0.1, 0.1, 0.1]


@pytest.mark.parametrize("name", ["mean", "mean_positive", "max", "clipped"])
def test_equal_bounds_give_uniform_weights(name: str) -> None:
    weight = normalized(column(0, 1, 7), name, w_min=0.5, w_max=0.5)
    assert weight == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("name", ["mean", "mean_positive"])
def test_the_mean_weight_is_1_while_no_bound_is_reached(name: str) -> None:
    weight = normalized(column(1, 2, 3, 6), name, w_min=0.01, w_max=100.0)
    assert sum(weight) / 4 == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(
    ("raw", "mean_multiple", "expected"),
    [
        # The mean of 1, 2, 9 is 4: 9 counts as 8, and 0.1 + 0.9 * c / 8.
        ((0, 1, 2, 9), 2.0, [0.1, 0.2125, 0.325, 1.0]),
        # All below once the mean: 1, 2 and 4, and 0.1 + 0.9 * c / 4.
        ((0, 1, 2, 9), 1.0, [0.1, 0.325, 0.55, 1.0]),
        # Without a 0 the least gets w_min: the mean is 4, so 2, 4, 5, from 0 to 1.
        ((2, 4, 6), 1.25, [0.1, 0.7, 1.0]),
        # Half the mean clips all to the same.
        ((2, 4, 6), 0.5, [0.1, 0.1, 0.1]),
        ((3, 3), 2.0, [0.1, 0.1]),
        # A mean of 100, beside which 0 and 1 are near.
        ((0, 1, 199), 2.0, [0.1, 0.1 + 0.9 / 199, 1.0]),
    ],
)
def test_clipped_by_hand(
    raw: tuple[float, ...], mean_multiple: float, expected: list[float]
) -> None:
    options = {"mean_multiple": mean_multiple}
    weight = normalized(column(*raw), "clipped", **options)
    assert weight == pytest.approx(expected, rel=1e-12)
    # Padding is neither in the mean nor among the extremes.
    valid = flags(*[1] * len(raw), 0, 0)
    weight = normalized(column(*raw, 0, 1e6), "clipped", valid, **options)
    assert weight[: len(raw)] == pytest.approx(expected, rel=1e-12)
    assert all(0.1 <= w <= 1.0 for w in weight)


def test_an_unknown_normalization_is_refused() -> None:
    with pytest.raises(ValueError, match=r"normalization='median' .* 'mean_positive'"):
        normalized(column(1), "median")


def test_optimistic_by_hand_with_ties_at_alpha() -> None:
    value, target = column(1, 2, 3), column(2, 2, 2)
    weight = optimistic(value, target, 0.1)
    assert weight.squeeze(-1).tolist() == pytest.approx([1.0, 0.1, 0.1])
    loss = (weight * (value - target).square()).mean().item()
    assert loss == pytest.approx(1.1 / 3)


def test_central_by_hand() -> None:
    weight = central(column(5, 1, 1), column(4, 4, 4), flags(0, 1, 0), 0.1)
    assert weight.squeeze(-1).tolist() == pytest.approx([1.0, 1.0, 0.1])


def test_central_gives_ties_alpha_unless_greedy() -> None:
    weight = central(column(4, 4), column(4, 4), flags(0, 1), 0.25)
    assert weight.squeeze(-1).tolist() == [0.25, 1.0]
