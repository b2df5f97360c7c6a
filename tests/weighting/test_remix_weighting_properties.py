"""Properties of ReMIX's weights on batches that Hypothesis makes up."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from remix_options import remix_weighting
from weighting_inputs import SUBSETS, Inputs, assert_within, plain_inputs, weigh

from remix_plugin.weighting.remix import NORMALIZATIONS

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)


def numbers(bound: float) -> st.SearchStrategy[float]:
    return st.floats(-bound, bound, width=32)


def batches(bound: float, size: int = 6) -> st.SearchStrategy[list[list[float]]]:
    """``size`` entries: Q_tot, Q_star, y, two gradients, two probabilities."""
    share = st.floats(0.0, 1.0, width=32)
    gradient = st.floats(0.0, min(bound, 2.0**60), width=32)
    row = st.tuples(*[numbers(bound)] * 3, gradient, gradient, share, share)
    return st.lists(row.map(list), min_size=1, max_size=size)


def from_rows(rows: list[list[float]]) -> Inputs:
    table = torch.tensor(rows)
    return {
        "chosen_action_value": table[:, 0:1],
        "unrestricted_value": table[:, 1:2],
        "target_value": table[:, 2:3],
        "mixer_gradient": table[:, 3:5].unsqueeze(-1),
        "action_probability": table[:, 5:7].unsqueeze(-1),
        "valid": torch.ones(len(rows), 1, dtype=torch.bool),
    }


options = st.fixed_dictionaries(
    {
        "terms": st.sampled_from(SUBSETS),
        "normalization": st.sampled_from(NORMALIZATIONS),
    }
)


@PROPERTY
@given(rows=batches(float(2**100)), kwargs=options)
def test_property_weights_are_finite_and_within_bounds(
    rows: list[list[float]], kwargs: dict[str, Any]
) -> None:
    weighting = remix_weighting(**kwargs, w_min=0.2, w_max=3.0)
    assert_within(weigh(weighting, from_rows(rows)), 0.2, 3.0)


@PROPERTY
@given(rows=batches(64.0), kwargs=options, rise=st.floats(0.0, 64.0, width=32))
def test_property_a_weight_does_not_fall_when_its_bellman_error_rises(
    rows: list[list[float]], kwargs: dict[str, Any], rise: float
) -> None:
    weighting = remix_weighting(**kwargs, w_max=10.0)
    before = weigh(weighting, from_rows(rows))[0].item()
    rows[0][2] += rise
    assert weigh(weighting, from_rows(rows))[0].item() >= before * (1 - 1e-6)


@PROPERTY
@given(
    errors=st.lists(numbers(64.0), min_size=2, max_size=8),
    normalization=st.sampled_from(NORMALIZATIONS),
)
def test_property_within_a_batch_weights_are_ordered_as_the_errors(
    errors: list[float], normalization: str
) -> None:
    weighting = remix_weighting(normalization=normalization, w_max=10.0)
    weight = weigh(weighting, plain_inputs([0.0] * len(errors), sorted(errors)))
    assert (weight.flatten().diff() >= 0).all()


@PROPERTY
@given(rows=batches(64.0), kwargs=options, seed=st.integers(0, 999))
def test_property_permuting_the_batch_permutes_the_weights(
    rows: list[list[float]], kwargs: dict[str, Any], seed: int
) -> None:
    weighting = remix_weighting(**kwargs, w_max=10.0)
    inputs = from_rows(rows)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    weight = weigh(weighting, {key: x[order] for key, x in inputs.items()})
    expected = weigh(weighting, inputs)[order]
    torch.testing.assert_close(weight, expected, rtol=1e-6, atol=0)


@PROPERTY
@given(
    rows=batches(64.0),
    normalization=st.sampled_from(NORMALIZATIONS),
    scale=st.floats(1e-3, 1e3),
)
def test_property_a_common_scale_of_errors_cancels(
    rows: list[list[float]], normalization: str, scale: float
) -> None:
    weighting = remix_weighting(
        terms=["bellman_error", "mixer_gradient"],
        normalization=normalization,
        w_max=10.0,
    )
    inputs = {
        key: x.double() if x.is_floating_point() else x
        for key, x in from_rows(rows).items()
    }
    expected = weigh(weighting, inputs)
    for key in ("chosen_action_value", "target_value"):
        inputs[key] = inputs[key] * scale
    torch.testing.assert_close(weigh(weighting, inputs), expected, rtol=1e-6, atol=0)
