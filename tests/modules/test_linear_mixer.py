"""DOP's mixer: worked numbers, expectations and maxima by enumeration, plain loops."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from remix_plugin.modules.linear_mixer import LinearMixer, linear_mix

STATE, EMBED, AGENTS, ACTIONS = 5, 3, 3, 3
JOINT = list(itertools.product(range(ACTIONS), repeat=AGENTS))
NORMALIZE = pytest.mark.parametrize("normalize", [False, True])


def build(
    *, normalize: bool, use_bias: bool = True, n_agents: int = AGENTS, seed: int = 0
) -> LinearMixer:
    torch.manual_seed(seed)
    mixer = LinearMixer(
        state_dim=STATE,
        n_agents=n_agents,
        embed_dim=EMBED,
        normalize=normalize,
        use_bias=use_bias,
    ).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.mul_(2)
    return mixer


def states(*batch: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, STATE, generator=generator, dtype=torch.float64)


def slow_linear(weight: Tensor, bias: Tensor, inputs: list[float]) -> list[float]:
    return [
        sum(w * x for w, x in zip(row, inputs, strict=True)) + b
        for row, b in zip(weight.tolist(), bias.tolist(), strict=True)
    ]


def slow_mixer(mixer: LinearMixer, state: list[float]) -> tuple[list[float], float]:
    first = slow_linear(mixer.hyper_w_1.weight, mixer.hyper_w_1.bias, state)
    last = slow_linear(mixer.hyper_w_final.weight, mixer.hyper_w_final.bias, state)
    weights = []
    for agent in range(mixer.n_agents):
        own = first[agent * EMBED : (agent + 1) * EMBED]
        weights.append(sum(abs(x) * abs(y) for x, y in zip(own, last, strict=True)))
    if mixer.normalize:
        weights = [k / (sum(weights) + 1e-10) for k in weights]
    if mixer.bias is None:
        return weights, 0.0
    below, above = mixer.bias[0], mixer.bias[2]
    hidden = [max(x, 0.0) for x in slow_linear(below.weight, below.bias, state)]
    return weights, slow_linear(above.weight, above.bias, hidden)[0]


@NORMALIZE
@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("n_agents", [1, 3])
def test_weights_and_bias_equal_plain_loops(
    n_agents: int, use_bias: bool, normalize: bool
) -> None:
    mixer = build(normalize=normalize, use_bias=use_bias, n_agents=n_agents)
    state = states(6)
    weight, bias = mixer(state)
    assert weight.shape == (6, n_agents, 1)
    assert bias.shape == (6, 1)
    for row in range(6):
        expected, constant = slow_mixer(mixer, state[row].tolist())
        assert weight[row].flatten().tolist() == pytest.approx(expected, rel=1e-10)
        assert bias[row].item() == pytest.approx(constant, rel=1e-10)


def test_worked_value() -> None:
    value = linear_mix(
        torch.tensor([[[4.0], [8.0]]]),
        torch.tensor([[[0.25], [0.75]]]),
        torch.tensor([[1.0]]),
    )
    assert value.tolist() == [[8.0]]


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_any_shape_of_a_batch_gives_the_same(batch: tuple[int, ...]) -> None:
    mixer, state = build(normalize=True), states(*batch)
    weight, bias = mixer(state)
    assert linear_mix(torch.ones_like(weight), weight, bias).shape == (*batch, 1)
    flat, constant = mixer(state.reshape(-1, STATE))
    torch.testing.assert_close(weight.reshape(-1, AGENTS, 1), flat)
    torch.testing.assert_close(bias.reshape(-1, 1), constant)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    change=st.floats(-1e3, 1e3),
    agent=st.integers(0, AGENTS - 1),
    normalize=st.booleans(),
)
def test_property_values_are_linear_in_those_of_agents(
    seed: int, change: float, agent: int, normalize: bool
) -> None:
    mixer = build(normalize=normalize, seed=seed % 5)
    weight, bias = mixer(states(4, seed=seed))
    assert (weight >= 0).all()
    if normalize:
        total = weight.sum(-2)
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-6)
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(4, AGENTS, 1, generator=generator, dtype=torch.float64)
    other = values.clone()
    other[:, agent] += change
    gain = linear_mix(other, weight, bias) - linear_mix(values, weight, bias)
    torch.testing.assert_close(gain, change * weight[:, agent], rtol=1e-9, atol=1e-9)


def test_normalized_weights_are_finite_where_all_are_0() -> None:
    mixer = build(normalize=True)
    for parameter in mixer.hyper_w_final.parameters():
        parameter.data.zero_()
    weight, _ = mixer(states(4))
    assert (weight == 0).all()
    weight.sum().backward()
    assert all(p.grad.isfinite().all() for p in mixer.hyper_w_1.parameters())


@NORMALIZE
@pytest.mark.parametrize("seed", range(3))
def test_the_value_of_expectations_is_the_expected_value(
    normalize: bool, seed: int
) -> None:
    """All joint actions, each with the probability of agents that choose alone."""
    mixer = build(normalize=normalize, seed=seed).float()
    weight, bias = mixer(states(seed=seed).float())
    values = 3 * torch.randn(AGENTS, ACTIONS)
    policies = (2 * torch.randn(AGENTS, ACTIONS)).softmax(-1)
    expected = torch.zeros(1)
    for joint in JOINT:
        share = math.prod(policies[i, a].item() for i, a in enumerate(joint))
        chosen = values.gather(-1, torch.tensor(joint).unsqueeze(-1))
        expected += share * linear_mix(chosen, weight, bias)
    found = linear_mix((policies * values).sum(-1, keepdim=True), weight, bias)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@NORMALIZE
@pytest.mark.parametrize("seed", range(5))
def test_the_best_joint_action_is_that_of_greedy_agents(
    normalize: bool, seed: int
) -> None:
    mixer = build(normalize=normalize, seed=seed)
    for state in states(20, seed=seed):
        weight, bias = mixer(state)
        assert (weight > 0).all()
        values = torch.randn(AGENTS, ACTIONS, dtype=torch.float64)
        greedy = tuple(values.argmax(-1).tolist())
        total = {
            joint: linear_mix(
                values.gather(-1, torch.tensor(joint).unsqueeze(-1)), weight, bias
            ).item()
            for joint in JOINT
        }
        assert max(total, key=total.__getitem__) == greedy


def test_without_a_bias_the_state_adds_nothing() -> None:
    mixer = build(normalize=True, use_bias=False)
    _, bias = mixer(states(3))
    assert (bias == 0).all()
    assert not any(name.startswith("bias") for name, _ in mixer.named_parameters())


@NORMALIZE
def test_all_parameters_learn(normalize: bool) -> None:
    mixer = build(normalize=normalize)
    weight, bias = mixer(states(9))
    values = torch.arange(9.0 * AGENTS).view(9, AGENTS, 1)
    linear_mix(values, weight, bias).sum().backward()
    assert all(parameter.grad.any() for parameter in mixer.parameters())
