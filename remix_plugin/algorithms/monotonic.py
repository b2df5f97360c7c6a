"""What algorithms with QMIX's monotonic mixer share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensordict.nn import TensorDictModule
from torchrl.modules import QMixer

from remix_plugin.algorithms.base import STATE
from remix_plugin.algorithms.value_factorization import (
    ValueFactorization,
    ValueFactorizationConfig,
)
from remix_plugin.modules.mixers import DeepQMixer
from remix_plugin.validation import check_choice, check_size


class MonotonicFactorization(ValueFactorization):
    """A joint value that rises with each agent's utility, as in QMIX.

    Args:
        mixing_embed_dim (int): embedding size of the monotonic mixer, 1 to 16,384.
        hypernet_layers (int): layers of its hypernetworks: 1 is TorchRL's ``QMixer``,
            2 that of the Weighted QMIX code.
        **kwargs: as :class:`~.value_factorization.ValueFactorization`.
    """

    def __init__(
        self, mixing_embed_dim: int, hypernet_layers: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.mixing_embed_dim = mixing_embed_dim
        self.hypernet_layers = hypernet_layers

    def get_mixer(self, group: str) -> TensorDictModule:
        """The monotonic mixer."""
        mixer_class = QMixer if self.hypernet_layers == 1 else DeepQMixer
        mixer = mixer_class(
            state_shape=(self.state_size(group),),
            mixing_embed_dim=self.mixing_embed_dim,
            n_agents=len(self.group_map[group]),
            device=self.device,
        )
        return TensorDictModule(
            mixer,
            in_keys=[(group, "chosen_action_value"), STATE],
            out_keys=["chosen_action_value"],
        )


@dataclass
class MonotonicFactorizationConfig(ValueFactorizationConfig):
    """Options of the monotonic mixer, see :class:`MonotonicFactorization`.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    mixing_embed_dim: int
    hypernet_layers: int

    def __post_init__(self) -> None:
        """Validate the shared options."""
        super().__post_init__()
        check_size("mixing_embed_dim", self.mixing_embed_dim)
        check_choice("hypernet_layers", self.hypernet_layers, (1, 2))
