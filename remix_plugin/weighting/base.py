"""What a projection weighting is, and what it may read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from remix_plugin.functional import boltzmann_probability, greedy_actions

WEIGHT = "projection_weight"


class Quantities:
    """What a loss knows of a batch ``[*B]``, each computed when it is first read.

    The properties are the names that a :class:`Weighting` may list in its ``in_keys``.
    None carries a gradient.

    Keyword Args:
        value (Tensor): ``Q_tot`` of the joint action taken, ``[*B, 1]``.
        mixer_gradient (Tensor): its gradient in each utility, ``[*B, n, 1]``.
        unrestricted (Tensor): ``Q_star`` of the joint action taken, ``[*B, 1]``.
        target (Tensor): regression target, ``[*B, 1]``.
        utilities (Tensor): of all actions, ``[*B, n, A]``.
        action (Tensor): index of the action that each agent took, ``[*B, n]``.
        action_mask (Tensor, optional): available actions, bool ``[*B, n, A]``.
        valid (Tensor, optional): false for padding, bool ``[*B, 1]``.
        unrestricted_target_of (callable): of joint actions ``[*B, n]``, the target
            network's ``Q_star`` ``[*B, 1]``.
    """

    def __init__(
        self,
        *,
        value: Tensor,
        mixer_gradient: Tensor,
        unrestricted: Tensor,
        target: Tensor,
        utilities: Tensor,
        action: Tensor,
        action_mask: Tensor | None,
        valid: Tensor | None,
        unrestricted_target_of: Callable[[Tensor], Tensor],
    ) -> None:
        self._value = value.detach()
        self._mixer_gradient = mixer_gradient
        self._unrestricted = unrestricted.detach()
        self._target = target
        self._utilities = utilities.detach()
        self._action = action
        self._mask = action_mask
        self._valid = valid
        self._unrestricted_target_of = unrestricted_target_of

    @property
    def chosen_action_value(self) -> Tensor:
        """``Q_tot`` of the joint action taken, ``[*B, 1]``."""
        return self._value

    @property
    def unrestricted_value(self) -> Tensor:
        """``Q_star`` of the joint action taken, ``[*B, 1]``."""
        return self._unrestricted

    @cached_property
    def unrestricted_target_value(self) -> Tensor:
        """The target network's ``Q_star`` of the joint action taken, ``[*B, 1]``."""
        return self._unrestricted_target_of(self._action)

    @property
    def target_value(self) -> Tensor:
        """``y``, the regression target, ``[*B, 1]``."""
        return self._target

    @property
    def mixer_gradient(self) -> Tensor:
        """``dQ_tot / dq_a``, ``[*B, n, 1]``."""
        return self._mixer_gradient

    @cached_property
    def action_probability(self) -> Tensor:
        """Softmax over available actions, of the actions taken, ``[*B, n, 1]``."""
        return boltzmann_probability(self._utilities, self._mask, self._action)

    @cached_property
    def unmasked_action_probability(self) -> Tensor:
        """The same with the softmax over all actions, ``[*B, n, 1]``."""
        return boltzmann_probability(self._utilities, None, self._action)

    @cached_property
    def is_greedy(self) -> Tensor:
        """Whether all agents took their greedy action, bool ``[*B, 1]``."""
        return (self._greedy == self._action).all(-1, keepdim=True)

    @cached_property
    def greedy_target_value(self) -> Tensor:
        """The target network's ``Q_star`` of the greedy joint action, ``[*B, 1]``."""
        return self._unrestricted_target_of(self._greedy)

    @cached_property
    def valid(self) -> Tensor:
        """False for padding, bool ``[*B, 1]``."""
        if self._valid is None:
            return torch.ones_like(self._value, dtype=torch.bool)
        return self._valid

    @cached_property
    def _greedy(self) -> Tensor:
        return greedy_actions(self._utilities, self._mask)


#: Names of all quantities
QUANTITIES = tuple(name for name in vars(Quantities) if not name.startswith("_"))


class Weighting(TensorDictModuleBase):
    """Maps quantities of a batch to the weight of each transition in the projection.

    A subclass lists what it needs in ``in_keys`` and implements :meth:`weight`, which
    gets those entries in that order: properties of :class:`Quantities`, of which only
    those asked for are computed, and, by any other name, entries of the sampled batch.
    The result is written under ``projection_weight``; no gradient flows through it.

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
