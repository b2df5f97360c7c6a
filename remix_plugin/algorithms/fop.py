"""FOP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.objectives import LossModule

from remix_plugin.algorithms.actor_critic import (
    CRITIC_INPUT,
    ActorCritic,
    ActorCriticConfig,
)
from remix_plugin.algorithms.base import STATE
from remix_plugin.modules.fop import FopMixer
from remix_plugin.objectives.fop import ENTROPY_TARGETS, FopLoss
from remix_plugin.validation import check_choice, check_flag, check_number, check_size


class Fop(ActorCritic):
    """FOP (ICML 2021): policies of maximum entropy from a factorized soft value.

    Critics, from ``critic_model``, read each agent's observation and its index.

    Args:
        delay_value (bool): whether targets come from delayed copies of critics and
            mixers.
        alpha_init (float): temperature at the first frame.
        alpha_min (float): temperature after ``alpha_anneal_frames``.
        alpha_anneal_frames (int): collected frames over which it falls, linearly.
        entropy_target (str): ``"soft"`` or ``"reference"``.
        n_heads (int): heads of the mixers' importance, 1 to 16,384.
        mixing_embed_dim (int): hidden units of the state's value, 1 to 16,384.
        **kwargs: as :class:`~.actor_critic.ActorCritic`.
    """

    def __init__(
        self,
        delay_value: bool,
        alpha_init: float,
        alpha_min: float,
        alpha_anneal_frames: int,
        entropy_target: str,
        n_heads: int,
        mixing_embed_dim: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.delay_value = delay_value
        self.alpha_init = alpha_init
        self.alpha_min = alpha_min
        self.alpha_anneal_frames = alpha_anneal_frames
        self.entropy_target = entropy_target
        self.n_heads = n_heads
        self.mixing_embed_dim = mixing_embed_dim

    def alpha(self, frames: int) -> float:
        """The temperature after so many collected frames."""
        rate = (self.alpha_init - self.alpha_min) / self.alpha_anneal_frames
        return max(self.alpha_min, self.alpha_init - rate * frames)

    def get_loss(
        self, group: str, policy: TensorDictModule, options: dict[str, Any]
    ) -> FopLoss:
        """The actors' loss, and that of both critics and mixers."""
        inputs = {(group, CRITIC_INPUT): self.get_critic_inputs(group, state=False)[1]}
        n_actions = self.n_actions(group)
        return FopLoss(
            policy[0],
            self.get_critic(group, "action_value", inputs, n_actions),
            self.get_critic(group, "action_value", inputs, n_actions),
            self.get_mixer(group),
            self.get_mixer(group),
            alpha=self.alpha_init,
            entropy_target=self.entropy_target,
            **options,
        )

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {
            **super().get_loss_keys(group),
            "action_value": (group, "action_value"),
            "local_value": (group, "chosen_action_value"),
            "soft_value": (group, "soft_value"),
            "joint_action": (group, "joint_action"),
        }

    def get_mixer(self, group: str) -> TensorDictModule:
        """A mixer of soft values."""
        mixer = FopMixer(
            state_dim=self.state_size(group),
            n_agents=len(self.group_map[group]),
            n_actions=self.n_actions(group),
            n_heads=self.n_heads,
            embed_dim=self.mixing_embed_dim,
            device=self.device,
        )
        return TensorDictModule(
            mixer,
            in_keys=[
                (group, "chosen_action_value"),
                (group, "soft_value"),
                (group, "joint_action"),
                STATE,
            ],
            out_keys=["chosen_action_value"],
        )

    def get_state_network(self, group: str) -> TensorDictModule:
        """Writes the state and what critics read of each agent."""
        state = super().get_state_network(group)
        observed, _ = self.get_critic_inputs(group, state=False)
        return TensorDictSequential(state, observed)

    def process_batch(self, group: str, batch: TensorDictBase) -> TensorDictBase:
        """As for all algorithms, with the temperature of the frames collected."""
        alpha = self.alpha(self.experiment.total_frames)
        self.experiment.losses[group].set_alpha(alpha)
        return super().process_batch(group, batch)

    def _get_parameters(self, group: str, loss: LossModule) -> dict[str, Iterable]:
        return {
            "loss_actor": self.actor_parameters(loss),
            "loss_qvalue": self.critic_parameters(loss),
        }


@dataclass
class FopConfig(ActorCriticConfig):
    """Options of :class:`Fop`; the defaults live in ``algorithm/fop.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    delay_value: bool
    alpha_init: float
    alpha_min: float
    alpha_anneal_frames: int
    entropy_target: str
    n_heads: int
    mixing_embed_dim: int

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        check_flag("delay_value", self.delay_value)
        check_number("alpha_min", self.alpha_min, above=0)
        check_number("alpha_init", self.alpha_init, low=self.alpha_min)
        check_number(
            "alpha_anneal_frames", self.alpha_anneal_frames, low=1, integer=True
        )
        check_choice("entropy_target", self.entropy_target, ENTROPY_TARGETS)
        check_size("n_heads", self.n_heads)
        check_size("mixing_embed_dim", self.mixing_embed_dim)

    @staticmethod
    def on_policy() -> bool:
        """Always False."""
        return False

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return Fop
