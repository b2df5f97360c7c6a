"""The duplex dueling mixer: worked numbers, gradients, shapes, and plain loops."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from remix_plugin.modules.duplex_dueling import DuplexDuelingMixer, duplex_dueling
from remix_plugin.modules.heads import HeadMLP

STATE, ACTIONS, HEADS, HIDDEN = 5, 4, 3, 6
PROPERTY = settings(max_examples=50, deadline=None, derandomize=True)


def column(*values: float) -> Tensor:
    """``[n, 1]``."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(-1)


def build(n_agents: int = 3, layers: int = 2, seed: int = 0) -> DuplexDuelingMixer:
    """Of float64, with parameters large enough to tell the networks apart."""
    torch.manual_seed(seed)
    mixer = DuplexDuelingMixer(
        state_dim=STATE,
        n_agents=n_agents,
        n_actions=ACTIONS,
        n_heads=HEADS,
        importance_layers=layers,
        hypernet_dim=HIDDEN,
    ).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.mul_(2)
    return mixer


def draw(
    *batch: int, n_agents: int = 3, seed: int = 1
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Chosen and maximal values, one-hot actions and states."""
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    values = torch.randn(*batch, n_agents, ACTIONS, **options)
    actions = torch.randint(0, ACTIONS, (*batch, n_agents, 1), generator=generator)
    one_hot = nn.functional.one_hot(actions.squeeze(-1), ACTIONS)
    chosen, best = values.gather(-1, actions), values.max(-1, keepdim=True).values
    return chosen, best, one_hot, torch.randn(*batch, STATE, **options)


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


def slow_head(network: HeadMLP, head: int, inputs: list[float]) -> list[float]:
    width = network.first.out_features // HEADS
    rows = slice(head * width, (head + 1) * width)
    inputs = slow_layer(network.first.weight[rows], network.first.bias[rows], inputs)
    for layer in network.others:
        inputs = [max(x, 0.0) for x in inputs]
        inputs = slow_layer(layer.weight[head], layer.bias[head], inputs)
    return inputs


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def slow_mixer(
    mixer: DuplexDuelingMixer,
    chosen: list[float],
    best: list[float],
    actions: list[list[int]],
    state: list[float],
) -> tuple[float, list[float]]:
    """``sum_i V_i + sum_i lambda_i A_i`` and ``lambda`` of one transition."""
    joint = state + [float(x) for action in actions for x in action]
    weight = [abs(w) + 1e-10 for w in slow_mlp(mixer.hyper_weight, state)]
    bias = slow_mlp(mixer.hyper_bias, state)
    total, importance = 0.0, []
    for i in range(len(chosen)):
        value = weight[i] * best[i] + bias[i]
        advantage = weight[i] * chosen[i] + bias[i] - value
        importance.append(0.0)
        for head in range(HEADS):
            key = abs(slow_head(mixer.importance.key, head, state)[0]) + 1e-10
            agent = sigmoid(slow_head(mixer.importance.agent, head, state)[i])
            action = sigmoid(slow_head(mixer.importance.action, head, joint)[i])
            importance[i] += key * agent * action
        total += value + importance[i] * advantage
    return total, importance


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("n_agents", [1, 3])
def test_value_and_importance_equal_plain_loops(layers: int, n_agents: int) -> None:
    mixer = build(n_agents, layers)
    inputs = draw(9, n_agents=n_agents)
    value, importance = mixer(*inputs)
    chosen, best, one_hot, state = inputs
    for row in range(9):
        total, expected = slow_mixer(
            mixer,
            chosen[row].flatten().tolist(),
            best[row].flatten().tolist(),
            one_hot[row].tolist(),
            state[row].tolist(),
        )
        assert value[row].item() == pytest.approx(total, rel=1e-10)
        assert importance[row].flatten().tolist() == pytest.approx(expected, rel=1e-10)


WORKED = {
    "chosen_value": (1.0, 0.0),
    "max_value": (2.0, 0.5),
    "weight": (1.0, 2.0),
    "bias": (0.0, 1.0),
    "importance": (3.0, 0.5),
}


def test_worked_value_and_gradients() -> None:
    """``Q = (1, 1)``, ``V = (2, 2)``, ``A = (-1, -1)``."""
    inputs = {name: column(*v).requires_grad_() for name, v in WORKED.items()}
    value = duplex_dueling(**inputs)
    assert value.tolist() == [0.5]
    value.sum().backward()
    assert inputs["max_value"].grad is None
    gradients = {
        "chosen_value": (1, 2),  # w, not lambda w
        "weight": (1, 0),  # q(u), not lambda A
        "bias": (1, 1),
        "importance": (-1, -1),  # A
    }
    for name, expected in gradients.items():
        assert inputs[name].grad.flatten().tolist() == list(expected), name


def test_worked_value_of_greedy_actions_is_the_sum_of_state_values() -> None:
    inputs = {name: column(*values) for name, values in WORKED.items()}
    inputs["chosen_value"] = inputs["max_value"]
    assert duplex_dueling(**inputs).tolist() == [4.0]


@PROPERTY
@given(seed=st.integers(0, 10**6), shift=st.floats(-1e3, 1e3))
def test_property_value_is_that_of_values_and_advantages(
    seed: int, shift: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    chosen, best, weight, bias, importance = torch.rand(
        5, 7, 3, 1, generator=generator, dtype=torch.float64
    )
    best = chosen + best
    value = duplex_dueling(chosen, best, weight, bias, importance)
    state_value, advantage = weight * best + bias, weight * (chosen - best)
    expected = (state_value + importance * advantage).sum(-2)
    torch.testing.assert_close(value, expected)
    assert (value <= state_value.sum(-2)).all()
    # The same shift of all of an agent's utilities shifts the value by the weights.
    shifted = duplex_dueling(chosen + shift, best + shift, weight, bias, importance)
    torch.testing.assert_close(shifted - value, shift * weight.sum(-2))


def gradients(mixer: DuplexDuelingMixer, value: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*mixer.named_parameters(), strict=True)
    found = torch.autograd.grad(value.sum(), parameters, retain_graph=True)
    return dict(zip(names, found, strict=True))


def test_only_the_importance_learns_from_advantages() -> None:
    mixer = build()
    chosen, best, one_hot, state = draw(6)
    chosen.requires_grad_()
    value, importance = mixer(chosen, best.requires_grad_(), one_hot, state)
    assert importance.requires_grad
    found = torch.autograd.grad(
        value.sum(), (chosen, best), retain_graph=True, allow_unused=True
    )
    weight = mixer.hyper_weight(state).abs().unsqueeze(-1) + 1e-10
    torch.testing.assert_close(found[0], weight)
    assert found[1] is None
    all_gradients = gradients(mixer, value)
    assert all(gradient.any() for gradient in all_gradients.values())
    # Greedy actions have no advantage: the importance learns nothing there.
    greedy, _ = mixer(best, best, one_hot, state)
    for name, gradient in gradients(mixer, greedy).items():
        assert gradient.any() == name.startswith("hyper_"), name


def test_the_transformation_learns_from_the_sum_of_utilities_alone() -> None:
    mixer = build()
    chosen, best, one_hot, state = draw(6)
    value, _ = mixer(chosen, best, one_hot, state)
    transformed = mixer.hyper_weight(state).abs().unsqueeze(-1) * chosen
    total = transformed.sum() + mixer.hyper_bias(state).sum()
    hyper = [*mixer.hyper_weight.parameters(), *mixer.hyper_bias.parameters()]
    expected = torch.autograd.grad(total, hyper)
    found = torch.autograd.grad(value.sum(), hyper)
    for a, e in zip(found, expected, strict=True):
        torch.testing.assert_close(a, e)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_weights_and_importance_stay_above_zero(layers: int) -> None:
    mixer = build(layers=layers)
    for part in (mixer.hyper_weight, mixer.importance.key):
        for parameter in part.parameters():
            nn.init.zeros_(parameter)
    chosen, best, one_hot, state = draw(6)
    chosen.requires_grad_()
    value, importance = mixer(chosen, best, one_hot, state)
    assert (importance > 0).all()
    assert (importance < HEADS * 1e-10).all()
    (slope,) = torch.autograd.grad(value.sum(), chosen)
    torch.testing.assert_close(slope, torch.full_like(slope, 1e-10), rtol=1e-6, atol=0)


def test_weights_and_importance_are_positive_where_networks_are_negative() -> None:
    mixer = build()
    *inputs, state = draw(50)
    inputs[0].requires_grad_()
    value, importance = mixer(*inputs, state)
    assert (mixer.hyper_weight(state) < 0).any()
    assert (mixer.importance.key(state) < 0).any()
    assert (importance > 0).all()
    assert (torch.autograd.grad(value.sum(), inputs[0])[0] > 0).all()


def test_importance_reads_every_agents_action_and_the_state() -> None:
    mixer = build()
    chosen, best, one_hot, state = draw(1)
    _, before = mixer(chosen, best, one_hot, state)
    for agent in range(3):
        other = one_hot.clone()
        other[:, agent] = other[:, agent].roll(1, -1)
        _, after = mixer(chosen, best, other, state)
        assert (before != after).all()
    assert (mixer(chosen, best, one_hot, state + 1)[1] != before).all()
    assert torch.equal(mixer(chosen + 1, best + 2, one_hot, state)[1], before)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_layers(layers: int) -> None:
    mixer = build(layers=layers)
    hidden = [HIDDEN] * (layers - 1)
    sizes = {
        "hyper_weight": (1, [STATE, HIDDEN, 3]),
        "hyper_bias": (1, [STATE, HIDDEN, 3]),
        "importance.key": (HEADS, [STATE, *hidden, 1]),
        "importance.agent": (HEADS, [STATE, *hidden, 3]),
        "importance.action": (HEADS, [STATE + 3 * ACTIONS, *hidden, 3]),
    }
    for name, (copies, widths) in sizes.items():
        count = sum(below * above + above for below, above in pairwise(widths))
        parameters = mixer.get_submodule(name).parameters()
        assert sum(p.numel() for p in parameters) == copies * count, name
    named = {name for name, _ in mixer.named_parameters()}
    own = {n for n in named if any(n.startswith(f"{part}.") for part in sizes)}
    assert own == named


@pytest.mark.parametrize("batch", [(), (6,), (2, 3), (0,), (2, 3, 4)])
@pytest.mark.parametrize("n_agents", [1, 3])
def test_any_batch_shape_equals_its_flattened_batch(
    batch: tuple[int, ...], n_agents: int
) -> None:
    mixer = build(n_agents)
    inputs = draw(*batch, n_agents=n_agents)
    value, importance = mixer(*inputs)
    assert value.shape == (*batch, 1)
    assert importance.shape == (*batch, n_agents, 1)
    # Rows last and first in memory: no input is contiguous.
    rows = math.prod(batch)
    flat = [
        x.reshape(rows, *x.shape[len(batch) :]).movedim(0, -1).contiguous()
        for x in inputs
    ]
    flat_value, flat_importance = mixer(*(x.movedim(-1, 0) for x in flat))
    torch.testing.assert_close(value.reshape(-1, 1), flat_value)
    torch.testing.assert_close(importance.reshape(-1, n_agents, 1), flat_importance)


@pytest.mark.parametrize("own", [torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float64])
def test_one_hot_actions_of_any_type(dtype: torch.dtype, own: torch.dtype) -> None:
    mixer = build().to(own)
    chosen, best, one_hot, state = (x.to(own) for x in draw(4))
    expected = mixer(chosen, best, one_hot, state)
    actual = mixer(chosen, best, one_hot.to(dtype), state)
    for a, e in zip(actual, expected, strict=True):
        assert a.dtype == own
        assert torch.equal(a, e)


def test_parameters_can_be_swapped() -> None:
    mixer, other, inputs = build(seed=0), build(seed=1), draw(4)
    expected = other(*inputs)
    actual = functional_call(mixer, other.state_dict(), inputs)
    assert torch.equal(actual[0], expected[0])
    assert not torch.equal(mixer(*inputs)[0], expected[0])


@pytest.mark.parametrize(
    ("option", "value"),
    [("importance_layers", 0), ("importance_layers", 4), ("n_heads", 0)],
)
def test_refused_sizes(option: str, value: int) -> None:
    options = {"n_heads": 1, "importance_layers": 1, option: value}
    with pytest.raises(ValueError, match=f"{option}={value}"):
        DuplexDuelingMixer(state_dim=2, n_agents=2, n_actions=2, **options)
