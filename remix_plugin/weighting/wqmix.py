"""The weightings of Weighted QMIX (arXiv 2006.10800), and none."""

from __future__ import annotations

import torch
from torch import Tensor

from remix_plugin.validation import check_number
from remix_plugin.weighting.base import Weighting


def optimistic(value: Tensor, target: Tensor, alpha: float) -> Tensor:
    """OW-QMIX: 1 where the target lies above the mixed value, else ``alpha``.

    Eq. 6; strict, so that ties get ``alpha``, as its code does.
    """
    return torch.where(target > value, 1.0, alpha)


def central(
    target: Tensor, greedy_value: Tensor, is_greedy: Tensor, alpha: float
) -> Tensor:
    """CW-QMIX: 1 for the greedy joint action and for better ones, else ``alpha``.

    Eq. 7, with the target network's unrestricted value of the greedy
    joint action, as its code has it.

    Args:
        target (Tensor): regression target ``[*B, 1]``.
        greedy_value (Tensor): target network's unrestricted value of the greedy joint
            action ``[*B, 1]``.
        is_greedy (Tensor): whether the joint action taken is the greedy one, bool
            ``[*B, 1]``.
        alpha (float): weight of the others.
    """
    return torch.where(is_greedy | (target > greedy_value), 1.0, alpha)


class OptimisticWeighting(Weighting):
    """OW-QMIX (arXiv 2006.10800, eq. 6): ``alpha`` where the value is overestimated.

    Args:
        alpha (float): weight of overestimated transitions, in (0, 1].

    Raises:
        TypeError: if ``alpha`` is no number.
        ValueError: if ``alpha`` is out of range.
    """

    in_keys = ["chosen_action_value", "target_value"]

    def __init__(self, alpha: float) -> None:
        super().__init__()
        check_number("alpha", alpha, above=0, high=1)
        self.alpha = alpha

    def weight(self, value: Tensor, target: Tensor) -> Tensor:
        """Weights ``[*B, 1]``."""
        return optimistic(value, target, self.alpha)


class CentralWeighting(Weighting):
    """CW-QMIX (arXiv 2006.10800, eq. 7): ``alpha`` for actions that seem worse.

    Args:
        alpha (float): weight of joint actions that are neither greedy nor better than
            the greedy one, in (0, 1].

    Raises:
        TypeError: if ``alpha`` is no number.
        ValueError: if ``alpha`` is out of range.
    """

    in_keys = ["target_value", "greedy_target_value", "is_greedy"]

    def __init__(self, alpha: float) -> None:
        super().__init__()
        check_number("alpha", alpha, above=0, high=1)
        self.alpha = alpha

    def weight(
        self, target: Tensor, greedy_target_value: Tensor, is_greedy: Tensor
    ) -> Tensor:
        """Weights ``[*B, 1]``."""
        return central(target, greedy_target_value, is_greedy, self.alpha)


class UniformWeighting(Weighting):
    """Weight 1 for every transition: QMIX trained on the unrestricted target."""

    in_keys = ["target_value"]

    def weight(self, target: Tensor) -> Tensor:
        """Weights ``[*B, 1]``."""
        return torch.ones_like(target)
