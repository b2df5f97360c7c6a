"""FOP's mixer: worked numbers, gradients, plain loops, and that it is not IGM."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from remix_plugin.functional import soft_values
from remix_plugin.modules.fop import FopMixer, fop_joint_value

STATE, AGENTS, ACTIONS, HEADS, EMBED = 5, 3, 4, 2, 6
DOUBLE = {"dtype": torch.float64}


def build(seed: int = 0, n_agents: int = AGENTS) -> FopMixer:
    torch.manual_seed(seed)
    mixer = FopMixer(
        state_dim=STATE,
        n_agents=n_agents,
        n_actions=ACTIONS,
        n_heads=HEADS,
        embed_dim=EMBED,
    ).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.mul_(2)
    return mixer


def draw(
    *batch: int, n_agents: int = AGENTS, seed: int = 1, alpha: float = 0.5
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Values taken, soft values, one-hot actions and states."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*batch, n_agents, ACTIONS, generator=generator, **DOUBLE)
    actions = torch.randint(0, ACTIONS, (*batch, n_agents, 1), generator=generator)
    one_hot = nn.functional.one_hot(actions.squeeze(-1), ACTIONS)
    state = torch.randn(*batch, STATE, generator=generator, **DOUBLE)
    soft = soft_values(values, None, alpha)
    return values.gather(-1, actions), soft, one_hot, state


def column(*values: float) -> Tensor:
    """``[n, 1]``."""
    return torch.tensor(values, **DOUBLE).unsqueeze(-1)


def test_worked_value_and_gradients() -> None:
    """Two agents: ``q - v = (-1, -2)``."""
    chosen, soft = column(1, 3).requires_grad_(), column(2, 5).requires_grad_()
    importance, state = column(0.5, 3).requires_grad_(), torch.ones(1, **DOUBLE)
    state.requires_grad_()
    value = fop_joint_value(chosen, soft, importance, state)
    # V_jt = 2 + 5 + 1; advantages count 0.5 and 3.
    assert value.tolist() == [8.0 - 0.5 - 6.0]
    value.sum().backward()
    assert chosen.grad.flatten().tolist() == [1.0, 1.0]
    assert soft.grad is None
    assert importance.grad.flatten().tolist() == [-1.0, -2.0]
    assert state.grad.tolist() == [1.0]


def test_the_value_is_that_of_soft_values_and_advantages() -> None:
    chosen, soft, _, _ = draw(20)
    assert (chosen <= soft).all()
    importance = torch.rand(20, AGENTS, 1, **DOUBLE) + 0.1
    state = torch.randn(20, 1, **DOUBLE)
    value = fop_joint_value(chosen, soft, importance, state)
    advantage = (importance * (chosen - soft)).sum(-2)
    torch.testing.assert_close(value, soft.sum(-2) + state + advantage)


def test_with_an_importance_of_1_values_add_up() -> None:
    chosen, soft, _, _ = draw(20)
    state = torch.randn(20, 1, **DOUBLE)
    value = fop_joint_value(chosen, soft, torch.ones_like(soft), state)
    torch.testing.assert_close(value, chosen.sum(-2) + state)


@pytest.mark.parametrize("n_agents", [1, 3])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_the_mixer_puts_importance_and_state_together(
    batch: tuple[int, ...], n_agents: int
) -> None:
    """In plain loops; the importance itself has tests of its own."""
    mixer = build(n_agents=n_agents)
    chosen, soft, one_hot, state = draw(*batch, n_agents=n_agents)
    value = mixer(chosen, soft, one_hot, state)
    assert value.shape == (*batch, 1)
    importance = mixer.importance(one_hot, state).reshape(-1, n_agents)
    below, _, above = mixer.state_value
    constant = above(below(state).relu()).flatten().tolist()
    rows = zip(
        value.flatten().tolist(),
        chosen.reshape(-1, n_agents).tolist(),
        soft.reshape(-1, n_agents).tolist(),
        importance.tolist(),
        constant,
        strict=True,
    )
    for found, q, v, weight, added in rows:
        terms = zip(q, v, weight, strict=True)
        expected = added + sum(w * a + (1 - w) * b for a, b, w in terms)
        assert found == pytest.approx(expected, rel=1e-10)


def test_layers_are_those_of_the_reference_code() -> None:
    shapes = {name: tuple(p.shape) for name, p in build().named_parameters()}
    assert {k: s for k, s in shapes.items() if k.endswith("weight")} == {
        "importance.key.first.weight": (HEADS, STATE),
        "importance.agent.first.weight": (HEADS * AGENTS, STATE),
        "importance.action.first.weight": (
            HEADS * AGENTS,
            STATE + AGENTS * ACTIONS,
        ),
        "state_value.0.weight": (EMBED, STATE),
        "state_value.2.weight": (1, EMBED),
    }


@pytest.mark.parametrize("dtype", [torch.bool, torch.long, torch.float32])
def test_actions_may_have_any_type(dtype: torch.dtype) -> None:
    chosen, soft, one_hot, state = draw(4)
    expected = build()(chosen, soft, one_hot, state)
    assert torch.equal(build()(chosen, soft, one_hot.to(dtype), state), expected)


def test_gradients_of_the_mixer() -> None:
    mixer = build()
    chosen, soft, one_hot, state = draw(9)
    chosen.requires_grad_()
    mixer(chosen, soft.requires_grad_(), one_hot, state).sum().backward()
    assert torch.equal(chosen.grad, torch.ones_like(chosen))
    assert soft.grad is None
    assert all(parameter.grad.any() for parameter in mixer.parameters())


def test_where_a_choice_is_certain_the_importance_learns_nothing() -> None:
    mixer = build()
    chosen, _, one_hot, state = draw(9)
    mixer(chosen, chosen.clone(), one_hot, state).sum().backward()
    assert not any(parameter.grad.any() for parameter in mixer.importance.parameters())
    assert all(parameter.grad.any() for parameter in mixer.state_value.parameters())


def test_the_best_joint_action_need_not_be_that_of_greedy_agents() -> None:
    """One agent that prefers action 1, whose advantage counts much more."""
    values = torch.tensor([[0.0, 1.0]], **DOUBLE)
    soft = soft_values(values, None, 1.0)
    assert soft.item() == pytest.approx(1.3133, abs=1e-4)
    found = [
        fop_joint_value(values[:, a : a + 1], soft, column(weight), column(0)[0]).item()
        for a, weight in enumerate((0.1, 10.0))
    ]
    assert found == pytest.approx([1.182, -1.819], abs=1e-3)


@pytest.mark.parametrize("alpha", [0.25, 2.0])
def test_it_is_where_the_importance_is_the_same_for_all_actions(alpha: float) -> None:
    torch.manual_seed(0)
    for _ in range(20):
        values = torch.randn(AGENTS, ACTIONS, **DOUBLE)
        soft = soft_values(values, None, alpha)
        importance = torch.rand(AGENTS, 1, **DOUBLE) + 0.1
        joint = torch.tensor(list(itertools.product(range(ACTIONS), repeat=AGENTS)))
        chosen = values.expand(len(joint), -1, -1).gather(-1, joint.unsqueeze(-1))
        total = fop_joint_value(chosen, soft, importance, column(0)[0])
        best = joint[total.argmax(0)].squeeze(0)
        assert torch.equal(best, values.argmax(-1))
