"""MADDPG for discrete actions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm
from benchmarl.models.common import ModelConfig
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.objectives import LossModule

from remix_plugin.algorithms.actor_critic import (
    CRITIC_INPUT,
    ActorCritic,
    ActorCriticConfig,
)
from remix_plugin.objectives.discrete_maddpg import OTHERS, DiscreteMaddpgLoss
from remix_plugin.validation import check_choice, check_flag, check_number


class DiscreteMaddpg(ActorCritic):
    """MADDPG (arXiv 1706.02275) for discrete actions, by Gumbel-softmax.

    A critic of each agent, from ``critic_model``, reads the state, the agent's index
    and all actions. Agents learn from rewards of their own where the task gives them,
    as in BenchMARL's ``maddpg``, which takes continuous actions alone.

    Args:
        delay_value (bool): whether targets come from delayed copies of actors and
            critics.
        temperature (float): of the relaxed sample.
        others (str): the others' actions in the actors' loss: ``"policy"`` or
            ``"replay"``.
        logit_coef (float): factor of the mean squared logit in the actors' loss.
        **kwargs: as :class:`~.actor_critic.ActorCritic`.

    Raises:
        ValueError: if ``critic_model`` is recurrent.
    """

    def __init__(
        self,
        delay_value: bool,
        temperature: float,
        others: str,
        logit_coef: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.delay_value = delay_value
        self.temperature = temperature
        self.others = others
        self.logit_coef = logit_coef

    def get_loss(
        self, group: str, policy: TensorDictModule, options: dict[str, Any]
    ) -> DiscreteMaddpgLoss:
        """The actors' loss, and that of the critics."""
        n_joint = len(self.group_map[group]) * self.n_actions(group)
        inputs = {
            (group, CRITIC_INPUT): self.get_critic_inputs(group, features=False)[1],
            (group, "joint_action"): n_joint,
        }
        return DiscreteMaddpgLoss(
            policy[0],
            self.get_critic(group, "action_value", inputs, 1),
            temperature=self.temperature,
            others=self.others,
            logit_coef=self.logit_coef,
            **options,
        )

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {
            **super().get_loss_keys(group),
            "action_value": (group, "action_value"),
            "joint_action": (group, "joint_action"),
            "agent_reward": (group, "reward"),
        }

    def get_agent_model_configs(self) -> list[ModelConfig]:
        """Configs of the models that the loss runs agent by agent."""
        return [self.model_config]

    def get_state_network(self, group: str) -> TensorDictModule:
        """Writes the state and what critics read of each agent."""
        state = super().get_state_network(group)
        observed, _ = self.get_critic_inputs(group, features=False)
        return TensorDictSequential(state, observed)

    def process_batch(self, group: str, batch: TensorDictBase) -> TensorDictBase:
        """As for all algorithms, with a reward for each agent."""
        batch = super().process_batch(group, batch)
        own = ("next", group, "reward")
        if own not in batch.keys(True):
            n_agents = len(self.group_map[group])
            reward = batch.get(("next", "reward")).unsqueeze(-2)
            batch.set(own, reward.expand(*batch.shape, n_agents, 1))
        return batch

    def _check(self) -> None:
        super()._check()
        critic = self.critic_model_config
        if critic.is_rnn:
            raise ValueError(
                f"critic_model={critic.associated_class().__name__} is not allowed "
                "with DiscreteMaddpg: it must not be recurrent, as it values actions "
                "that were not taken."
            )

    def _get_parameters(self, group: str, loss: LossModule) -> dict[str, Iterable]:
        return {
            "loss_actor": self.actor_parameters(loss),
            "loss_critic": self.critic_parameters(loss),
        }


@dataclass
class DiscreteMaddpgConfig(ActorCriticConfig):
    """Options of :class:`DiscreteMaddpg`.

    The defaults live in ``algorithm/discretemaddpg.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    delay_value: bool
    temperature: float
    others: str
    logit_coef: float

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        check_flag("delay_value", self.delay_value)
        check_number("temperature", self.temperature, above=0)
        check_choice("others", self.others, OTHERS)
        check_number("logit_coef", self.logit_coef, low=0)

    @staticmethod
    def on_policy() -> bool:
        """Always False."""
        return False

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return DiscreteMaddpg
