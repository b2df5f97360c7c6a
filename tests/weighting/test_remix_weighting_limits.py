"""ReMIX's weights of degenerate batches, and where they are exactly a bound."""

from __future__ import annotations

import pytest
import torch
from remix_options import remix_weighting
from weighting_inputs import (
    SUBSETS,
    Inputs,
    assert_within,
    plain_inputs,
    random_inputs,
    weigh,
)

from remix_plugin.weighting.remix import NORMALIZATIONS


def degenerate(name: str) -> Inputs:
    inputs = random_inputs(11, size=6)
    value, target = inputs["chosen_action_value"], inputs["target_value"]
    if name == "one entry":
        inputs = plain_inputs([0.0], [2.0])
    elif name == "huge targets":
        target[::2], target[1::2] = 1e30, -1e30
    elif name == "huge values":
        value[::2], value[1::2] = 1e30, -1e30
    elif name == "all huge":
        value.fill_(-1e30)
        target.fill_(1e30)
        inputs["unrestricted_value"].fill_(1e30)
        inputs["mixer_gradient"].zero_()
        inputs["action_probability"].zero_()
    elif name == "largest floats":
        value.fill_(torch.finfo(torch.float32).min)
        target.fill_(torch.finfo(torch.float32).max)
    elif name == "huge unrestricted values":
        inputs["unrestricted_value"][::2] = 1e30
        inputs["unrestricted_value"][1::2] = -1e30
    elif name == "zero gradient":
        inputs["mixer_gradient"].zero_()
    elif name == "tiny gradient":
        inputs["mixer_gradient"].fill_(1e-38)
    elif name == "huge gradient":
        inputs["mixer_gradient"].fill_(1e38)
    elif name == "certain actions":
        inputs["action_probability"].fill_(1.0)
    elif name == "one outlier":
        target[3] = 1e30
    elif name == "tiny errors":
        target.copy_(value.fill_(0.0) + 1e-38)
    elif name == "all padding":
        inputs["valid"].zero_()
    return inputs


DEGENERATE = [
    "one entry",
    "huge targets",
    "huge values",
    "all huge",
    "largest floats",
    "huge unrestricted values",
    "zero gradient",
    "tiny gradient",
    "huge gradient",
    "certain actions",
    "one outlier",
    "tiny errors",
    "all padding",
]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_batches_stay_within_bounds(name: str, normalization: str) -> None:
    for terms in SUBSETS:
        for clip in (0.0, 5.0, 100.0):
            weighting = remix_weighting(
                terms=terms, normalization=normalization, exponent_clip=clip
            )
            assert_within(weigh(weighting, degenerate(name)), 0.1, 1.0)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_one_underestimated_entry_alone_gets_the_largest_weight(
    normalization: str,
) -> None:
    weighting = remix_weighting(normalization=normalization)
    assert weigh(weighting, plain_inputs([0.0, 0.0], [2.0, 0.0]))[0].item() == 1.0
    # Where there is nothing else, "clipped" has no range to spread.
    alone = weigh(weighting, plain_inputs([0.0], [2.0])).item()
    assert alone == pytest.approx(0.1 if normalization == "clipped" else 1.0)


@pytest.mark.parametrize("normalization", ["mean", "max"])
def test_beside_an_enormous_outlier_the_others_get_the_smallest_weight(
    normalization: str,
) -> None:
    inputs = plain_inputs([0.0] * 4, [1.0, 1e30, 2.0, 0.5])
    weight = weigh(remix_weighting(normalization=normalization), inputs)
    assert torch.equal(weight, torch.tensor([[0.1], [1.0], [0.1], [0.1]]))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_actions_that_are_certain_leave_no_regret(normalization: str) -> None:
    inputs = random_inputs(2)
    inputs["action_probability"].fill_(1.0)
    weight = weigh(remix_weighting(normalization=normalization), inputs)
    assert torch.equal(weight, torch.full_like(weight, 0.1))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("terms", SUBSETS, ids=lambda terms: "+".join(terms) or "none")
def test_nothing_underestimated_gives_exactly_the_smallest_weight(
    terms: tuple[str, ...], normalization: str
) -> None:
    inputs = random_inputs(4)
    # The first entry is a tie: Q_tot >= y holds there too.
    distance = inputs["target_value"].abs()
    distance[0] = 0.0
    inputs["target_value"] = inputs["chosen_action_value"] - distance
    weight = weigh(remix_weighting(terms=terms, normalization=normalization), inputs)
    assert torch.equal(weight, torch.full_like(weight, 0.1))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("terms", SUBSETS, ids=lambda terms: "+".join(terms) or "none")
def test_overestimated_entries_get_exactly_the_smallest_weight(
    terms: tuple[str, ...], normalization: str
) -> None:
    inputs = random_inputs(6)
    inputs["target_value"][1] = inputs["chosen_action_value"][1]
    weight = weigh(remix_weighting(terms=terms, normalization=normalization), inputs)
    below = inputs["chosen_action_value"] >= inputs["target_value"]
    assert 0 < below.sum() < below.numel()
    assert (weight[below] == torch.tensor(0.1)).all()
