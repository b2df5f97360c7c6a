"""The loss of MADDPG for discrete actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import (
    NestedKey,
    TensorDict,
    TensorDictBase,
    TensorDictParams,
    unravel_key,
)
from tensordict.nn import TensorDictModule
from torch import Tensor

from remix_plugin.functional import (
    greedy_actions,
    one_hot_actions,
    softmax_policy,
    straight_through_actions,
    weighted_mean,
)
from remix_plugin.modules.critic_inputs import joint_actions
from remix_plugin.objectives.actor_critic import ActorCriticLoss
from remix_plugin.objectives.unroll import TransitionPasses
from remix_plugin.validation import check_choice, check_number

OTHERS = ("policy", "replay")


class DiscreteMaddpgLoss(ActorCriticLoss):
    """MADDPG (arXiv 1706.02275) with actions drawn by straight-through Gumbel-softmax.

    A critic of each agent values joint actions, ``Q_i(s, u)``. With target networks and
    ``u'`` the actions that the target actors find most probable,

    ``L_critic = mean_i (Q_i(s, u) - (r_i + gamma (1 - terminated) Q_i(s', u')))^2`` and
    ``L_actor = -mean_i Q_i(s, (g_i, u_-i)) + c mean(logits^2)``,

    averaged over the batch, where ``g_i`` is a one-hot sample of agent i's policy with
    the gradient of a relaxed one (see
    :func:`~.functional.straight_through_actions`), ``u_-i`` are the others' samples
    without a gradient, or what they did, and the mean of logits is over available
    actions. No gradient flows from one loss into the other's networks.

    Returned, all scalars: ``loss_actor`` and ``loss_critic``, each for an optimizer;
    detached, ``entropy`` (in nats, mean over agents), ``chosen_value_mean`` (of ``Q_i``
    of actions taken), ``target_value_mean``, and ``advantage_mean`` and
    ``advantage_std`` (of what the drawn actions are worth beyond those taken).

    Args:
        actor_network (TensorDictModule): writes ``logits`` ``[*B, n, A]``.
        critic_network (TensorDictModule): reads ``joint_action``, writes
            ``action_value``; it must not be recurrent.

    Keyword Args:
        temperature (float): of the relaxed sample, positive.
        others (str): the others' actions in the actors' loss: ``"policy"`` or
            ``"replay"``.
        logit_coef (float): ``c``, at least 0.
        **kwargs: as :class:`~.actor_critic.ActorCriticLoss`.

    Raises:
        ValueError: as the base class, or if an option is out of range.
        KeyError: when called, if the batch lacks the action mask.
    """

    @dataclass
    class _AcceptedKeys(ActorCriticLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            action_value (NestedKey): ``Q_i``, ``[*B, n, 1]``.
            joint_action (NestedKey): for each agent, one-hot actions of all side by
                side, ``[*B, n, n * A]``.
            agent_reward (NestedKey): ``r_i``, ``[*B, n, 1]``, under ``"next"``.
        """

        action_value: NestedKey = ("agents", "action_value")
        joint_action: NestedKey = ("agents", "joint_action")
        agent_reward: NestedKey = ("agents", "reward")

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    out_keys = ["loss_actor", "loss_critic", *ActorCriticLoss.metrics]
    delays_actor = True

    actor_network: TensorDictModule
    actor_network_params: TensorDictParams
    target_actor_network_params: TensorDictParams
    critic_network: TensorDictModule
    critic_network_params: TensorDictParams
    target_critic_network_params: TensorDictParams

    def __init__(
        self,
        actor_network: TensorDictModule,
        critic_network: TensorDictModule,
        *,
        temperature: float = 1.0,
        others: str = "policy",
        logit_coef: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(actor_network, **kwargs)
        check_number("temperature", temperature, above=0)
        check_choice("others", others, OTHERS)
        check_number("logit_coef", logit_coef, low=0)
        self.convert_to_functional(
            critic_network, "critic_network", create_target_params=self.delay_value
        )
        self.temperature = temperature
        self.others = others
        self.logit_coef = logit_coef

    @property
    def in_keys(self) -> list[NestedKey]:
        """Entries of the batch that the loss reads."""
        return [*super().in_keys, unravel_key(("next", self.tensor_keys.agent_reward))]

    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Losses of a batch ``[*B]``."""
        passes = self._passes(tensordict)
        logits = passes.now("actor_network", self.tensor_keys.logits)
        mask = self._action_mask(tensordict)
        taken = one_hot_actions(self._action(tensordict), logits)
        drawn = straight_through_actions(logits, mask, self.temperature)
        others = drawn.detach() if self.others == "policy" else taken

        current = passes.current
        with self.critic_network_params.detach().to_module(self.critic_network):
            drawn_value = self._value(current, joint_actions(drawn, others))
        with self.critic_network_params.to_module(self.critic_network):
            value = self._value(current, joint_actions(taken, taken))
        target = self._target(tensordict, passes)
        error = (value.detach() - target).square().mean(-2)
        self._write_priority(tensordict, error)

        valid = self._valid(tensordict)
        counts = self._counts(tensordict, valid)
        available = torch.ones_like(logits) if mask is None else mask.to(logits.dtype)
        if valid is not None:
            available = available * valid.unsqueeze(-1)
        size = weighted_mean(logits.square(), available)
        actor = self.logit_coef * size - weighted_mean(drawn_value, valid)
        return TensorDict(
            {
                "loss_actor": actor,
                "loss_critic": weighted_mean(self._distance(value, target), counts),
                **self._metrics(
                    valid,
                    softmax_policy(logits, mask, self._share_of_uniform()),
                    value=value,
                    target=target,
                    advantage=drawn_value - value,
                ),
            }
        )

    def _agent_networks(self) -> dict[str, NestedKey | None]:
        return {"actor_network": self.tensor_keys.initial_state}

    def _joint_networks(self) -> list[str]:
        return ["critic_network"]

    def _computed_keys(self) -> set[NestedKey]:
        return {*super()._computed_keys(), self.tensor_keys.joint_action}

    def _value(self, batch: TensorDictBase, joint_action: Tensor) -> Tensor:
        """``Q_i`` ``[*B, n, 1]`` of the critic as it is, of ``[*B, n, n * A]``."""
        inputs = batch.select(*self.critic_network.in_keys, strict=False)
        inputs.set(self.tensor_keys.joint_action, joint_action)
        return self.critic_network(inputs).get(self.tensor_keys.action_value)

    @torch.no_grad()
    def _target(self, tensordict: TensorDictBase, passes: TransitionPasses) -> Tensor:
        """Regression targets of all agents, ``[*B, n, 1]``."""
        keys = self.tensor_keys
        logits = passes.after("actor_network", keys.logits, target=True)
        mask = self._action_mask(tensordict, root="next")
        action = one_hot_actions(greedy_actions(logits, mask), logits)
        joint = joint_actions(action, action)
        with self.target_critic_network_params.to_module(self.critic_network):
            next_value = self._value(passes.following, joint)
        reward = tensordict.get(unravel_key(("next", keys.agent_reward)))
        return self._value_target(tensordict, next_value, reward)
