"""COMA."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.objectives import LossModule

from remix_plugin.algorithms.actor_critic import CRITIC_INPUT, ActorCriticConfig
from remix_plugin.algorithms.on_policy import OnPolicy
from remix_plugin.modules.critic_inputs import OthersActions
from remix_plugin.objectives.coma import ComaLoss
from remix_plugin.validation import check_flag, check_number

JOINT_ACTION, OTHERS_ACTIONS = "joint_action", "others_actions"


class Coma(OnPolicy):
    """COMA (arXiv 1705.08926): counterfactual advantages from a critic of the team.

    The critic, from ``critic_model``, reads the state, an agent's observation and index
    and what the others do. Actors learn in the first pass over a collected batch, the
    critic in all of ``experiment.on_policy_n_minibatch_iters``.

    Args:
        delay_value (bool): whether targets come from a delayed copy of the critic.
        entropy_coef (float): factor of the policies' entropy.
        **kwargs: as :class:`~.actor_critic.ActorCritic`.
    """

    actors_learn_once = True

    def __init__(self, delay_value: bool, entropy_coef: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delay_value = delay_value
        self.entropy_coef = entropy_coef

    def get_loss(
        self, group: str, policy: TensorDictModule, options: dict[str, Any]
    ) -> ComaLoss:
        """The actors' loss, and that of the critic."""
        n_others = len(self.group_map[group]) * self.n_actions(group)
        inputs = {
            (group, CRITIC_INPUT): self.get_critic_inputs(group)[1],
            (group, OTHERS_ACTIONS): n_others,
        }
        return ComaLoss(
            policy[0],
            self.get_critic(group, "action_value", inputs, self.n_actions(group)),
            entropy_coef=self.entropy_coef,
            **options,
        )

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {
            **super().get_loss_keys(group),
            "action_value": (group, "action_value"),
            "joint_action": (group, JOINT_ACTION),
            "value_target": (group, "value_target"),
        }

    def get_state_network(self, group: str) -> TensorDictModule:
        """Writes the state and what the critic reads of each agent."""
        others = TensorDictModule(
            OthersActions(self.n_actions(group)),
            in_keys=[(group, JOINT_ACTION)],
            out_keys=[(group, OTHERS_ACTIONS)],
        )
        state, (observed, _) = (
            super().get_state_network(group),
            self.get_critic_inputs(group),
        )
        return TensorDictSequential(state, observed, others)

    def process_batch(self, group: str, batch: TensorDictBase) -> TensorDictBase:
        """As on policy, with as many updates of actors as the batch has minibatches."""
        batch = super().process_batch(group, batch)
        replay = self.experiment.replay_buffers[group]
        n_rows = len(batch) if self.has_rnn else batch.numel()
        kept = min(n_rows, replay.storage.max_size)
        self.experiment.losses[group].learn_for(-(-kept // replay.batch_size))
        return batch

    def _get_parameters(self, group: str, loss: LossModule) -> dict[str, Iterable]:
        return {
            "loss_actor": self.actor_parameters(loss),
            "loss_critic": self.critic_parameters(loss),
        }


@dataclass
class ComaConfig(ActorCriticConfig):
    """Options of :class:`Coma`; the defaults live in ``algorithm/coma.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    delay_value: bool
    entropy_coef: float

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        check_flag("delay_value", self.delay_value)
        check_number("entropy_coef", self.entropy_coef, low=0)

    @staticmethod
    def on_policy() -> bool:
        """Always True."""
        return True

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return Coma
