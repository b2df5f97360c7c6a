"""The pure functions of the losses, against values worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from remix_plugin.objectives.functional import (
    action_index,
    boltzmann_probability,
    fill_unavailable,
    gather_actions,
    greedy_actions,
    greedy_values,
    weighted_mean,
)

VALUES = torch.tensor([[[1.0, 5.0, 3.0], [2.0, 0.0, -1.0]]])
MASK = torch.tensor([[[True, False, True], [False, True, True]]])
NOTHING = torch.tensor([[[True, False, True], [False, False, False]]])


def test_action_index_of_indices_is_the_same_tensor() -> None:
    action = torch.tensor([[2, 0]])
    assert action_index(action, "categorical") is action


@pytest.mark.parametrize("dtype", [torch.bool, torch.long, torch.float32])
def test_action_index_of_one_hot_vectors(dtype: torch.dtype) -> None:
    action = torch.tensor([[[0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0, 0, 1]]], dtype=dtype)
    index = action_index(action, "one-hot")
    assert index.dtype == torch.long
    assert index.tolist() == [[2, 0], [1, 2]]


def test_gather_actions_takes_one_value_per_agent() -> None:
    chosen = gather_actions(VALUES, torch.tensor([[2, 0]]))
    assert chosen.tolist() == [[[3.0], [2.0]]]


def test_gather_actions_in_sequences() -> None:
    values = torch.arange(2.0 * 3 * 2 * 4).view(2, 3, 2, 4)
    index = torch.tensor([[[0, 1], [2, 3], [3, 0]], [[1, 1], [0, 2], [3, 3]]])
    chosen = gather_actions(values, index)
    assert chosen.shape == (2, 3, 2, 1)
    for b, t, a in ((0, 0, 1), (0, 2, 0), (1, 1, 1), (1, 2, 1)):
        assert chosen[b, t, a, 0] == values[b, t, a, index[b, t, a]]


def test_unavailable_actions_get_the_lowest_number() -> None:
    filled = fill_unavailable(VALUES, MASK)
    assert torch.equal(filled[MASK], VALUES[MASK])
    assert (filled[~MASK] == torch.finfo(torch.float32).min).all()
    assert fill_unavailable(VALUES, None) is VALUES


def test_filling_leaves_the_values_alone() -> None:
    before = VALUES.clone()
    fill_unavailable(VALUES, MASK)
    assert torch.equal(VALUES, before)


def test_greedy_actions_are_available() -> None:
    assert greedy_actions(VALUES, None).tolist() == [[1, 0]]
    assert greedy_actions(VALUES, MASK).tolist() == [[2, 1]]
    # Even where all available actions are very bad.
    assert greedy_actions(VALUES - 1e30, MASK)[0, 1].item() in (1, 2)


def test_greedy_values_are_those_of_greedy_actions() -> None:
    assert greedy_values(VALUES, None).tolist() == [[[5.0], [2.0]]]
    assert greedy_values(VALUES, MASK).tolist() == [[[3.0], [0.0]]]


def test_first_action_is_greedy_where_none_is_available() -> None:
    # It used to have the value that stands for unavailable ones, -3.4e38.
    values = VALUES.flip(-1)
    assert greedy_actions(values, NOTHING).tolist() == [[0, 0]]
    assert greedy_values(values, NOTHING).tolist() == [[[3.0], [-1.0]]]


@pytest.mark.parametrize("action", [0, 1, 2])
def test_any_action_is_certain_where_none_is_available(action: int) -> None:
    probability = boltzmann_probability(VALUES, NOTHING, torch.tensor([[0, action]]))
    one = 1 / (1 + math.exp(2))
    assert probability.flatten().tolist() == pytest.approx([one, 1.0], rel=1e-5)


def test_boltzmann_probability_by_hand() -> None:
    probability = boltzmann_probability(VALUES, None, torch.tensor([[0, 2]]))
    one = 1 / (1 + math.exp(4) + math.exp(2))
    other = 1 / (1 + math.exp(3) + math.exp(1))
    assert probability.shape == (1, 2, 1)
    assert probability.flatten().tolist() == pytest.approx([one, other], rel=1e-5)


def test_boltzmann_probability_is_over_available_actions() -> None:
    probability = boltzmann_probability(VALUES, MASK, torch.tensor([[0, 2]]))
    one, other = 1 / (1 + math.exp(2)), 1 / (1 + math.exp(1))
    assert probability.flatten().tolist() == pytest.approx([one, other], rel=1e-5)


def test_boltzmann_probability_of_an_unavailable_action_is_0() -> None:
    probability = boltzmann_probability(VALUES, MASK, torch.tensor([[1, 0]]))
    assert probability.flatten().tolist() == [0.0, 0.0]


def test_boltzmann_probability_of_the_only_action_is_1() -> None:
    mask = torch.tensor([[[False, True, False], [False, False, True]]])
    probability = boltzmann_probability(1e30 * VALUES, mask, torch.tensor([[1, 2]]))
    assert probability.flatten().tolist() == [1.0, 1.0]


def test_weighted_mean_by_hand() -> None:
    values = torch.tensor([[1.0], [2.0], [6.0]])
    assert weighted_mean(values, None).item() == 3.0
    assert weighted_mean(values, torch.tensor([[1.0], [3.0], [0.0]])).item() == 1.75
    assert weighted_mean(values, torch.tensor([[True], [False], [True]])).item() == 3.5
