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
    probabilities = fill_unavailable(action_value, action_mask).softmax(-1)
    chosen = gather_actions(probabilities, index)
    if action_mask is None:
        return chosen
    return torch.where(action_mask.any(-1, keepdim=True), chosen, 1.0)


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """``sum(weights * values) / sum(weights)``, or the plain mean without weights."""
    if weights is None:
        return values.mean()
    return (weights * values).sum() / weights.sum()
