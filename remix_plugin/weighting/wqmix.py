"""The weightings of Weighted QMIX, and none."""

from __future__ import annotations

import torch
from torch import Tensor

from remix_plugin.validation import check_number
from remix_plugin.weighting.base import Weighting
from remix_plugin.weighting.functional import central, optimistic


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
