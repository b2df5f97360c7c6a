"""The attention mixer: worked numbers, what its weights obey, and plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from remix_plugin.modules.qatten import (
    QattenMixer,
    attention_entropy,
    attention_mix,
    attention_penalty,
)

AGENTS, STATE, FEATURES, HEADS, EMBED, QUERY = 3, 5, 4, 2, 6, 7
PROPERTY = settings(max_examples=50, deadline=None, derandomize=True)


def build(*, weighted_heads: bool = True, seed: int = 0) -> QattenMixer:
    """Of float64, with parameters large enough for uneven attention."""
    torch.manual_seed(seed)
    mixer = QattenMixer(
        state_dim=STATE,
        n_features=FEATURES,
        n_heads=HEADS,
        embed_dim=EMBED,
        query_dim=QUERY,
        head_dim=8,
        constant_dim=9,
        weighted_heads=weighted_heads,
    ).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.mul_(2)
    return mixer


def draw(
    *batch: int, n_agents: int = AGENTS, seed: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Utilities, features and states."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (n_agents, 1), (n_agents, FEATURES), (STATE,)
    utilities, features, state = (
        torch.randn(*batch, *size, generator=generator, dtype=torch.float64)
        for size in sizes
    )
    return utilities, features, state


def slow_layer(weight: Tensor, bias: Tensor, inputs: list[float]) -> list[float]:
    return [
        sum(w * x for w, x in zip(row, inputs, strict=True)) + b
        for row, b in zip(weight.tolist(), bias.tolist(), strict=True)
    ]


def slow_mlp(network: nn.Sequential, inputs: list[float]) -> list[float]:
    for layer in network:
        if isinstance(layer, nn.Linear):
            inputs = slow_layer(layer.weight, layer.bias, inputs)
        else:
            assert isinstance(layer, nn.ReLU)
            inputs = [max(x, 0.0) for x in inputs]
    return inputs


def slow_logits(
    mixer: QattenMixer, head: int, features: list[list[float]], state: list[float]
) -> list[float]:
    first, last = mixer.query.first, mixer.query.others[0]
    rows = slice(head * QUERY, (head + 1) * QUERY)
    hidden = slow_layer(first.weight[rows], first.bias[rows], state)
    hidden = [max(x, 0.0) for x in hidden]
    query = slow_layer(last.weight[head], last.bias[head], hidden)
    rows = slice(head * EMBED, (head + 1) * EMBED)
    weight, bias = mixer.key.weight[rows], mixer.key.bias[rows]
    keys = [slow_layer(weight, bias, own) for own in features]
    return [sum(k * q for k, q in zip(key, query, strict=True)) for key in keys]


def slow_mixer(
    mixer: QattenMixer,
    utilities: list[float],
    features: list[list[float]],
    state: list[float],
) -> tuple[float, list[list[float]], list[list[float]]]:
    """Value, attention and logits of one transition."""
    value = slow_mlp(mixer.constant, state)[0]
    attention, logits = [], []
    for head in range(HEADS):
        logits.append(slow_logits(mixer, head, features, state))
        powers = [math.exp(x / math.sqrt(EMBED)) for x in logits[head]]
        attention.append([power / sum(powers) for power in powers])
        weight = 1.0
        if mixer.head_weight is not None:
            weight = abs(slow_mlp(mixer.head_weight, state)[head])
        for share, utility in zip(attention[head], utilities, strict=True):
            value += weight * share * utility
    return value, attention, logits


@pytest.mark.parametrize("weighted_heads", [True, False])
@pytest.mark.parametrize("n_agents", [1, 3])
def test_all_outputs_equal_plain_loops(weighted_heads: bool, n_agents: int) -> None:
    mixer = build(weighted_heads=weighted_heads)
    utilities, features, state = draw(9, n_agents=n_agents)
    outputs = mixer(utilities, features, state)
    for row in range(9):
        expected = slow_mixer(
            mixer,
            utilities[row].flatten().tolist(),
            features[row].tolist(),
            state[row].tolist(),
        )
        assert outputs[0][row].item() == pytest.approx(expected[0], rel=1e-10)
        for a, e in zip(outputs[1:], expected[1:], strict=True):
            torch.testing.assert_close(a[row], torch.tensor(e, dtype=torch.float64))


def test_worked_value() -> None:
    utilities = torch.tensor([[1.0], [2.0]])
    attention, constant = torch.tensor([[0.3, 0.7]]), torch.tensor([1.0])
    value = attention_mix(utilities, attention, torch.tensor([2.0]), constant)
    torch.testing.assert_close(value, torch.tensor([4.4]))
    value = attention_mix(utilities, attention, None, constant)
    torch.testing.assert_close(value, torch.tensor([2.7]))


def test_worked_value_of_two_heads() -> None:
    """``0.5 * 1.7 + 4 * 1.2 - 1``."""
    utilities = torch.tensor([[1.0], [2.0]])
    attention = torch.tensor([[0.3, 0.7], [0.8, 0.2]])
    value = attention_mix(
        utilities, attention, torch.tensor([0.5, 4.0]), torch.tensor([-1.0])
    )
    torch.testing.assert_close(value, torch.tensor([4.65]))


def test_worked_penalty() -> None:
    """Two heads of three agents: ``(1 + 9 + 2) / 3 + (0 + 4 + 2) / 3``."""
    logits = torch.tensor([[[1.0, 3.0, math.sqrt(2)], [0.0, -2.0, math.sqrt(2)]]])
    torch.testing.assert_close(attention_penalty(logits), torch.tensor([[6.0]]))
    of_a_batch = attention_penalty(torch.cat([logits, 2 * logits]))
    torch.testing.assert_close(of_a_batch, torch.tensor([[6.0], [24.0]]))


def test_worked_entropy() -> None:
    attention = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.25] * 4, [1.0, 0.0, 0.0, 0.0]])
    expected = (math.log(2) + math.log(4) + 0) / 3
    assert attention_entropy(attention).tolist() == pytest.approx([expected])
    assert attention_entropy(attention.expand(2, 5, 3, 4)).shape == (2, 5, 1)


def test_attention_is_a_distribution_over_agents() -> None:
    _, attention, logits = build()(*draw(40))
    assert attention.shape == logits.shape == (40, HEADS, AGENTS)
    assert (attention > 0).all()
    ones = torch.ones(40, HEADS, dtype=torch.float64)
    torch.testing.assert_close(attention.sum(-1), ones)
    # Uneven, and not the same in both heads.
    assert attention.max() > 0.6
    assert (attention[:, 0] - attention[:, 1]).abs().max() > 0.3


@PROPERTY
@given(seed=st.integers(0, 999), weighted_heads=st.booleans(), shift=st.floats(-99, 99))
def test_property_value_is_affine_in_the_utilities(
    seed: int, weighted_heads: bool, shift: float
) -> None:
    mixer = build(weighted_heads=weighted_heads, seed=seed)
    utilities, features, state = draw(8, seed=seed + 1)
    value, attention, _ = mixer(utilities, features, state)
    weights = torch.ones(8, HEADS, dtype=torch.float64)
    if mixer.head_weight is not None:
        weights = mixer.head_weight(state).abs()
    # A shift of all utilities shifts the value by the sum of the head weights.
    shifted, _, _ = mixer(utilities + shift, features, state)
    rise = shift * weights.sum(-1, keepdim=True)
    torch.testing.assert_close(shifted - value, rise)
    # The slope is sum_h w_h lambda_{h,i} >= 0, whatever the utilities.
    slope = torch.einsum("bh,bhi->bi", weights, attention).unsqueeze(-1)
    assert (slope >= 0).all()
    for scale in (1, 100):
        leaf = (scale * utilities).detach().requires_grad_()
        total = mixer(leaf, features, state)[0].sum()
        torch.testing.assert_close(torch.autograd.grad(total, leaf)[0], slope)


@PROPERTY
@given(
    seed=st.integers(0, 999),
    agent=st.integers(0, AGENTS - 1),
    rise=st.floats(0.0, 100.0),
)
def test_property_the_value_does_not_fall_when_a_utility_rises(
    seed: int, agent: int, rise: float
) -> None:
    mixer = build(seed=seed)
    utilities, features, state = draw(16, seed=seed + 1)
    higher = utilities.clone()
    higher[:, agent] += rise
    before, after = (mixer(q, features, state)[0] for q in (utilities, higher))
    assert (after >= before - 1e-12 * (1 + before.abs())).all()


@PROPERTY
@given(seed=st.integers(0, 999), order=st.permutations(range(AGENTS)))
def test_property_the_order_of_agents_does_not_matter(
    seed: int, order: list[int]
) -> None:
    mixer = build(seed=seed)
    utilities, features, state = draw(8, seed=seed + 1)
    before = mixer(utilities, features, state)
    after = mixer(utilities[:, order], features[:, order], state)
    torch.testing.assert_close(after[0], before[0])
    torch.testing.assert_close(after[1], before[1][..., order])
    torch.testing.assert_close(after[2], before[2][..., order])


def test_head_weights_are_positive_where_their_network_is_negative() -> None:
    mixer = build()
    utilities, features, state = draw(50)
    assert mixer.head_weight is not None
    assert (mixer.head_weight(state) < 0).all(-1).any()
    utilities.requires_grad_()
    value = mixer(utilities, features, state)[0].sum()
    assert (torch.autograd.grad(value, utilities)[0] > 0).all()


def test_value_and_penalty_reach_their_parameters() -> None:
    mixer = build()
    value, _, logits = mixer(*draw(8))
    attending = {"query", "key"}
    for total, learning in (
        (value, {"query", "key", "head_weight", "constant"}),
        (attention_penalty(logits), attending),
    ):
        mixer.zero_grad()
        total.sum().backward(retain_graph=True)
        reached = {
            name.partition(".")[0]
            for name, parameter in mixer.named_parameters()
            if parameter.grad is not None and parameter.grad.any()
        }
        assert reached == learning


def test_layers_of_the_reference_code() -> None:
    mixer = QattenMixer(state_dim=10, n_features=3)
    shapes = {name: tuple(p.shape) for name, p in mixer.named_parameters()}
    assert shapes == {
        "query.first.weight": (4 * 64, 10),
        "query.first.bias": (4 * 64,),
        "query.others.0.weight": (4, 32, 64),
        "query.others.0.bias": (4, 32),
        "key.weight": (4 * 32, 3),
        "key.bias": (4 * 32,),
        "head_weight.0.weight": (64, 10),
        "head_weight.0.bias": (64,),
        "head_weight.2.weight": (4, 64),
        "head_weight.2.bias": (4,),
        "constant.0.weight": (32, 10),
        "constant.0.bias": (32,),
        "constant.2.weight": (1, 32),
        "constant.2.bias": (1,),
    }
    plain = QattenMixer(state_dim=10, n_features=3, weighted_heads=False)
    assert set(shapes) - {name for name, _ in plain.named_parameters()} == {
        name for name in shapes if name.startswith("head_weight")
    }


@pytest.mark.parametrize("batch", [(), (6,), (2, 3), (0,), (2, 3, 4)])
@pytest.mark.parametrize("n_agents", [1, 3])
def test_any_batch_shape_equals_its_flattened_batch(
    batch: tuple[int, ...], n_agents: int
) -> None:
    mixer = build()
    inputs = draw(*batch, n_agents=n_agents)
    outputs = mixer(*inputs)
    shapes = (1,), (HEADS, n_agents), (HEADS, n_agents)
    rows = math.prod(batch)
    # Rows last and first in memory: no input is contiguous.
    flat = [
        x.reshape(rows, *x.shape[len(batch) :]).movedim(0, -1).contiguous()
        for x in inputs
    ]
    expected = mixer(*(x.movedim(-1, 0) for x in flat))
    for a, e, shape in zip(outputs, expected, shapes, strict=True):
        assert a.shape == (*batch, *shape)
        torch.testing.assert_close(a.reshape(e.shape), e)


def test_parameters_can_be_swapped() -> None:
    mixer, other, inputs = build(seed=0), build(seed=1), draw(4)
    expected = other(*inputs)
    actual = functional_call(mixer, other.state_dict(), inputs)
    for a, e in zip(actual, expected, strict=True):
        assert torch.equal(a, e)
    assert not torch.equal(mixer(*inputs)[0], expected[0])


@pytest.mark.parametrize("option", ["n_heads", "embed_dim"])
def test_refused_sizes(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}=0"):
        QattenMixer(state_dim=2, n_features=2, **{option: 0})
