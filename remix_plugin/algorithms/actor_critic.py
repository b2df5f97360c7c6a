"""What the plugin's actor-critics share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarl.models.common import Model, ModelConfig
from tensordict import NestedKey
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch.distributions import Categorical
from torch.nn import Parameter
from torchrl.data import Composite, OneHot, Unbounded
from torchrl.modules import (
    MaskedCategorical,
    MaskedOneHotCategorical,
    OneHotCategorical,
    ProbabilisticActor,
)
from torchrl.objectives import LossModule

from remix_plugin.algorithms.base import STATE, TeamAlgorithm, TeamAlgorithmConfig
from remix_plugin.modules.critic_inputs import CriticInput
from remix_plugin.modules.mixers import AgentFeatures
from remix_plugin.validation import check_choice, check_flag

FEATURES, CRITIC_INPUT = "agent_features", "critic_input"
# Where actions are drawn from the policy alone, from one mixed with the uniform policy,
# and where that is the policy that the losses see, too
EPSILON = ("none", "collection", "everywhere")


class ActorCritic(TeamAlgorithm):
    """Decentralized stochastic actors with a critic of the team.

    Actors come from ``model``, critics from ``critic_model``. Actors sample from a
    softmax over available actions, and take the most probable one in evaluation.

    Args:
        share_param_critic (bool): whether agents share the critic's parameters; it is
            told their index.
        epsilon (str): whether uniform actions, their share falling as
            ``experiment.exploration_eps_*`` say, are mixed into the policy: ``"none"``,
            ``"collection"``, or ``"everywhere"``, in losses too.
        **kwargs: as :class:`~.base.TeamAlgorithm`.
    """

    stale = ("logits", "log_prob")

    def __init__(self, share_param_critic: bool, epsilon: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share_param_critic = share_param_critic
        self.epsilon = epsilon

    def get_loss_options(self, group: str) -> dict[str, Any]:
        """Keyword arguments of every ``ActorCriticLoss``."""
        options = super().get_loss_options(group)
        if self.epsilon == "everywhere":
            options["epsilon"] = self._epsilon_of(group)
        return options

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {**super().get_loss_keys(group), "logits": (group, "logits")}

    def get_agent_model_configs(self) -> list[ModelConfig]:
        """Configs of the models that the loss runs agent by agent."""
        return [self.model_config, self.critic_model_config]

    #############################
    # Overridden abstract methods
    #############################

    def _get_policy_for_loss(
        self, group: str, model_config: ModelConfig, continuous: bool
    ) -> TensorDictModule:
        spec = self.action_spec[group, "action"]
        mask = self.action_mask_key(group)
        logits = {"logits": (group, "logits")}
        one_hot = isinstance(spec, OneHot)
        if mask is None:
            distribution = OneHotCategorical if one_hot else Categorical
        else:
            distribution = MaskedOneHotCategorical if one_hot else MaskedCategorical
            logits["mask"] = mask
        return ProbabilisticActor(
            module=self.get_agent_network(group, model_config, "logits", spec.space.n),
            spec=spec,
            in_keys=logits,
            out_keys=[(group, "action")],
            distribution_class=distribution,
            return_log_prob=True,
            log_prob_key=(group, "log_prob"),
        )

    def _get_policy_for_collection(
        self, policy_for_loss: TensorDictModule, group: str, continuous: bool
    ) -> TensorDictModule:
        if self.epsilon == "none":
            return policy_for_loss
        return TensorDictSequential(policy_for_loss, self.get_epsilon_greedy(group))

    #####################
    # Custom new methods
    #####################

    def get_critic_inputs(
        self, group: str, state: bool = True, features: bool = True
    ) -> tuple[TensorDictModule, int]:
        """Writes what critics read of each agent, besides its index.

        Args:
            group (str): the group.
            state (bool): whether the state is among it.
            features (bool): whether the agent's observations are.

        Returns:
            tuple: the module, and the length of what it writes for each agent.
        """
        n_agents = len(self.group_map[group])
        inputs = TensorDictModule(
            CriticInput(n_agents, has_state=state),
            in_keys=[*[STATE] * state, *[FEATURES] * features],
            out_keys=[(group, CRITIC_INPUT)],
        )
        size = n_agents + (self.state_size(group) if state else 0)
        if not features:
            return inputs, size
        specs = self.observation_specs(group)
        observed = TensorDictModule(
            AgentFeatures(tuple(len(shape) - 1 for shape in specs.values())),
            in_keys=list(specs),
            out_keys=[FEATURES],
        )
        size += sum(shape.numel() for shape in specs.values()) // n_agents
        return TensorDictSequential(observed, inputs), size

    def get_critic(
        self, group: str, name: str, inputs: dict[NestedKey, int], size: int
    ) -> Model:
        """A critic of each agent, from ``critic_model``.

        Args:
            group (str): the group.
            name (str): what it writes into the group, ``[*B, n, size]``.
            inputs: what it reads, ``[*B, n, length]``, by length.
            size (int): how many values it gives of each agent.
        """
        n_agents = len(self.group_map[group])
        lengths = {key[-1]: length for key, length in inputs.items()}
        read = Composite(
            {key: Unbounded((n_agents, length)) for key, length in lengths.items()},
            shape=(n_agents,),
        )
        output = Composite({name: Unbounded((n_agents, size))}, shape=(n_agents,))
        return self.critic_model_config.get_model(
            input_spec=Composite({group: read}).to(self.device),
            output_spec=Composite({group: output}),
            agent_group=group,
            input_has_agent_dim=True,
            n_agents=n_agents,
            centralised=False,
            share_params=self.share_param_critic,
            device=self.device,
            action_spec=self.action_spec,
        )

    def actor_parameters(self, loss: LossModule) -> list[Parameter]:
        """What an optimizer of the actors' loss learns."""
        actors = loss.actor_network_params.flatten_keys().values()
        return [*actors, loss.pause] if loss.pauses else list(actors)

    def critic_parameters(self, loss: LossModule) -> list[Parameter]:
        """What an optimizer of the critics' loss learns: all the rest."""
        actors = {id(one) for one in self.actor_parameters(loss)}
        learnt = [one for one in loss.parameters() if one.requires_grad]
        return [one for one in learnt if id(one) not in actors]

    def n_actions(self, group: str) -> int:
        """Actions of each agent."""
        return self.action_spec[group, "action"].space.n

    def _epsilon_of(self, group: str) -> Callable[[], float]:
        return lambda: float(self.experiment.group_policies[group][-1].eps)


@dataclass
class ActorCriticConfig(TeamAlgorithmConfig):
    """Options of actor-critics, see :class:`ActorCritic`.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    share_param_critic: bool
    epsilon: str

    def __post_init__(self) -> None:
        """Validate the shared options."""
        super().__post_init__()
        check_flag("share_param_critic", self.share_param_critic)
        check_choice("epsilon", self.epsilon, EPSILON)

    @staticmethod
    def has_centralized_critic() -> bool:
        """Always True: what the team learns from needs all agents."""
        return True
