"""What the losses of value factorizations share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensordict import NestedKey, TensorDictBase
from torch import Tensor

from remix_plugin.objectives.base import TeamLoss
from remix_plugin.objectives.functional import greedy_actions
from remix_plugin.objectives.passes import TransitionPasses


class ValueFactorizationLoss(TeamLoss):
    """Greedy joint actions of agents whose utilities are mixed into a joint value.

    Keyword Args:
        double_q (bool): whether the online utilities choose the next joint action,
            rather than their target copy.
        **kwargs: as :class:`~.base.TeamLoss`.

    Raises:
        ValueError: as the base class.
        KeyError: when called, if the batch lacks the action mask.
    """

    @dataclass
    class _AcceptedKeys(TeamLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            action_value (NestedKey): utilities ``[*B, n, A]``.
            local_value (NestedKey): utilities of chosen actions ``[*B, n, 1]``.
            global_value (NestedKey): ``Q_tot``, ``[*B, 1]``.
        """

        action_value: NestedKey = ("agents", "action_value")
        local_value: NestedKey = ("agents", "chosen_action_value")
        global_value: NestedKey = "chosen_action_value"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys

    def __init__(self, *, double_q: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.double_q = double_q

    def _computed_keys(self) -> set[NestedKey]:
        return {*super()._computed_keys(), self.tensor_keys.local_value}

    def _greedy_next(
        self, tensordict: TensorDictBase, passes: TransitionPasses
    ) -> Tensor:
        """Index ``[*B, n]`` of the greedy joint action after each step."""
        mask = self._action_mask(tensordict, root="next")
        utilities = passes.after(
            "local_value_network",
            self.tensor_keys.action_value,
            target=not self.double_q,
        )
        return greedy_actions(utilities, mask)
