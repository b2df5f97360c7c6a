"""What the plugin's value-based algorithms share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarl.models.common import Model, ModelConfig
from tensordict import NestedKey
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.modules import QValueModule
from torchrl.objectives import LossModule

from remix_plugin.algorithms.base import TeamAlgorithm, TeamAlgorithmConfig
from remix_plugin.validation import check_flag


class ValueFactorization(TeamAlgorithm):
    """Decentralized greedy agents whose utilities are mixed into a joint value.

    Utilities come from ``model``, exploration is epsilon-greedy over available actions.
    A subclass makes the loss.

    Args:
        double_q (bool): whether the online utilities choose the next action.
        delay_value (bool): whether targets come from delayed copies of the networks.
        **kwargs: as :class:`~.base.TeamAlgorithm`.
    """

    stale = ("action_value", "chosen_action_value")

    def __init__(self, double_q: bool, delay_value: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.double_q = double_q
        self.delay_value = delay_value

    def get_loss_options(self, group: str) -> dict[str, Any]:
        """Keyword arguments of every ``ValueFactorizationLoss``."""
        return {**super().get_loss_options(group), "double_q": self.double_q}

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {
            **super().get_loss_keys(group),
            "action_value": (group, "action_value"),
            "local_value": (group, "chosen_action_value"),
        }

    #############################
    # Overridden abstract methods
    #############################

    def _get_parameters(self, group: str, loss: LossModule) -> dict[str, Iterable]:
        return {"loss": [p for p in loss.parameters() if p.requires_grad]}

    def _get_policy_for_loss(
        self, group: str, model_config: ModelConfig, continuous: bool
    ) -> TensorDictModule:
        spec = self.action_spec[group, "action"]
        greedy = QValueModule(
            action_value_key=(group, "action_value"),
            action_mask_key=self.action_mask_key(group),
            out_keys=[
                (group, "action"),
                (group, "action_value"),
                (group, "chosen_action_value"),
            ],
            spec=spec,
            action_space=None,
        )
        utilities = self.get_utilities(group, model_config, "action_value")
        return TensorDictSequential(utilities, greedy)

    def _get_policy_for_collection(
        self, policy_for_loss: TensorDictModule, group: str, continuous: bool
    ) -> TensorDictModule:
        explore = self.get_epsilon_greedy(group)
        return TensorDictSequential(*policy_for_loss, explore)

    #####################
    # Custom new methods
    #####################

    def get_utilities(self, group: str, model_config: ModelConfig, name: str) -> Model:
        """One value per action of each agent, from its own observation."""
        n_actions = self.action_spec[group, "action"].space.n
        return self.get_agent_network(group, model_config, name, n_actions)


@dataclass
class ValueFactorizationConfig(TeamAlgorithmConfig):
    """Options of value-based algorithms, see :class:`ValueFactorization`.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    double_q: bool
    delay_value: bool

    def __post_init__(self) -> None:
        """Validate the shared options."""
        super().__post_init__()
        check_flag("double_q", self.double_q)
        check_flag("delay_value", self.delay_value)

    @staticmethod
    def on_policy() -> bool:
        """Never."""
        return False
