"""Joint and state values of QTRAN, its residuals, and what zero residuals prove."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from remix_plugin.modules.qtran import (
    FeatureJointValue,
    JointActionValue,
    StateValue,
    qtran_residuals,
)

AGENTS, ACTIONS, STATE, FEATURES, EMBED = 3, 4, 5, 2, 7
PROPERTY = settings(max_examples=50, deadline=None, derandomize=True)


def feature_value(n_agents: int = AGENTS) -> FeatureJointValue:
    return FeatureJointValue(
        state_dim=STATE, n_features=FEATURES, n_actions=ACTIONS, embed_dim=EMBED
    )


def action_value(n_agents: int = AGENTS) -> JointActionValue:
    return JointActionValue(
        state_dim=STATE, n_agents=n_agents, n_actions=ACTIONS, embed_dim=EMBED
    )


def state_value(n_agents: int = AGENTS) -> StateValue:
    return StateValue(state_dim=STATE, embed_dim=EMBED)


MAKE = [feature_value, action_value, state_value]


def build(
    make: Callable[[int], nn.Module], n_agents: int = AGENTS, seed: int = 0
) -> nn.Module:
    """Of float64, with parameters large enough to tell inputs apart."""
    torch.manual_seed(seed)
    network = make(n_agents).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    return network


def inputs_of(
    network: nn.Module, *batch: int, n_agents: int = AGENTS, seed: int = 1
) -> list[Tensor]:
    """One-hot actions, features and states: those that the network reads."""
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randint(0, ACTIONS, (*batch, n_agents), generator=generator)
    options = {"generator": generator, "dtype": torch.float64}
    features = torch.randn(*batch, n_agents, FEATURES, **options)
    inputs = [torch.randn(*batch, STATE, **options)]
    if isinstance(network, FeatureJointValue):
        inputs = [features, *inputs]
    if not isinstance(network, StateValue):
        inputs = [nn.functional.one_hot(actions, ACTIONS), *inputs]
    return inputs


def slow_mlp(network: nn.Sequential, inputs: list[float]) -> list[float]:
    """Linear and ReLU layers one after the other, in plain Python."""
    for layer in network:
        if isinstance(layer, nn.Linear):
            rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
            inputs = [
                sum(w * x for w, x in zip(weight, inputs, strict=True)) + bias
                for weight, bias in rows
            ]
        else:
            assert isinstance(layer, nn.ReLU)
            inputs = [max(x, 0.0) for x in inputs]
    return inputs


def slow_value(network: nn.Module, *inputs: list) -> float:
    """Value of one transition."""
    if isinstance(network, StateValue):
        return slow_mlp(network.state_value, inputs[0])[0]
    actions, *features, state = inputs
    if isinstance(network, JointActionValue):
        joint = [x for action in actions for x in action]
        return slow_mlp(network.joint_value, state + joint)[0]
    encoded = [0.0] * (FEATURES + ACTIONS)
    for own, action in zip(features[0], actions, strict=True):
        encoding = slow_mlp(network.encoder, own + action)
        encoded = [a + b for a, b in zip(encoded, encoding, strict=True)]
    return slow_mlp(network.joint_value, state + encoded)[0]


@pytest.mark.parametrize("n_agents", [1, 3])
@pytest.mark.parametrize("make", MAKE)
def test_value_equals_plain_loops(
    make: Callable[[int], nn.Module], n_agents: int
) -> None:
    network = build(make, n_agents)
    inputs = inputs_of(network, 9, n_agents=n_agents)
    value = network(*inputs)
    for row in range(9):
        expected = slow_value(network, *(x[row].tolist() for x in inputs))
        assert value[row].item() == pytest.approx(expected, rel=1e-10)


def layers(network: nn.Sequential) -> list[str]:
    return [
        f"{layer.in_features}-{layer.out_features}"
        if isinstance(layer, nn.Linear)
        else type(layer).__name__
        for layer in network
    ]


def test_layers() -> None:
    features, actions, state = (build(make) for make in MAKE)
    assert layers(features.encoder) == ["6-6", "ReLU", "6-6"]
    assert layers(features.joint_value) == ["11-7", "ReLU", "7-7", "ReLU", "7-1"]
    assert layers(actions.joint_value) == ["17-7", "ReLU", "7-7", "ReLU", "7-1"]
    assert layers(state.state_value) == ["5-7", "ReLU", "7-7", "ReLU", "7-1"]
    for network in (features, actions, state):
        assert all(isinstance(child, nn.Sequential) for child in network.children())


def test_hidden_layers_have_64_units_by_default() -> None:
    expected = ["2-64", "ReLU", "64-64", "ReLU", "64-1"]
    assert layers(StateValue(state_dim=2).state_value) == expected


@pytest.mark.parametrize("make", MAKE)
def test_every_parameter_learns(make: Callable[[int], nn.Module]) -> None:
    network = build(make)
    network(*inputs_of(network, 20)).sum().backward()
    assert all(parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize("make", MAKE)
def test_value_depends_on_each_input(make: Callable[[int], nn.Module]) -> None:
    network = build(make)
    inputs = inputs_of(network, 20)
    before = network(*inputs)
    for i, tensor in enumerate(inputs):
        others = inputs.copy()
        # Another row's state; the next action or feature of every agent.
        others[i] = tensor.roll(1, 0 if tensor.ndim == 2 else -1)
        assert (network(*others) != before).any(), i


def test_features_carry_gradient_to_their_encoder() -> None:
    network = build(feature_value)
    actions, features, state = inputs_of(network, 6)
    network(actions, features.requires_grad_(), state).sum().backward()
    assert features.grad.any(-1).any(-1).all()


def test_the_order_of_agents_is_lost_in_the_sum() -> None:
    network = build(feature_value)
    actions, features, state = inputs_of(network, 6)
    order = [2, 0, 1]
    expected = network(actions, features, state)
    actual = network(actions[:, order], features[:, order], state)
    torch.testing.assert_close(actual, expected)
    # But not who saw what, nor, without features, who did what.
    mixed = network(actions[:, order], features, state)
    assert (mixed - expected).abs().max() > 1e-3
    network = build(action_value)
    swapped = network(actions[:, order], state) - network(actions, state)
    assert swapped.abs().max() > 1e-3


@pytest.mark.parametrize("n_agents", [1, 3])
@pytest.mark.parametrize("batch", [(), (6,), (2, 3), (0,), (2, 3, 4)])
@pytest.mark.parametrize("make", MAKE)
def test_any_batch_shape_equals_its_flattened_batch(
    make: Callable[[int], nn.Module], batch: tuple[int, ...], n_agents: int
) -> None:
    network = build(make, n_agents)
    inputs = inputs_of(network, *batch, n_agents=n_agents)
    value = network(*inputs)
    assert value.shape == (*batch, 1)
    rows = math.prod(batch)
    # Rows last and first in memory: no input is contiguous.
    flat = [
        x.reshape(rows, *x.shape[len(batch) :]).movedim(0, -1).contiguous()
        for x in inputs
    ]
    expected = network(*(x.movedim(-1, 0) for x in flat))
    torch.testing.assert_close(value.reshape(-1, 1), expected)


@pytest.mark.parametrize("own", [torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float64])
@pytest.mark.parametrize("make", [feature_value, action_value])
def test_one_hot_actions_of_any_type(
    make: Callable[[int], nn.Module], dtype: torch.dtype, own: torch.dtype
) -> None:
    network = build(make).to(own)
    actions, *inputs = (x.to(own) for x in inputs_of(network, 4))
    expected = network(actions, *inputs)
    actual = network(actions.to(dtype), *inputs)
    assert actual.dtype == own
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("make", MAKE)
def test_parameters_can_be_swapped(make: Callable[[int], nn.Module]) -> None:
    network, other = build(make, seed=0), build(make, seed=1)
    inputs = tuple(inputs_of(network, 4))
    actual = functional_call(network, other.state_dict(), inputs)
    assert torch.equal(actual, other(*inputs))
    assert not torch.equal(actual, network(*inputs))


def residuals(*values: float) -> list[float]:
    tensors = [torch.tensor([value]) for value in values]
    return [residual.item() for residual in qtran_residuals(*tensors)]


def test_worked_residuals() -> None:
    assert residuals(3, 5, 1, 0, 1) == [-1, 0]
    assert residuals(3, 5, 1, 4, 1) == [-1, -2]
    assert residuals(3, 2, 1, 1, -2) == [-1, -2]
    assert residuals(6, 2, 1, 2, 1) == [5, 0]


def test_gradients_of_the_residuals() -> None:
    """Nothing is detached, and a satisfied inequality teaches nothing."""
    rows = [[3.0, 3.0], [5.0, 5.0], [1.0, 1.0], [4.0, 0.0], [1.0, 1.0]]
    inputs = [torch.tensor(row).unsqueeze(-1).requires_grad_() for row in rows]
    optimal, not_optimal = qtran_residuals(*inputs)
    assert optimal.shape == not_optimal.shape == (2, 1)
    found = torch.autograd.grad(optimal.sum(), [*inputs[:2], inputs[4]])
    assert [g.flatten().tolist() for g in found] == [[1, 1], [-1, -1], [1, 1]]
    found = torch.autograd.grad(not_optimal.sum(), inputs[2:])
    assert [g.flatten().tolist() for g in found] == [[1, 0], [-1, 0], [1, 0]]


JOINT = torch.tensor(list(itertools.product(range(ACTIONS), repeat=AGENTS)))


def sums(utilities: Tensor) -> tuple[Tensor, Tensor]:
    """``Q'(u)`` of every joint action ``[A^n, 1]``, and the row of greedy agents."""
    total = utilities.gather(-1, JOINT.T).sum(0).unsqueeze(-1)
    greedy = (utilities.argmax(-1) == JOINT).all(-1).nonzero().squeeze()
    return total, greedy


