"""ReMIX's weights as the loss gets them: values, gradients, refused options."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from remix_options import remix_weighting
from tensordict import TensorDict
from torch import Tensor
from weighting_inputs import (
    SUBSETS,
    Inputs,
    assert_within,
    plain_inputs,
    random_inputs,
    weigh,
)

from remix_plugin.weighting.base import WEIGHT, Weighting
from remix_plugin.weighting.remix import NORMALIZATIONS, TERMS

NAMES = {
    "online": "unrestricted_value",
    "target": "unrestricted_target_value",
    "available": "action_probability",
    "all": "unmasked_action_probability",
}


def slow_raw(inputs: Inputs, index: int, options: dict[str, Any]) -> float:
    """The product of the factors for one transition, from the formulae."""
    value = inputs["chosen_action_value"][index].item()
    error = inputs["target_value"][index].item() - value
    if error <= 0:
        return 0.0
    raw = error if "bellman_error" in options["terms"] else 1.0
    if "value_underestimation" in options["terms"]:
        name = NAMES[options.get("unrestricted_value", "online")]
        gap = inputs[name][index].item() - value
        clip = options["exponent_clip"]
        raw *= math.exp(min(max(gap, -clip), clip))
    if "mixer_gradient" in options["terms"]:
        bracket = -1.0
        agents = inputs["mixer_gradient"].shape[-2]
        for agent in range(agents):
            gradient = inputs["mixer_gradient"][index, agent, 0].item()
            name = NAMES[options.get("policy_support", "available")]
            probability = inputs[name][index, agent, 0].item()
            bracket += (1 - probability) / max(gradient, options["gradient_floor"])
        raw *= max(bracket, 0.0)
    return raw


def slow_weights(inputs: Inputs, options: dict[str, Any]) -> list[float]:
    """Weights of all transitions, in float64, one at a time."""
    low, high = options["w_min"], options["w_max"]
    raws = [slow_raw(inputs, i, options) for i in range(len(inputs["valid"]))]
    counted = [
        raw for raw, ok in zip(raws, inputs["valid"].flatten(), strict=True) if ok
    ]
    positive = [raw for raw in counted if raw > 0]
    if options["normalization"] == "mean_positive":
        counted = positive
    if sum(counted) == 0:
        return [low] * len(raws)
    if options["normalization"] == "clipped":
        limit = options.get("mean_multiple", 2.0) * sum(positive) / len(positive)
        least, most = min(*counted, limit), min(max(counted), limit)
        if least == most:
            return [low] * len(raws)
        shares = [(min(raw, limit) - least) / (most - least) for raw in raws]
        scaled = [low + (high - low) * share for share in shares]
    elif options["normalization"] == "max":
        top = max(counted)
        scaled = [low + (high - low) * raw / top for raw in raws]
    else:
        mean = sum(counted) / len(counted)
        scaled = [raw / mean for raw in raws]
    return [min(max(weight, low), high) for weight in scaled]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("terms", SUBSETS, ids=lambda terms: "+".join(terms) or "none")
def test_weights_equal_a_slow_implementation(
    terms: tuple[str, ...], normalization: str
) -> None:
    for seed, (w_min, w_max) in enumerate([(0.1, 1.0), (0.01, 20.0), (0.5, 0.5)]):
        options = {
            "terms": terms,
            "normalization": normalization,
            "w_min": w_min,
            "w_max": w_max,
            "exponent_clip": 2.5,
            "gradient_floor": 0.05,
            "mean_multiple": (2.0, 0.7, 1.0)[seed],
            "unrestricted_value": ("online", "target", "target")[seed],
            "policy_support": ("available", "all", "available")[seed],
        }
        inputs = random_inputs(seed)
        weight = weigh(remix_weighting(**options), inputs)
        assert weight.dtype == torch.float32
        valid = inputs["valid"]
        expected = torch.tensor(slow_weights(inputs, options)).unsqueeze(-1)
        torch.testing.assert_close(weight[valid], expected[valid], rtol=1e-5, atol=0)
        assert_within(weight, w_min, w_max)


def test_defaults_are_those_of_the_formulae() -> None:
    inputs = random_inputs(7)
    options = {
        "terms": TERMS,
        "normalization": "clipped",
        "w_min": 0.1,
        "w_max": 1.0,
        "exponent_clip": 5.0,
        "gradient_floor": 1e-3,
    }
    valid = inputs["valid"]
    expected = torch.tensor(slow_weights(inputs, options)).unsqueeze(-1)
    weight = weigh(remix_weighting(), inputs)
    torch.testing.assert_close(weight[valid], expected[valid], rtol=1e-5, atol=0)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("terms", SUBSETS, ids=lambda terms: "+".join(terms) or "none")
def test_theorem_1_in_float64(terms: tuple[str, ...], normalization: str) -> None:
    options = {
        "terms": terms,
        "normalization": normalization,
        "w_min": 0.1,
        "w_max": 1.0,
        "exponent_clip": 5.0,
        "gradient_floor": 1e-3,
    }
    inputs = {
        key: x.double() if x.is_floating_point() else x
        for key, x in random_inputs(9).items()
    }
    weight = weigh(remix_weighting(terms=terms, normalization=normalization), inputs)
    assert weight.dtype == torch.float64
    expected = torch.tensor(slow_weights(inputs, options), dtype=torch.float64)
    valid = inputs["valid"]
    torch.testing.assert_close(
        weight[valid], expected.unsqueeze(-1)[valid], rtol=1e-12, atol=0
    )


def test_on_policyness_changes_no_weight() -> None:
    inputs = random_inputs(3)
    without = remix_weighting(terms=TERMS[:3])
    assert torch.equal(weigh(without, inputs), weigh(remix_weighting(), inputs))


def test_three_transitions_by_hand() -> None:
    inputs = plain_inputs([0.0, 0.0, 0.0], [1.0, 3.0, -5.0])
    # The gradient factor is (0.5 + 0.5) / 0.5 - 1 = 1 and the exponential 1, so the
    # raw weights are 1, 3, 0: their mean 4 / 3, over the positive ones 2, at most 3.
    expected = {
        "mean": [0.75, 2.25, 0.1],
        "mean_positive": [0.5, 1.5, 0.1],
        "max": [0.1 + 3.9 / 3, 4.0, 0.1],
        # Up to 4, twice the mean of the positive ones
        "clipped": [0.1 + 3.9 / 3, 4.0, 0.1],
    }
    for normalization, weights in expected.items():
        weighting = remix_weighting(normalization=normalization, w_max=4.0)
        assert weigh(weighting, inputs).flatten().tolist() == pytest.approx(weights)


def test_sequences_weigh_as_their_flattened_batch() -> None:
    inputs = random_inputs(5, size=24)
    sequences = {key: x.unflatten(0, (4, 6)) for key, x in inputs.items()}
    weight = weigh(remix_weighting(w_max=9.0), sequences)
    assert weight.shape == (4, 6, 1)
    flat = weigh(remix_weighting(w_max=9.0), inputs)
    torch.testing.assert_close(weight.flatten(0, 1), flat, rtol=1e-6, atol=0)


def test_weights_carry_no_gradient_and_leave_inputs_alone() -> None:
    inputs = random_inputs(1)
    batch = TensorDict(inputs, batch_size=[24])
    batch["target_value"].requires_grad_()
    before = batch.clone()
    weight = remix_weighting()(batch).get(WEIGHT)
    assert not weight.requires_grad
    assert (before == batch.exclude(WEIGHT)).all()


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"w_min": 0.5, "w_max": 0.2}, ValueError, r"w_min=0\.5 .* > 0 and <= 0\.2"),
        ({"w_min": 0}, ValueError, r"w_min=0 .* > 0 and <= 1\.0"),
        ({"w_min": -0.1}, ValueError, r"w_min=-0\.1 .* > 0"),
        ({"w_max": 0}, ValueError, r"w_max=0 .* > 0"),
        ({"w_max": -1.0}, ValueError, r"w_max=-1\.0 .* > 0"),
        ({"w_max": math.inf}, ValueError, r"w_max=inf .* number"),
        ({"w_min": math.nan}, ValueError, r"w_min=nan .* number"),
        ({"w_min": "0.1"}, TypeError, r"w_min='0\.1' .* number"),
        ({"w_max": None}, TypeError, r"w_max=None .* number"),
        ({"w_min": True}, TypeError, r"w_min=True .* number"),
        ({"exponent_clip": -1}, ValueError, r"exponent_clip=-1 .* >= 0"),
        ({"exponent_clip": 101}, ValueError, r"exponent_clip=101 .* <= 100"),
        ({"exponent_clip": "5"}, TypeError, r"exponent_clip='5' .* number"),
        ({"gradient_floor": 0.0}, ValueError, r"gradient_floor=0\.0 .* >= 1e-12"),
        ({"gradient_floor": -1.0}, ValueError, r"gradient_floor=-1\.0 .* >= 1e-12"),
        ({"gradient_floor": [1]}, TypeError, r"gradient_floor=\[1\] .* number"),
        ({"terms": ["regret"]}, ValueError, r"terms entry='regret' .*bellman_error"),
        ({"terms": "bellman_error"}, TypeError, r"terms='bellman_error' .* list"),
        ({"terms": [1]}, ValueError, r"terms entry=1 .*on_policyness"),
        ({"terms": [TERMS[0]] * 2}, ValueError, r"terms=\['bellman_error'.*repeated"),
        ({"normalization": "sum"}, ValueError, r"normalization='sum' .*mean_positive"),
        ({"normalization": None}, ValueError, r"normalization=None .*'max'"),
        ({"mean_multiple": 0}, ValueError, r"mean_multiple=0 .* > 0"),
        ({"mean_multiple": math.inf}, ValueError, r"mean_multiple=inf .* > 0"),
        ({"mean_multiple": "2"}, TypeError, r"mean_multiple='2' .* number"),
        ({"unrestricted_value": "both"}, ValueError, r"value='both' .*'online'"),
        ({"policy_support": "none"}, ValueError, r"support='none' .*'available'"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_options_out_of_range_are_refused_by_name(
    kwargs: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        remix_weighting(**kwargs)


def test_options_on_their_bounds_are_accepted() -> None:
    weighting = remix_weighting(terms=[], w_min=1, w_max=1, exponent_clip=0)
    assert weighting.terms == ()
    assert weighting.w_min == weighting.w_max == 1


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="alpha"):
        remix_weighting(alpha=0.1)


def test_a_weighting_of_a_users_own_reads_its_in_keys_in_order() -> None:
    class Doubtful(Weighting):
        in_keys = [("agents", "doubt"), "target_value"]

        def weight(self, doubt: Tensor, target: Tensor) -> Tensor:
            return doubt.mean(-2) + 0.0 * target

    batch = TensorDict({"target_value": torch.zeros(2, 1)}, batch_size=[2])
    batch["agents", "doubt"] = torch.tensor([[[1.0], [3.0]], [[0.0], [1.0]]])
    assert Doubtful()(batch)[WEIGHT].tolist() == [[2.0], [0.5]]
