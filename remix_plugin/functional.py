"""Pure functions that the losses share.

Shapes: ``*B`` any batch, n agents, A actions.

Where a mask allows an agent nothing, as last observations may, its greedy action is the
first one, which TorchRL's ``QValueModule`` takes there. Whatever it does has
probability 1: it has no choice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def action_index(action: Tensor, action_space: str) -> Tensor:
    """Index of each agent's action, int64 ``[*B, n]``.

    Args:
        action (Tensor): indices ``[*B, n]`` or one-hot vectors ``[*B, n, A]``.
        action_space (str): ``"categorical"`` or ``"one-hot"``.
    """
    return action if action_space == "categorical" else action.long().argmax(-1)


def gather_actions(action_value: Tensor, index: Tensor) -> Tensor:
    """Values ``[*B, n, 1]`` of the actions ``index`` ``[*B, n]``."""
    return action_value.gather(-1, index.unsqueeze(-1))


def fill_unavailable(action_value: Tensor, action_mask: Tensor | None) -> Tensor:
    """Values with the lowest finite number wherever an action is unavailable.

    For an argmax or a softmax only: arithmetic on the result overflows, and where
    nothing is available the maximum is that number itself.
    """
    if action_mask is None:
        return action_value
    lowest = torch.finfo(action_value.dtype).min
    return action_value.masked_fill(~action_mask, lowest)


def greedy_actions(action_value: Tensor, action_mask: Tensor | None) -> Tensor:
    """Index ``[*B, n]`` of each agent's best available action, 0 if it has none."""
    return fill_unavailable(action_value, action_mask).argmax(-1)


def greedy_values(action_value: Tensor, action_mask: Tensor | None) -> Tensor:
    """Value ``[*B, n, 1]`` of each agent's greedy action."""
    best = fill_unavailable(action_value, action_mask).amax(-1, keepdim=True)
    if action_mask is None:
        return best
    # As gathering them would give, in less time.
    is_any = action_mask.any(-1, keepdim=True)
    return torch.where(is_any, best, action_value[..., :1])


def one_hot_actions(index: Tensor, like: Tensor) -> Tensor:
    """Actions ``index`` ``[*B, n]`` as vectors of the length and type of ``like``'s."""
    return nn.functional.one_hot(index, like.shape[-1]).to(like.dtype)


def boltzmann_probability(
    action_value: Tensor, action_mask: Tensor | None, index: Tensor
) -> Tensor:
    """Probability ``[*B, n, 1]`` of actions under a softmax of temperature 1.

    The softmax is taken over available actions; an unavailable one has probability 0,
    unless none is available: then any has probability 1.
    """
    probability = fill_unavailable(action_value, action_mask).softmax(-1)
    return chosen_probability(probability, action_mask, index)


def soft_values(
    action_value: Tensor, action_mask: Tensor | None, temperature: Tensor | float
) -> Tensor:
    """``v_i = alpha log sum_a exp(q_i(a) / alpha)`` over available actions.

    Args:
        action_value (Tensor): ``q_i``, ``[*B, n, A]``.
        action_mask (Tensor, optional): available actions, bool ``[*B, n, A]``.
        temperature (Tensor or float): ``alpha``, positive.

    Returns:
        Tensor: ``[*B, n, 1]``; the first action's value where none is available.
    """
    scaled = fill_unavailable(action_value / temperature, action_mask)
    soft = temperature * scaled.logsumexp(-1, keepdim=True)
    if action_mask is None:
        return soft
    is_any = action_mask.any(-1, keepdim=True)
    return torch.where(is_any, soft, action_value[..., :1])


