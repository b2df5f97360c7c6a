"""The loss of COMA."""

from __future__ import annotations

from collections.abc import Mapping
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
    entropy,
    gather_actions,
    sample_actions,
    weighted_mean,
)
from remix_plugin.objectives.on_policy import OnPolicyLoss
from remix_plugin.validation import check_number


class ComaLoss(OnPolicyLoss):
    """Actor-critic with counterfactual advantages (COMA, arXiv 1705.08926).

    The critic values all actions of each agent beside those that the others have taken,
    ``Q_i(s, (u_-i, .))``. With ``A_i = Q_i(u_i) - sum_a pi_i(a) Q_i(a)``,

    ``L_actor = -mean_i(A_i log pi_i(u_i)) - c_e mean_i H(pi_i)`` and
    ``L_critic = mean_i((Q_i(u_i) - G_i)^2)``,

    averaged over the batch, where ``G_i`` is the lambda-return over the target critic's
    values of the joint action taken next. Where rows hold no next action, at their ends
    and those of episodes, one of the current policy stands for it. No gradient flows
    from one loss into the other's networks.

    Actors use data once, critics may use it further: after as many updates as
    :meth:`learn_for` was told ``loss_actor`` is 0 and leaves the actors alone.

    Returned, all scalars: ``loss_actor`` and ``loss_critic``, each for an optimizer;
    detached, ``entropy`` (in nats, mean over agents), ``chosen_value_mean``,
    ``target_value_mean``, ``advantage_mean`` and ``advantage_std``.

    Args:
        actor_network (TensorDictModule): writes ``logits`` ``[*B, n, A]``.
        critic_network (TensorDictModule): writes ``action_value`` ``[*B, n, A]``.

    Keyword Args:
        entropy_coef (float): ``c_e``, at least 0.
        **kwargs: as :class:`~.actor_critic.ActorCriticLoss`.

    Raises:
        ValueError: as the base class, or if the coefficient is out of range.
        KeyError: when called, if the batch lacks the action mask or the targets.
    """

    @dataclass
    class _AcceptedKeys(OnPolicyLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            action_value (NestedKey): ``Q_i``, ``[*B, n, A]``.
            joint_action (NestedKey): indices of all agents' actions ``[*B, n]``, at the
                root the ones taken, under ``"next"`` the next ones; written by
                ``write_targets`` and read by the state network.
        """

        action_value: NestedKey = ("agents", "action_value")
        joint_action: NestedKey = ("agents", "joint_action")

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    out_keys = ["loss_actor", "loss_critic", *OnPolicyLoss.metrics]
    pauses = True

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
        entropy_coef: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(actor_network, **kwargs)
        check_number("entropy_coef", entropy_coef, low=0)
        self.convert_to_functional(
            critic_network, "critic_network", create_target_params=self.delay_value
        )
        self.entropy_coef = entropy_coef
        self._updates_left: int | None = None

    def learn_for(self, n_updates: int) -> None:
        """Let actors learn at so many updates from now on, and no longer."""
        self._updates_left = n_updates

    def hidden_states(
        self, tensordict: TensorDictBase, starts: Mapping[str, Tensor]
    ) -> tuple[dict[NestedKey, Tensor], dict[str, Tensor]]:
        """As of all losses; the critic reads the joint actions of the rows."""
        tensordict.set(self.tensor_keys.joint_action, self._action(tensordict))
        return super().hidden_states(tensordict, starts)

    @torch.no_grad()
    def write_targets(self, tensordict: TensorDictBase) -> None:
        """Write joint actions and lambda-returns ``[B, T, n, 1]`` into rows."""
        keys = self.tensor_keys
        following = unravel_key(("next", keys.joint_action))
        action = self._action(tensordict)
        tensordict.set(keys.joint_action, action)
        tensordict.set(following, action)
        probability, _ = self._next_policy(tensordict, self._passes(tensordict))
        next_action = sample_actions(probability)
        ends = self._ends(tensordict)[:, :-1]
        next_action[:, :-1] = next_action[:, :-1].where(ends, action[:, 1:])
        tensordict.set(following, next_action)
        passes = self._passes(tensordict)
        values = passes.after("critic_network", keys.action_value, target=True)
        next_value = gather_actions(values, next_action)
        target = self._value_target(tensordict, next_value)
        tensordict.set(keys.value_target, target)

    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Losses of a batch ``[*B]``."""
        passes = self._passes(tensordict)
        policy = self._policy(tensordict, passes)
        probability, log_probability = policy
        values = passes.now("critic_network", self.tensor_keys.action_value)
        action = self._action(tensordict)
        target = self._written_target(tensordict)
        valid = self._valid(tensordict)

        value = gather_actions(values, action)
        expected = (probability * values).sum(-1, keepdim=True)
        advantage = (value - expected).detach()
        chosen = gather_actions(log_probability, action)
        bonus = self.entropy_coef * weighted_mean(entropy(*policy), valid)
        actor = -weighted_mean(advantage * chosen, valid) - bonus
        return TensorDict(
            {
                "loss_actor": actor if self._actors_learn() else 0 * self.pause,
                "loss_critic": weighted_mean(self._distance(value, target), valid),
                **self._metrics(
                    valid, policy, value=value, target=target, advantage=advantage
                ),
            }
        )

    def _actors_learn(self) -> bool:
        """Whether they do at this update, of which it takes note."""
        if self._updates_left is None:
            return True
        self._updates_left -= 1
        return self._updates_left >= 0

    def _agent_networks(self) -> dict[str, NestedKey | None]:
        keys = self.tensor_keys
        return {
            "actor_network": keys.initial_state,
            "critic_network": keys.critic_initial_state,
        }

    def _joint_networks(self) -> list[str]:
        return []
