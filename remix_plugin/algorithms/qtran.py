"""QTRAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm
from benchmarl.models.common import Model, ModelConfig
from tensordict import NestedKey
from tensordict.nn import TensorDictModule

from remix_plugin.algorithms.base import STATE
from remix_plugin.algorithms.value_factorization import (
    ValueFactorization,
    ValueFactorizationConfig,
)
from remix_plugin.modules.qtran import (
    FeatureJointValue,
    JointActionValue,
    StateValue,
)
from remix_plugin.objectives.qtran import QtranLoss
from remix_plugin.validation import check_choice, check_number, check_size


class Qtran(ValueFactorization):
    """QTRAN-base (arXiv 1905.05408): a free joint value that utilities must agree with.

    Args:
        arch (str): what the joint value reads of each agent: ``"features"``, its action
            and features that ``critic_model`` makes of its observation, or ``"coma"``,
            its action alone.
        embed_dim (int): units of each hidden layer of both joint networks, 1 to 16,384.
        feature_dim (int): features of each agent, 1 to 16,384.
        lambda_opt (float): weight of the condition on the greedy joint action, above 0.
        lambda_nopt (float): weight of the condition on all others, above 0.
        **kwargs: as :class:`~.value_factorization.ValueFactorization`.
    """

    def __init__(
        self,
        arch: str,
        embed_dim: int,
        feature_dim: int,
        lambda_opt: float,
        lambda_nopt: float,
        **kwargs: Any,
    ) -> None:
        # Read by the checks of the base class.
        self.arch = arch
        super().__init__(**kwargs)
        self.embed_dim = embed_dim
        self.feature_dim = feature_dim
        self.lambda_opt = lambda_opt
        self.lambda_nopt = lambda_nopt

    def get_loss(
        self, group: str, policy: TensorDictModule, options: dict[str, Any]
    ) -> QtranLoss:
        """The three terms of QTRAN-base."""
        return QtranLoss(
            policy[0],
            self.get_joint_value_network(group),
            self.get_state_value_network(group),
            self.get_feature_network(group),
            optimum_weight=self.lambda_opt,
            other_weight=self.lambda_nopt,
            **options,
        )

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {
            **super().get_loss_keys(group),
            "joint_action": (group, "joint_action"),
            "feature": (group, "joint_feature"),
        }

    def get_agent_model_configs(self) -> list[ModelConfig]:
        """Configs of the models that the loss runs agent by agent."""
        features = [self.critic_model_config] if self.arch == "features" else []
        return [self.model_config, *features]

    def get_feature_network(self, group: str) -> Model | None:
        """What the joint value knows of each agent's observation, if anything."""
        if self.arch == "coma":
            return None
        return self.get_agent_network(
            group, self.critic_model_config, "joint_feature", self.feature_dim
        )

    def get_joint_value_network(self, group: str) -> TensorDictModule:
        """``Q_jt``."""
        sizes = {
            "state_dim": self.state_size(group),
            "n_actions": self.action_spec[group, "action"].space.n,
            "embed_dim": self.embed_dim,
        }
        in_keys = [(group, "joint_action")]
        if self.arch == "features":
            in_keys.append((group, "joint_feature"))
            joint_value = FeatureJointValue(
                n_features=self.feature_dim, device=self.device, **sizes
            )
        else:
            joint_value = JointActionValue(
                n_agents=len(self.group_map[group]), device=self.device, **sizes
            )
        return TensorDictModule(
            joint_value, in_keys=[*in_keys, STATE], out_keys=["chosen_action_value"]
        )

    def get_state_value_network(self, group: str) -> TensorDictModule:
        """``V_jt``."""
        state_value = StateValue(
            state_dim=self.state_size(group),
            embed_dim=self.embed_dim,
            device=self.device,
        )
        return TensorDictModule(state_value, in_keys=[STATE], out_keys=["state_value"])


@dataclass
class QtranConfig(ValueFactorizationConfig):
    """Options of :class:`Qtran`; the defaults live in ``algorithm/qtran.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    arch: str
    embed_dim: int
    feature_dim: int
    lambda_opt: float
    lambda_nopt: float

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        check_choice("arch", self.arch, ("coma", "features"))
        check_size("embed_dim", self.embed_dim)
        check_size("feature_dim", self.feature_dim)
        check_number("lambda_opt", self.lambda_opt, above=0)
        check_number("lambda_nopt", self.lambda_nopt, above=0)

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return Qtran

    @staticmethod
    def has_centralized_critic() -> bool:
        """Always True: the features of the joint value come from ``critic_model``."""
        return True
