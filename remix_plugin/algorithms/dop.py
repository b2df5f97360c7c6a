"""DOP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm
from tensordict import NestedKey
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.objectives import LossModule

from remix_plugin.algorithms.actor_critic import (
    CRITIC_INPUT,
    ActorCritic,
    ActorCriticConfig,
)
from remix_plugin.algorithms.base import STATE, RecentData
from remix_plugin.modules.linear_mixer import LinearMixer
from remix_plugin.objectives.dop import ACTOR_DATA, ACTOR_GRADIENTS, DopLoss
from remix_plugin.validation import check_choice, check_flag, check_number, check_size


class Dop(RecentData, ActorCritic):
    """DOP (arXiv 2007.12322): decomposed policy gradients, off policy.

    Critics, from ``critic_model``, read the state, each agent's observation and its
    index. They learn from all data by tree backup and from the newest by
    lambda-returns, actors from the newest.

    Args:
        delay_value (bool): whether targets come from delayed copies of the critics.
        n_steps (int): steps of the tree backup; with 1 and ``td_lambda=0`` replay may
            hold single steps.
        tree_lambda (float): decay of its steps.
        replay_share (float): what data drawn from all counts in the critics' loss.
        recent_fraction (float): share of each batch drawn from the newest data.
        recent_size (int): frames that count as newest, rounded up to whole collected
            batches.
        actor_data (str): ``"recent"`` or ``"replay"``.
        actor_gradient (str): ``"expected"`` or ``"sampled"``.
        actor_update_period (int): actors learn at every so many updates.
        critic_lr (float, optional): learning rate of critics and mixer; that of the
            experiment if None.
        mixing_embed_dim (int): embedding size of the mixer, 1 to 16,384.
        normalize_k (bool): whether the agents' weights sum to 1.
        use_bias (bool): whether the state adds to the team's value.
        **kwargs: as :class:`~.actor_critic.ActorCritic`.

    Raises:
        ValueError: as :class:`~.base.RecentData`.
    """

    marks_recent = True

    def __init__(
        self,
        delay_value: bool,
        n_steps: int,
        tree_lambda: float,
        replay_share: float,
        actor_data: str,
        actor_gradient: str,
        actor_update_period: int,
        critic_lr: float | None,
        mixing_embed_dim: int,
        normalize_k: bool,
        use_bias: bool,
        **kwargs: Any,
    ) -> None:
        self.n_steps = n_steps
        super().__init__(**kwargs)
        self.delay_value = delay_value
        self.tree_lambda = tree_lambda
        self.replay_share = replay_share
        self.actor_data = actor_data
        self.actor_gradient = actor_gradient
        self.actor_update_period = actor_update_period
        self.critic_lr = critic_lr
        self.mixing_embed_dim = mixing_embed_dim
        self.normalize_k = normalize_k
        self.use_bias = use_bias

    @property
    def row_option(self) -> str | None:
        """The option for which the loss needs rows of steps, if any."""
        tree_backup = f"n_steps={self.n_steps}" if self.n_steps > 1 else None
        return super().row_option or tree_backup

    def get_loss(
        self, group: str, policy: TensorDictModule, options: dict[str, Any]
    ) -> DopLoss:
        """The actors' loss, and that of critics and mixer."""
        inputs = {(group, CRITIC_INPUT): self.get_critic_inputs(group)[1]}
        size = 1 + self.n_actions(group)
        return DopLoss(
            policy[0],
            self.get_critic(group, "dueling_value", inputs, size),
            self.get_mixer(group),
            n_steps=self.n_steps,
            tree_lambda=self.tree_lambda,
            replay_share=self.replay_share,
            actor_data=self.actor_data,
            actor_gradient=self.actor_gradient,
            actor_update_period=self.actor_update_period,
            **options,
        )

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {
            **super().get_loss_keys(group),
            "dueling_value": (group, "dueling_value"),
            "mixing_weight": (group, "mixing_weight"),
        }

    def get_mixer(self, group: str) -> TensorDictModule:
        """The linear mixer."""
        mixer = LinearMixer(
            state_dim=self.state_size(group),
            n_agents=len(self.group_map[group]),
            embed_dim=self.mixing_embed_dim,
            normalize=self.normalize_k,
            use_bias=self.use_bias,
            device=self.device,
        )
        return TensorDictModule(
            mixer, in_keys=[STATE], out_keys=[(group, "mixing_weight"), "mixing_bias"]
        )

    def get_state_network(self, group: str) -> TensorDictModule:
        """Writes the state and what critics read of each agent."""
        state = super().get_state_network(group)
        return TensorDictSequential(state, self.get_critic_inputs(group)[0])

    def _get_parameters(self, group: str, loss: LossModule) -> dict[str, Iterable]:
        critic: dict[str, Any] = {"params": self.critic_parameters(loss)}
        if self.critic_lr is not None:
            critic["lr"] = self.critic_lr
        return {"loss_actor": self.actor_parameters(loss), "loss_critic": [critic]}


@dataclass
class DopConfig(ActorCriticConfig):
    """Options of :class:`Dop`; the defaults live in ``algorithm/dop.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    delay_value: bool
    n_steps: int
    tree_lambda: float
    replay_share: float
    recent_fraction: float
    recent_size: int
    actor_data: str
    actor_gradient: str
    actor_update_period: int
    critic_lr: float | None
    mixing_embed_dim: int
    normalize_k: bool
    use_bias: bool

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        check_flag("delay_value", self.delay_value)
        check_number("n_steps", self.n_steps, low=1, integer=True)
        check_number("tree_lambda", self.tree_lambda, low=0, high=1)
        check_number("replay_share", self.replay_share, low=0, high=1)
        check_number("recent_fraction", self.recent_fraction, low=0, high=1)
        check_number("recent_size", self.recent_size, low=1, integer=True)
        check_choice("actor_data", self.actor_data, ACTOR_DATA)
        check_choice("actor_gradient", self.actor_gradient, ACTOR_GRADIENTS)
        check_number(
            "actor_update_period", self.actor_update_period, low=1, integer=True
        )
        check_number("critic_lr", self.critic_lr, above=0, nullable=True)
        check_size("mixing_embed_dim", self.mixing_embed_dim)
        check_flag("normalize_k", self.normalize_k)
        check_flag("use_bias", self.use_bias)

    @staticmethod
    def on_policy() -> bool:
        """Always False: part of the data is old."""
        return False

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return Dop
