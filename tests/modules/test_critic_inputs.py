"""What critics read of each agent, by hand and by plain loops."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from remix_plugin.modules.critic_inputs import (
    CriticInput,
    OthersActions,
    joint_actions,
)

SHAPES = pytest.mark.parametrize("batch", [(), (4,), (2, 3)], ids=str)


def test_the_state_comes_first_and_the_index_last() -> None:
    state = torch.tensor([[1.0, 2.0]])
    observed = torch.tensor([[[3.0], [4.0]]])
    assert CriticInput(2, has_state=True)(state, observed).tolist() == [
        [[1.0, 2.0, 3.0, 1.0, 0.0], [1.0, 2.0, 4.0, 0.0, 1.0]]
    ]
    assert CriticInput(2, has_state=True)(state).tolist() == [
        [[1.0, 2.0, 1.0, 0.0], [1.0, 2.0, 0.0, 1.0]]
    ]
    assert CriticInput(2, has_state=False)(observed).tolist() == [
        [[3.0, 1.0, 0.0], [4.0, 0.0, 1.0]]
    ]


@SHAPES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_agents", [1, 3])
def test_critic_inputs_have_the_shape_and_type_of_what_is_seen(
    batch: tuple[int, ...], dtype: torch.dtype, n_agents: int
) -> None:
    state = torch.randn(*batch, 5, dtype=dtype)
    first, second = (torch.randn(*batch, n_agents, k, dtype=dtype) for k in (2, 3))
    made = CriticInput(n_agents, has_state=True)(state, first, second)
    assert made.shape == (*batch, n_agents, 5 + 2 + 3 + n_agents)
    assert made.dtype == dtype
    for agent in range(n_agents):
        index = torch.zeros(*batch, n_agents, dtype=dtype)
        index[..., agent] = 1.0
        seen = [state, first[..., agent, :], second[..., agent, :], index]
        assert torch.equal(made[..., agent, :], torch.cat(seen, -1))
    without = CriticInput(n_agents, has_state=False)(first, second)
    assert torch.equal(without, made[..., 5:])


def test_gradients_reach_what_is_seen() -> None:
    state = torch.randn(4, 5, requires_grad=True)
    observed = torch.randn(4, 3, 2, requires_grad=True)
    CriticInput(3, has_state=True)(state, observed).sum().backward()
    # All three agents see the state.
    assert (state.grad == 3).all()
    assert (observed.grad == 1).all()


def slow_joint(own: Tensor, others: Tensor) -> Tensor:
    """For agents ``[n, A]`` without batch."""
    n_agents, size = own.shape
    made = torch.empty(n_agents, n_agents * size, dtype=own.dtype)
    for i, j, a in itertools.product(range(n_agents), range(n_agents), range(size)):
        made[i, j * size + a] = own[j, a] if i == j else others[j, a]
    return made


@SHAPES
@pytest.mark.parametrize("n_agents", [1, 2, 4])
def test_joint_actions_equal_a_loop(batch: tuple[int, ...], n_agents: int) -> None:
    own, others = torch.randn(2, *batch, n_agents, 3)
    made = joint_actions(own, others)
    assert made.shape == (*batch, n_agents, n_agents * 3)
    flat = zip(
        made.reshape(-1, n_agents, n_agents * 3),
        own.reshape(-1, n_agents, 3),
        others.reshape(-1, n_agents, 3),
        strict=True,
    )
    for actual, mine, theirs in flat:
        assert torch.equal(actual, slow_joint(mine, theirs))


def test_joint_actions_hand_gradients_to_each_slot() -> None:
    own, others = torch.randn(2, 5, 3, 4).unbind(0)
    own.requires_grad_()
    others.requires_grad_()
    joint_actions(own, others).sum().backward()
    # One's own once, in one's own row, and as another's in two.
    assert (own.grad == 1).all()
    assert (others.grad == 2).all()


@SHAPES
def test_others_actions_are_one_hot_but_for_ones_own(batch: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    action = torch.randint(4, (*batch, 3), generator=generator)
    made = OthersActions(4)(action)
    assert made.shape == (*batch, 3, 12)
    assert made.dtype == torch.float32
    one_hot = torch.nn.functional.one_hot(action, 4).float()
    slots = made.unflatten(-1, (3, 4))
    for i, j in itertools.product(range(3), range(3)):
        expected = torch.zeros(*batch, 4) if i == j else one_hot[..., j, :]
        assert torch.equal(slots[..., i, j, :], expected)


@pytest.mark.parametrize("agent", range(3))
def test_others_actions_do_not_depend_on_ones_own(agent: int) -> None:
    action = torch.tensor([0, 3, 1])
    before = OthersActions(4)(action)
    for other in {0, 1, 2, 3} - {action[agent].item()}:
        moved = action.clone()
        moved[agent] = other
        after = OthersActions(4)(moved)
        for i in range(3):
            assert torch.equal(after[i], before[i]) == (i == agent)


def test_a_single_agent_has_no_others() -> None:
    assert OthersActions(4)(torch.tensor([[2], [0]])).tolist() == [[[0.0] * 4]] * 2
