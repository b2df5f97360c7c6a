"""The importance of agents' advantages: plain loops, signs, and what it depends on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from remix_plugin.modules.heads import HeadMLP
from remix_plugin.modules.importance import ActionImportance

STATE, ACTIONS, HEADS, HIDDEN = 5, 4, 3, 6
LAYERS = pytest.mark.parametrize("layers", [1, 2, 3])


def build(n_agents: int = 3, layers: int = 1, seed: int = 0) -> ActionImportance:
    """Of float64, with parameters large enough to tell the networks apart."""
    torch.manual_seed(seed)
    module = ActionImportance(
        state_dim=STATE,
        n_agents=n_agents,
        n_actions=ACTIONS,
        n_heads=HEADS,
        importance_layers=layers,
        hypernet_dim=HIDDEN,
    ).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2)
    return module


def draw(*batch: int, n_agents: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    """One-hot actions and states."""
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randint(0, ACTIONS, (*batch, n_agents), generator=generator)
    state = torch.randn(*batch, STATE, generator=generator, dtype=torch.float64)
    return nn.functional.one_hot(actions, ACTIONS), state


def slow_layer(weight: Tensor, bias: Tensor, inputs: list[float]) -> list[float]:
    return [
        sum(w * x for w, x in zip(row, inputs, strict=True)) + b
        for row, b in zip(weight.tolist(), bias.tolist(), strict=True)
    ]


def slow_head(network: HeadMLP, head: int, inputs: list[float]) -> list[float]:
    width = network.first.out_features // HEADS
    rows = slice(head * width, (head + 1) * width)
    outputs = slow_layer(network.first.weight[rows], network.first.bias[rows], inputs)
    for layer in network.others:
        outputs = [max(x, 0.0) for x in outputs]
        outputs = slow_layer(layer.weight[head], layer.bias[head], outputs)
    return outputs


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def slow_importance(
    module: ActionImportance, actions: list[list[int]], state: list[float]
) -> list[float]:
    joint = state + [float(x) for action in actions for x in action]
    found = []
    for i in range(len(actions)):
        found.append(0.0)
        for head in range(HEADS):
            key = abs(slow_head(module.key, head, state)[0]) + 1e-10
            agent = sigmoid(slow_head(module.agent, head, state)[i])
            action = sigmoid(slow_head(module.action, head, joint)[i])
            found[i] += key * agent * action
    return found


@LAYERS
@pytest.mark.parametrize("n_agents", [1, 3])
def test_importance_equals_plain_loops(n_agents: int, layers: int) -> None:
    module = build(n_agents, layers)
    one_hot, state = draw(7, n_agents=n_agents)
    found = module(one_hot, state)
    assert found.shape == (7, n_agents, 1)
    for row in range(7):
        expected = slow_importance(module, one_hot[row].tolist(), state[row].tolist())
        assert found[row].flatten().tolist() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_any_shape_of_a_batch_gives_the_same(batch: tuple[int, ...]) -> None:
    module = build()
    one_hot, state = draw(*batch)
    found = module(one_hot, state)
    assert found.shape == (*batch, 3, 1)
    flat = module(one_hot.reshape(-1, 3, ACTIONS), state.reshape(-1, STATE))
    torch.testing.assert_close(found.reshape(-1, 3, 1), flat)


@pytest.mark.parametrize("dtype", [torch.bool, torch.long, torch.float32])
def test_actions_may_have_any_type(dtype: torch.dtype) -> None:
    module = build()
    one_hot, state = draw(4)
    expected = module(one_hot.double(), state)
    found = module(one_hot.to(dtype), state)
    assert found.dtype == torch.float64
    assert torch.equal(found, expected)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), scale=st.floats(0, 20))
def test_property_importance_is_positive(seed: int, scale: float) -> None:
    one_hot, state = draw(5, seed=seed)
    assert (build(seed=seed % 7)(one_hot, scale * state) > 0).all()


@LAYERS
def test_importance_is_positive_where_all_keys_are_0(layers: int) -> None:
    module = build(layers=layers)
    for parameter in module.key.parameters():
        parameter.data.zero_()
    one_hot, state = draw(5)
    found = module(one_hot, state)
    assert (found > 0).all()
    assert (found < 1e-9).all()


def test_importance_depends_on_the_state_and_on_what_all_do() -> None:
    module = build()
    one_hot, state = draw(1)
    expected = module(one_hot, state)
    assert (module(one_hot, state + 1) != expected).all()
    for agent in range(3):
        other = one_hot.clone()
        other[:, agent] = one_hot[:, agent].roll(1, -1)
        assert (module(other, state) != expected).all()


@LAYERS
def test_all_parameters_learn(layers: int) -> None:
    module = build(layers=layers)
    module(*draw(9)).sum().backward()
    assert all(parameter.grad.any() for parameter in module.parameters())


SIZES = {
    "state_dim": 2,
    "n_agents": 2,
    "n_actions": 2,
    "n_heads": 1,
    "importance_layers": 1,
}


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"n_heads": 0}, ValueError),
        ({"n_heads": 1.0}, TypeError),
        ({"hypernet_dim": 0}, ValueError),
        ({"importance_layers": 0}, ValueError),
        ({"importance_layers": 4}, ValueError),
    ],
)
def test_sizes_out_of_range_are_refused_by_name(
    option: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(option))):
        ActionImportance(**{**SIZES, **option})