@PROPERTY
@given(seed=st.integers(0, 10**6), ties=st.booleans())
def test_property_zero_residuals_certify_greedy_agents(seed: int, ties: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    # Integers keep the residuals exact.
    total, greedy = sums(torch.randn(AGENTS, ACTIONS, **options).mul(9).round())
    value = torch.randn(1, **options).mul(9).round()
    slack = torch.rand(len(JOINT), 1, **options).mul(5).round()
    if ties:
        slack.zero_()
    slack[greedy] = 0
    joint = total + value - slack
    optimal, not_optimal = qtran_residuals(
        total[greedy], joint[greedy], total, joint, value
    )
    assert not optimal.any()
    assert not not_optimal.any()
    assert joint[greedy] == joint.max()


@PROPERTY
@given(seed=st.integers(0, 10**6))
def test_property_residuals_show_a_better_joint_action(seed: int) -> None:
    """The other way round: if greedy agents are not best, a residual is not zero."""
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    total, greedy = sums(torch.randn(AGENTS, ACTIONS, **options))
    joint = torch.randn(len(JOINT), 1, **options)
    value = joint[greedy] - total[greedy]
    optimal, not_optimal = qtran_residuals(
        total[greedy], joint[greedy], total, joint, value
    )
    assert optimal.abs() < 1e-12
    assert (not_optimal < 0).any() or joint[greedy] == joint.max()
    better = joint > joint[greedy]
    assert (not_optimal[better] < 0).all()
