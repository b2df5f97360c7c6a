"""The pure functions of the losses, against values worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from remix_plugin.functional import (
    action_index,
    boltzmann_probability,
    chosen_probability,
    entropy,
    fill_unavailable,
    gather_actions,
    greedy_actions,
    greedy_values,
    sample_actions,
    soft_values,
    softmax_policy,
    straight_through_actions,
    weighted_mean,
    weighted_std,
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


def test_soft_values_by_hand() -> None:
    values = torch.tensor([[[0.0, math.log(3.0)], [1.0, 1.0]]])
    soft = soft_values(values, None, 1.0)
    expected = [math.log(4.0), 1.0 + math.log(2.0)]
    assert soft.shape == (1, 2, 1)
    assert soft.flatten().tolist() == pytest.approx(expected)
    policy = ((values - soft) / 1.0).exp()
    assert policy[0, 0].tolist() == pytest.approx([0.25, 0.75])


def random_values(*batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of 3 agents with 4 actions, and masks that leave each of them one."""
    generator = torch.Generator().manual_seed(0)
    values = 3 * torch.randn(*batch, 3, 4, generator=generator)
    mask = torch.rand(*batch, 3, 4, generator=generator) < 0.6
    mask[..., 1] |= ~mask.any(-1)
    return values, mask


