"""What a projection weighting is."""

from __future__ import annotations

from abc import abstractmethod

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

WEIGHT = "projection_weight"


class Weighting(TensorDictModuleBase):
    """Maps quantities of a batch to the weight of each transition in the projection.

    A subclass lists what it needs in ``in_keys`` and implements :meth:`weight`, which
    gets those entries in that order. ``WeightedProjectionLoss`` offers, detached, and
    computes only what is asked for:

    =============================== ============ ======================================
    ``chosen_action_value``         [*B, 1]      ``Q_tot`` of the joint action taken
    ``unrestricted_value``          [*B, 1]      ``Q_star`` of the joint action taken
    ``unrestricted_target_value``   [*B, 1]      the same of the target network
    ``target_value``                [*B, 1]      ``y``, the regression target
    ``mixer_gradient``              [*B, n, 1]   ``dQ_tot / dq_a``
    ``action_probability``          [*B, n, 1]   softmax of the utilities over
                                                 available actions, of the action taken
    ``unmasked_action_probability`` [*B, n, 1]   the same over all actions
    ``is_greedy``                   bool [*B, 1] whether all agents took their greedy
                                                 action
    ``greedy_target_value``         [*B, 1]      target network's unrestricted value
                                                 of the greedy joint action
    ``valid``                       bool [*B, 1] false for padding
    =============================== ============ ======================================

    Any other name in ``in_keys`` is read from the sampled batch. The result is written
    under ``projection_weight``; no gradient flows through it.

    Attributes:
        w_max (float): the largest weight, where histograms of weights end.
    """

    w_max: float = 1.0
    in_keys: list[NestedKey] = []
    out_keys: list[NestedKey] = [WEIGHT]

    @abstractmethod
    def weight(self, *inputs: Tensor) -> Tensor:
        """Weights ``[*B, 1]`` from the entries of ``in_keys``."""

    @torch.no_grad()
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the weights into ``tensordict``."""
        inputs = [tensordict.get(key) for key in self.in_keys]
        return tensordict.set(WEIGHT, self.weight(*inputs))
