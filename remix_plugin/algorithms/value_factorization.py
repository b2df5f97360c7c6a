"""What the plugin's value-based algorithms share, from utilities to projections."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarl.models.common import Model, ModelConfig
from tensordict import NestedKey
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.modules import QMixer, QValueModule
from torchrl.objectives import LossModule

from remix_plugin.algorithms.base import STATE, TeamAlgorithm, TeamAlgorithmConfig
from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.projection_weights import ProjectionWeights
from remix_plugin.modules.mixers import DeepQMixer, UnrestrictedMixer
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss
from remix_plugin.validation import check_choice, check_flag, check_number, check_size
from remix_plugin.weighting.base import Weighting


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
        """Always False."""
        return False


class MonotonicFactorization(ValueFactorization):
    """A joint value that rises with each agent's utility, as in QMIX.

    Args:
        mixing_embed_dim (int): embedding size of the monotonic mixer, 1 to 16,384.
        hypernet_layers (int): layers of its hypernetworks: 1 is TorchRL's ``QMixer``,
            2 that of the Weighted QMIX code.
        **kwargs: as :class:`ValueFactorization`.
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


class WeightedProjection(MonotonicFactorization):
    """A monotonic value, trained by weighted projection of an unrestricted one.

    The parts of ``WeightedProjectionLoss``, made of what BenchMARL hands over; the
    unrestricted utilities come from ``critic_model``. A subclass says how transitions
    are weighted.

    Args:
        unrestricted_embed_dim (int): units of each hidden layer of the unrestricted
            mixer, 1 to 16,384.
        unrestricted_coef (float): factor of the unrestricted value's loss.
        **kwargs: as :class:`MonotonicFactorization`.
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
        """Always True: the unrestricted value, made from ``critic_model``."""
        return True