@pytest.mark.parametrize("alpha", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("masked", [False, True])
def test_soft_values_make_policies_of_available_actions(
    alpha: float, masked: bool
) -> None:
    values, mask = random_values(50)
    given = mask if masked else None
    soft = soft_values(values, given, alpha)
    counts = mask if masked else torch.ones_like(mask)
    shares = ((values - soft) / alpha).exp().where(counts, 0.0)
    torch.testing.assert_close(shares.sum(-1), torch.ones(50, 3), rtol=1e-4, atol=1e-4)
    # No available action is better, but for rounding.
    assert (values - soft)[counts].max() <= 1e-5
    assert torch.equal(soft_values(values, given, torch.tensor(alpha)), soft)


def test_soft_values_of_a_low_temperature_are_the_best() -> None:
    values, mask = random_values(50)
    soft = soft_values(values, mask, 1e-3)
    torch.testing.assert_close(soft, greedy_values(values, mask), rtol=0, atol=2e-3)


def test_soft_value_is_the_first_action_s_where_none_is_available() -> None:
    soft = soft_values(VALUES, NOTHING, 0.5).flatten().tolist()
    expected = 0.5 * math.log(math.exp(2.0) + math.exp(6.0))
    assert soft == pytest.approx([expected, 2.0])


def test_softmax_policy_by_hand() -> None:
    probability, log_probability = softmax_policy(VALUES, MASK)
    one, other = 1 / (1 + math.exp(2)), 1 / (1 + math.exp(1))
    expected = [one, 0.0, 1 - one, 0.0, 1 - other, other]
    assert probability.flatten().tolist() == pytest.approx(expected)
    logs = [math.log(p) if p else 0.0 for p in expected]
    assert log_probability.flatten().tolist() == pytest.approx(logs)


def test_softmax_policy_mixed_with_the_uniform_one_by_hand() -> None:
    probability, log_probability = softmax_policy(VALUES, MASK, epsilon=0.5)
    one, other = 1 / (1 + math.exp(2)), 1 / (1 + math.exp(1))
    mixed = [one, 0.0, 1 - one, 0.0, 1 - other, other]
    mixed = [0.5 * p + 0.25 if p else 0.0 for p in mixed]
    assert probability.flatten().tolist() == pytest.approx(mixed)
    logs = [math.log(p) if p else 0.0 for p in mixed]
    assert log_probability.flatten().tolist() == pytest.approx(logs)
    uniform, _ = softmax_policy(VALUES, None, epsilon=1.0)
    torch.testing.assert_close(uniform, torch.full((1, 2, 3), 1 / 3))


@pytest.mark.parametrize("epsilon", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("mask", [None, MASK, NOTHING], ids=["none", "some", "nothing"])
def test_gradients_of_softmax_policies_are_finite(
    mask: torch.Tensor | None, epsilon: float
) -> None:
    # So far apart that some probabilities are 0 in float32.
    logits = (100 * VALUES).requires_grad_()
    for which in range(2):
        logits.grad = None
        softmax_policy(logits, mask, epsilon)[which].sum().backward()
        assert logits.grad.isfinite().all()
        if mask is not None:
            assert (logits.grad[~mask] == 0).all()


@pytest.mark.parametrize("epsilon", [0.0, 0.25])
def test_policies_take_the_first_action_where_nothing_is_available(
    epsilon: float,
) -> None:
    probability, log_probability = softmax_policy(VALUES, NOTHING, epsilon)
    assert probability[0, 1].tolist() == [1.0, 0.0, 0.0]
    assert (log_probability[0, 1] == 0).all()
    assert probability[0, 0].sum().item() == pytest.approx(1.0)


def test_chosen_probability_by_hand() -> None:
    probability = torch.tensor([[[0.25, 0.0, 0.75], [0.0, 0.0, 0.0]]])
    index = torch.tensor([[2, 1]])
    chosen = chosen_probability(probability, NOTHING, index)
    assert chosen.tolist() == [[[0.75], [1.0]]]
    assert chosen_probability(probability, None, index).tolist() == [[[0.75], [0.0]]]
    unavailable = chosen_probability(probability, NOTHING, torch.tensor([[1, 0]]))
    assert unavailable.tolist() == [[[0.0], [1.0]]]


def test_entropy_by_hand() -> None:
    probability = torch.tensor([[[0.25] * 4, [0.5, 0.5, 0, 0]], [[1, 0, 0, 0]] * 2])
    log_probability = probability.where(probability > 0, 1.0).log()
    found = entropy(probability, log_probability)
    assert found.shape == (2, 2, 1)
    expected = [math.log(4), math.log(2), 0.0, 0.0]
    assert found.flatten().tolist() == pytest.approx(expected)


def test_weighted_std_by_hand() -> None:
    values = torch.tensor([[1.0], [2.0], [6.0]])
    # Means of squares: (4 + 1 + 9) / 3; (0.75^2 + 3 * 0.25^2) / 4; (2.5^2 + 2.5^2) / 2.
    assert weighted_std(values, None).item() == pytest.approx(math.sqrt(14 / 3))
    weights = torch.tensor([[1.0], [3.0], [0.0]])
    assert weighted_std(values, weights).item() == pytest.approx(math.sqrt(0.1875))
    valid = torch.tensor([[True], [False], [True]])
    assert weighted_std(values, valid).item() == pytest.approx(2.5)
    assert weighted_std(torch.full((4, 1), 3.0), None).item() == 0.0


def assert_drawn_from(counts: torch.Tensor, probability: torch.Tensor) -> None:
    """Counts ``[A]`` of a sample against its distribution, by chi-square."""
    size, possible = counts.sum(), probability > 0
    assert (counts[~possible] == 0).all()
    expected = size * probability[possible]
    freedom = int(possible.sum()) - 1
    statistic = ((counts[possible] - expected).square() / expected).sum()
    # Wilson and Hilferty's quantile at 5 standard deviations, about 3e-7.
    spread = 2 / (9 * max(freedom, 1))
    assert statistic < freedom * (1 - spread + 5 * math.sqrt(spread)) ** 3 + 1e-6


POLICIES = torch.tensor(
    [[0.1, 0.2, 0.3, 0.4], [0.0, 0.75, 0.25, 0.0], [0.0, 0.0, 1.0, 0.0]]
)


def test_actions_are_drawn_from_policies() -> None:
    torch.manual_seed(0)
    drawn = sample_actions(POLICIES.expand(100, 200, 3, 4))
    assert drawn.shape == (100, 200, 3)
    assert drawn.dtype == torch.long
    for agent, probability in enumerate(POLICIES):
        counts = torch.bincount(drawn[..., agent].flatten(), minlength=4)
        assert_drawn_from(counts, probability)
    # Agents draw each for itself: a pair has the product of both probabilities.
    pair = torch.bincount((4 * drawn[..., 0] + drawn[..., 1]).flatten(), minlength=16)
    assert_drawn_from(pair, (POLICIES[0, :, None] * POLICIES[1]).flatten())


def test_the_first_action_is_drawn_where_none_is_available() -> None:
    probability = torch.stack([POLICIES, torch.zeros(3, 4)])
    torch.manual_seed(0)
    for _ in range(20):
        drawn = sample_actions(probability)
        assert drawn[1].tolist() == [0, 0, 0]
        assert drawn[0, 2] == 2


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_straight_through_actions_are_drawn_from_the_softmax(
    temperature: float,
) -> None:
    """Whatever the temperature of the relaxed ones; none that is unavailable."""
    logits = torch.tensor([[1.0, -1.0, 0.5, 2.0], [0.0, 3.0, 1.0, 9.0]])
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    torch.manual_seed(0)
    given = (logits.expand(20_000, 2, 4), mask.expand(20_000, 2, 4))
    drawn = straight_through_actions(*given, temperature)
    assert drawn.shape == (20_000, 2, 4)
    index = drawn.argmax(-1)
    assert torch.equal(drawn.round(), nn.functional.one_hot(index, 4).float())
    torch.testing.assert_close(drawn, drawn.round(), rtol=0, atol=1e-6)
    policies = logits.masked_fill(~mask, -torch.inf).softmax(-1)
    for agent, probability in enumerate(policies):
        counts = torch.bincount(index[:, agent], minlength=4)
        assert_drawn_from(counts, probability)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_straight_through_actions_have_the_gradient_of_relaxed_ones(
    temperature: float,
) -> None:
    logits, mask = random_values(40)
    logits, relaxed = logits.requires_grad_(), logits.detach().clone().requires_grad_()
    cost = torch.randn(40, 3, 4)
    torch.manual_seed(0)
    (straight_through_actions(logits, mask, temperature) * cost).sum().backward()
    torch.manual_seed(0)
    noise = -torch.empty(40, 3, 4).exponential_().log()
    scaled = (relaxed + noise) / temperature
    soft = scaled.masked_fill(~mask, -torch.inf).softmax(-1)
    (soft * cost).sum().backward()
    torch.testing.assert_close(logits.grad, relaxed.grad)
    assert (logits.grad[~mask] == 0).all()
    assert logits.grad.any(-1).sum() > 60


@pytest.mark.parametrize("temperature", [1e-3, 1.0])
def test_straight_through_actions_of_those_who_have_no_choice(
    temperature: float,
) -> None:
    mask = torch.zeros(1, 2, 3, dtype=torch.bool)
    mask[0, 0, 2] = True
    logits = VALUES.clone().requires_grad_()
    drawn = straight_through_actions(logits, mask, temperature)
    assert drawn[0, 0].tolist() == [0.0, 0.0, 1.0]
    assert drawn[0, 1].sum().item() == pytest.approx(1.0)
    (drawn * torch.arange(3.0)).sum().backward()
    assert (logits.grad == 0).all()
