"""What the loss offers to a weighting, made up for tests, and ReMIX's terms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from tensordict import TensorDict
from torch import Tensor

from remix_plugin.weighting.base import WEIGHT, Weighting
from remix_plugin.weighting.remix import TERMS

Inputs = dict[str, Tensor]
SUBSETS = [
    subset for size in range(5) for subset in itertools.combinations(TERMS, size)
]


def random_inputs(seed: int, size: int = 24, n_agents: int = 3) -> Inputs:
    """What the loss offers, of ordinary size, some of it padding."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    gradient = uniform(size, n_agents, 1)
    gradient[::5, 0] = 0.0
    return {
        "chosen_action_value": normal(size, 1),
        "unrestricted_value": 4.0 * normal(size, 1),
        "target_value": normal(size, 1) + 0.3,
        "mixer_gradient": gradient,
        "action_probability": uniform(size, n_agents, 1),
        "valid": uniform(size, 1) < 0.8,
        "unrestricted_target_value": 4.0 * normal(size, 1),
        "unmasked_action_probability": uniform(size, n_agents, 1),
    }


def plain_inputs(value: Sequence[float], target: Sequence[float]) -> Inputs:
    """Values and targets, all else neutral: the weight follows the Bellman error."""
    value_, target_ = (torch.tensor(x).unsqueeze(-1) for x in (value, target))
    size = len(value)
    return {
        "chosen_action_value": value_,
        "unrestricted_value": value_.clone(),
        "target_value": target_,
        "mixer_gradient": torch.full((size, 2, 1), 0.5),
        "action_probability": torch.full((size, 2, 1), 0.5),
        "valid": torch.ones(size, 1, dtype=torch.bool),
    }


def weigh(weighting: Weighting, inputs: Inputs) -> Tensor:
    """Call a weighting as the loss does."""
    batch = TensorDict(inputs, batch_size=inputs["target_value"].shape[:-1])
    return weighting(batch).get(WEIGHT)


def assert_within(weight: Tensor, w_min: float, w_max: float) -> None:
    """Finite and within bounds, as float32 rounds them."""
    assert weight.isfinite().all()
    assert (weight >= torch.tensor(w_min)).all()
    assert (weight <= torch.tensor(w_max)).all()