def softmax_policy(
    logits: Tensor, action_mask: Tensor | None, epsilon: float = 0.0
) -> tuple[Tensor, Tensor]:
    """A softmax over available actions, mixed with the uniform policy over them.

    Args:
        logits (Tensor): ``[*B, n, A]``.
        action_mask (Tensor, optional): available actions, bool ``[*B, n, A]``.
        epsilon (float): share of the uniform policy, from 0 to 1.

    Returns:
        tuple of Tensor: probabilities and their logarithms, ``[*B, n, A]``; both are 0
        for actions that are not available. Where none is, it is as if the first were.
    """
    action_mask = _with_first(action_mask)
    log_probability = fill_unavailable(logits, action_mask).log_softmax(-1)
    probability = log_probability.exp()
    if epsilon > 0:
        available = torch.ones_like(logits) if action_mask is None else action_mask
        counts = available.sum(-1, keepdim=True).clamp_min(1)
        probability = (1 - epsilon) * probability + epsilon * available / counts
        # A logarithm of 0 has no gradient, not even where it is left out below.
        log_probability = probability.where(available > 0, 1.0).log()
    if action_mask is not None:
        probability = probability.where(action_mask, 0.0)
        log_probability = log_probability.where(action_mask, 0.0)
    return probability, log_probability


def chosen_probability(
    probability: Tensor, action_mask: Tensor | None, index: Tensor
) -> Tensor:
    """Probability ``[*B, n, 1]`` of actions ``index``, 1 where none is available."""
    chosen = gather_actions(probability, index)
    if action_mask is None:
        return chosen
    return torch.where(action_mask.any(-1, keepdim=True), chosen, 1.0)


def straight_through_actions(
    logits: Tensor, action_mask: Tensor | None, temperature: float
) -> Tensor:
    """One-hot samples of a softmax policy with the gradient of relaxed ones.

    The Gumbel-softmax estimator (arXiv 1611.01144): forward a sample of the policy, 0
    and 1 up to rounding, backward the gradient of
    ``softmax((logits + g) / temperature)`` with the same Gumbel noise ``g``.

    Args:
        logits (Tensor): ``[*B, n, A]``.
        action_mask (Tensor, optional): available actions, bool ``[*B, n, A]``.
        temperature (float): of the relaxed sample, positive.

    Returns:
        Tensor: ``[*B, n, A]``.
    """
    action_mask = _with_first(action_mask)
    if action_mask is not None:
        # Far below any logit, and finite when divided by the temperature.
        logits = logits.masked_fill(~action_mask, -1e10)
    return nn.functional.gumbel_softmax(logits, tau=temperature, hard=True)


def sample_actions(probability: Tensor) -> Tensor:
    """Indices ``[*B, n]`` drawn from policies ``[*B, n, A]``, 0 where they are none.

    After a terminal step an observation may be of any values, not finite ones even.
    """
    is_none = ~(probability > 0).any(-1)
    first = torch.zeros_like(probability)
    first[..., 0] = 1.0
    drawn = probability.where(~is_none.unsqueeze(-1), first)
    return drawn.flatten(0, -2).multinomial(1).view(is_none.shape)


def _with_first(action_mask: Tensor | None) -> Tensor | None:
    """The mask, with the first action where it allows an agent nothing."""
    if action_mask is None:
        return None
    first = torch.zeros_like(action_mask)
    first[..., 0] = ~action_mask.any(-1)
    return action_mask | first


def entropy(probability: Tensor, log_probability: Tensor) -> Tensor:
    """Entropy ``[*B, n, 1]`` of policies ``[*B, n, A]``, in nats."""
    return -(probability * log_probability).sum(-1, keepdim=True)


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """``sum(weights * values) / sum(weights)``, or the plain mean without weights.

    Weights ``[*B, 1]`` of values ``[*B, n, 1]`` are those of each agent.
    """
    if weights is None:
        return values.mean()
    if weights.ndim < values.ndim:
        weights = weights.unsqueeze(-2).expand_as(values)
    return (weights * values).sum() / weights.sum()


def weighted_std(values: Tensor, weights: Tensor | None) -> Tensor:
    """Root of the mean squared distance to :func:`weighted_mean`."""
    distance = values - weighted_mean(values, weights)
    return weighted_mean(distance.square(), weights).sqrt()
