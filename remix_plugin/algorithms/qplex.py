"""QPLEX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm
from tensordict import NestedKey
from tensordict.nn import TensorDictModule

from remix_plugin.algorithms.base import STATE
from remix_plugin.algorithms.factorized_q import FactorizedQ, FactorizedQConfig
from remix_plugin.modules.duplex_dueling import DuplexDuelingMixer
from remix_plugin.validation import check_choice, check_size

IMPORTANCE = "advantage_importance"


class Qplex(FactorizedQ):
    """QPLEX (arXiv 2008.01062): advantages weighted by the joint action.

    Args:
        n_heads (int): heads of the importance of advantages, 1 to 16,384.
        importance_layers (int): linear layers of its networks, 1 to 3.
        hypernet_dim (int): units of every hidden layer of the mixer, 1 to 16,384.
        **kwargs: as :class:`~.factorized_q.FactorizedQ`.
    """

    metrics = (IMPORTANCE,)

    def __init__(
        self, n_heads: int, importance_layers: int, hypernet_dim: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.n_heads = n_heads
        self.importance_layers = importance_layers
        self.hypernet_dim = hypernet_dim

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {
            **super().get_loss_keys(group),
            "greedy_local_value": (group, "greedy_action_value"),
            "joint_action": (group, "joint_action"),
        }

    def get_mixer(self, group: str) -> TensorDictModule:
        """The duplex dueling mixer."""
        mixer = DuplexDuelingMixer(
            state_dim=self.state_size(group),
            n_agents=len(self.group_map[group]),
            n_actions=self.action_spec[group, "action"].space.n,
            n_heads=self.n_heads,
            importance_layers=self.importance_layers,
            hypernet_dim=self.hypernet_dim,
            device=self.device,
        )
        return TensorDictModule(
            mixer,
            in_keys=[
                (group, "chosen_action_value"),
                (group, "greedy_action_value"),
                (group, "joint_action"),
                STATE,
            ],
            out_keys=["chosen_action_value", IMPORTANCE],
        )


@dataclass
class QplexConfig(FactorizedQConfig):
    """Options of :class:`Qplex`; the defaults live in ``algorithm/qplex.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    n_heads: int
    importance_layers: int
    hypernet_dim: int

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        check_size("n_heads", self.n_heads)
        check_choice("importance_layers", self.importance_layers, (1, 2, 3))
        check_size("hypernet_dim", self.hypernet_dim)

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return Qplex
