"""VDAC, with a mixed or a summed value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm
from tensordict import NestedKey
from tensordict.nn import TensorDictModule
from torchrl.modules import QMixer, VDNMixer
from torchrl.objectives import LossModule

from remix_plugin.algorithms.actor_critic import ActorCriticConfig
from remix_plugin.algorithms.base import STATE
from remix_plugin.algorithms.on_policy import OnPolicy
from remix_plugin.modules.mixers import DeepQMixer
from remix_plugin.objectives.vdac import VdacLoss
from remix_plugin.validation import check_choice, check_number, check_size


class VdacSum(OnPolicy):
    """VDAC-sum (arXiv 2007.12306): the team's value is the sum of the agents' own.

    Local values come from ``critic_model`` and each agent's own observation.

    Args:
        critic_coef (float): factor of the value's loss.
        entropy_coef (float): factor of the policies' entropy.
        **kwargs: as :class:`~.actor_critic.ActorCritic`.
    """

    def __init__(self, critic_coef: float, entropy_coef: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.critic_coef = critic_coef
        self.entropy_coef = entropy_coef

    def get_loss(
        self, group: str, policy: TensorDictModule, options: dict[str, Any]
    ) -> VdacLoss:
        """The actors' and the value's losses as one."""
        return VdacLoss(
            policy[0],
            self.get_agent_network(
                group,
                self.critic_model_config,
                "local_value",
                1,
                share_params=self.share_param_critic,
            ),
            self.get_mixer(group),
            critic_coef=self.critic_coef,
            entropy_coef=self.entropy_coef,
            **options,
        )

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {**super().get_loss_keys(group), "local_value": (group, "local_value")}

    def get_mixer(self, group: str) -> TensorDictModule:
        """The sum of local values."""
        mixer = VDNMixer(n_agents=len(self.group_map[group]), device=self.device)
        return TensorDictModule(mixer, [(group, "local_value")], ["state_value"])

    def _get_parameters(self, group: str, loss: LossModule) -> dict[str, Iterable]:
        return {"loss": [p for p in loss.parameters() if p.requires_grad]}


class Vdac(VdacSum):
    """VDAC-mix (arXiv 2007.12306): QMIX's mixer makes the team's value.

    Args:
        mixing_embed_dim (int): embedding size of the mixer, 1 to 16,384.
        hypernet_layers (int): layers of its hypernetworks: 1 is TorchRL's ``QMixer``,
            2 that of the original code.
        **kwargs: as :class:`VdacSum`.
    """

    def __init__(
        self, mixing_embed_dim: int, hypernet_layers: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.mixing_embed_dim = mixing_embed_dim
        self.hypernet_layers = hypernet_layers

    def get_mixer(self, group: str) -> TensorDictModule:
        """The monotonic mixer of local values."""
        mixer_class = QMixer if self.hypernet_layers == 1 else DeepQMixer
        mixer = mixer_class(
            state_shape=(self.state_size(group),),
            mixing_embed_dim=self.mixing_embed_dim,
            n_agents=len(self.group_map[group]),
            device=self.device,
        )
        return TensorDictModule(mixer, [(group, "local_value"), STATE], ["state_value"])


@dataclass
class VdacSumConfig(ActorCriticConfig):
    """Options of :class:`VdacSum`; the defaults live in ``algorithm/vdacsum.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    critic_coef: float
    entropy_coef: float

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        check_number("critic_coef", self.critic_coef, above=0)
        check_number("entropy_coef", self.entropy_coef, low=0)

    @staticmethod
    def on_policy() -> bool:
        """Always True."""
        return True

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return VdacSum


@dataclass
class VdacConfig(VdacSumConfig):
    """Options of :class:`Vdac`; the defaults live in ``algorithm/vdac.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    mixing_embed_dim: int
    hypernet_layers: int

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        check_size("mixing_embed_dim", self.mixing_embed_dim)
        check_choice("hypernet_layers", self.hypernet_layers, (1, 2))

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return Vdac
