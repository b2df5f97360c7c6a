"""What ReMIX and Weighted QMIX share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from benchmarl.models.common import ModelConfig
from tensordict import NestedKey
from tensordict.nn import TensorDictModule

from remix_plugin.algorithms.base import STATE
from remix_plugin.algorithms.monotonic import (
    MonotonicFactorization,
    MonotonicFactorizationConfig,
)
from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.projection_weights import ProjectionWeights
from remix_plugin.modules.mixers import UnrestrictedMixer
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss
from remix_plugin.validation import check_number, check_size
from remix_plugin.weighting.base import Weighting


class WeightedProjection(MonotonicFactorization):
    """A monotonic value, trained by weighted projection of an unrestricted one.

    The parts of ``WeightedProjectionLoss``, made of what BenchMARL hands over; the
    unrestricted utilities come from ``critic_model``. A subclass says how transitions
    are weighted.

    Args:
        unrestricted_embed_dim (int): units of each hidden layer of the unrestricted
            mixer, 1 to 16,384.
        unrestricted_coef (float): factor of the unrestricted value's loss.
        **kwargs: as :class:`~.monotonic.MonotonicFactorization`.
    """

    def __init__(
        self, unrestricted_embed_dim: int, unrestricted_coef: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.unrestricted_embed_dim = unrestricted_embed_dim
        self.unrestricted_coef = unrestricted_coef
        attach(self.experiment, ProjectionWeights())

    @abstractmethod
    def get_weighting(self, group: str) -> Weighting:
        """How the transitions of a group are weighted."""

    def get_unrestricted_value_network(self, group: str) -> TensorDictModule:
        """The utilities of the unrestricted value, from ``critic_model``."""
        return self.get_utilities(
            group, self.critic_model_config, "unrestricted_action_value"
        )

    def get_unrestricted_mixer(self, group: str) -> TensorDictModule:
        """The mixer of the unrestricted value."""
        mixer = UnrestrictedMixer(
            state_shape=(self.state_size(group),),
            embed_dim=self.unrestricted_embed_dim,
            n_agents=len(self.group_map[group]),
            device=self.device,
        )
        return TensorDictModule(
            mixer,
            in_keys=[(group, "unrestricted_chosen_value"), STATE],
            out_keys=["unrestricted_chosen_value"],
        )

    def get_loss(
        self, group: str, policy: TensorDictModule, options: dict[str, Any]
    ) -> WeightedProjectionLoss:
        """The weighted projection of the unrestricted value."""
        return WeightedProjectionLoss(
            policy[0],
            self.get_mixer(group),
            self.get_unrestricted_value_network(group),
            self.get_unrestricted_mixer(group),
            self.get_weighting(group),
            unrestricted_coef=self.unrestricted_coef,
            **options,
        )

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {
            **super().get_loss_keys(group),
            "unrestricted_action_value": (group, "unrestricted_action_value"),
            "unrestricted_local_value": (group, "unrestricted_chosen_value"),
        }

    def get_agent_model_configs(self) -> list[ModelConfig]:
        """Configs of the models that the loss runs agent by agent."""
        return [self.model_config, self.critic_model_config]


@dataclass
class WeightedProjectionConfig(MonotonicFactorizationConfig):
    """Options that ReMIX, OW-QMIX and CW-QMIX share, see :class:`WeightedProjection`.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    unrestricted_embed_dim: int
    unrestricted_coef: float

    def __post_init__(self) -> None:
        """Validate the shared options."""
        super().__post_init__()
        check_size("unrestricted_embed_dim", self.unrestricted_embed_dim)
        check_number("unrestricted_coef", self.unrestricted_coef, above=0)

    @staticmethod
    def has_centralized_critic() -> bool:
        """Always: the unrestricted value, made from ``critic_model``."""
        return True
