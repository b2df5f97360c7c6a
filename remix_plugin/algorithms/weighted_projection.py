"""What ReMIX and Weighted QMIX share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from tensordict.nn import TensorDictModule
from torchrl.data import OneHot
from torchrl.objectives import LossModule, ValueEstimators

from remix_plugin.algorithms.common import (
    STATE,
    ValueFactorisation,
    ValueFactorisationConfig,
)
from remix_plugin.modules.mixers import UnrestrictedMixer
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss
from remix_plugin.validation import check_number
from remix_plugin.weighting.base import Weighting


class WeightedProjection(ValueFactorisation):
    """A monotonic value, trained by weighted projection of an unrestricted one.

    The parts of ``WeightedProjectionLoss``, made of what BenchMARL hands over; the
    unrestricted utilities come from ``critic_model``. A subclass says how transitions
    are weighted.

    Args:
        unrestricted_embed_dim (int): units of each hidden layer of the unrestricted
            mixer, at least 1.
        **kwargs: as :class:`~.common.ValueFactorisation`.

    Raises:
        ValueError: if ``critic_model`` is recurrent and ``model`` is not.
    """

    def __init__(self, unrestricted_embed_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.unrestricted_embed_dim = unrestricted_embed_dim
        self._check_models()

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

    def _get_loss(
        self, group: str, policy_for_loss: TensorDictModule, continuous: bool
    ) -> tuple[LossModule, bool]:
        one_hot = isinstance(self.action_spec[group, "action"], OneHot)
        loss = WeightedProjectionLoss(
            policy_for_loss[0],
            self.get_mixer(group),
            self.get_unrestricted_value_network(group),
            self.get_unrestricted_mixer(group),
            self.get_weighting(group),
            state_network=self.get_state_network(group),
            action_space="one-hot" if one_hot else "categorical",
            use_action_mask=self.action_mask_key(group) is not None,
            double_q=self.double_q,
            delay_value=self.delay_value,
            loss_function=self.loss_function,
        )
        loss.set_keys(
            action=(group, "action"),
            action_mask=(group, "action_mask"),
            action_value=(group, "action_value"),
            local_value=(group, "chosen_action_value"),
            unrestricted_action_value=(group, "unrestricted_action_value"),
            unrestricted_local_value=(group, "unrestricted_chosen_value"),
            priority=(group, "td_error"),
        )
        loss.make_value_estimator(
            ValueEstimators.TD0, gamma=self.experiment_config.gamma
        )
        return loss, self.delay_value

    def _check_models(self) -> None:
        if self.critic_model_config.is_rnn and not self.model_config.is_rnn:
            raise ValueError(
                f"critic_model={self.critic_model_config.associated_class().__name__} "
                f"with model={self.model_config.associated_class().__name__} is not "
                "allowed: a recurrent critic_model needs a recurrent model, as "
                "BenchMARL marks the starts of episodes only for that."
            )


@dataclass
class WeightedProjectionConfig(ValueFactorisationConfig):
    """Options that ReMIX, OW-QMIX and CW-QMIX share, see :class:`WeightedProjection`.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    unrestricted_embed_dim: int

    def __post_init__(self) -> None:
        """Validate the shared options."""
        super().__post_init__()
        check_number(
            "unrestricted_embed_dim", self.unrestricted_embed_dim, low=1, integer=True
        )

    @staticmethod
    def has_centralized_critic() -> bool:
        """Always: the unrestricted value, made from ``critic_model``."""
        return True
