"""What the losses that learn once from what the current policy has collected share."""

from __future__ import annotations

from dataclasses import dataclass

from tensordict import NestedKey, TensorDictBase
from torch import Tensor

from remix_plugin.objectives.actor_critic import ActorCriticLoss


class OnPolicyLoss(ActorCriticLoss):
    """Targets are made of whole collected rows, before batches are drawn from them.

    A subclass implements :meth:`write_targets` and reads what that has written.
    """

    @dataclass
    class _AcceptedKeys(ActorCriticLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            value_target (NestedKey): regression target of the critic, written by
                ``write_targets``, ``[*B, 1]`` or ``[*B, n, 1]``.
        """

        value_target: NestedKey = "value_target"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    targets_at_collection = True

    def write_targets(self, tensordict: TensorDictBase) -> None:
        """Write the critic's targets into collected rows ``[B, T]``."""
        raise NotImplementedError

    def _written_target(self, tensordict: TensorDictBase) -> Tensor:
        target = tensordict.get(self.tensor_keys.value_target, None)
        if target is None:
            raise KeyError(
                f"value_target={self.tensor_keys.value_target!r} is missing from the "
                "batch: call write_targets on the rows that it is drawn from."
            )
        return target
