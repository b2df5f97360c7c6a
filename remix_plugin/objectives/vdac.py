"""The loss of VDAC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule
from torch import Tensor

from remix_plugin.functional import (
    entropy,
    gather_actions,
    weighted_mean,
)
from remix_plugin.objectives.on_policy import OnPolicyLoss
from remix_plugin.validation import check_number


class VdacLoss(OnPolicyLoss):
    """Advantage actor-critic with a factorized state value (VDAC, arXiv 2007.12306).

    ``V_tot(s)`` mixes local values ``V_i(o_i)`` monotonically, or sums them. With the
    lambda-return ``G`` over ``V_tot`` of the networks at collection, and one advantage
    ``G - V_tot`` for all agents,

    ``L = -mean_i((G - V_tot) log pi_i(u_i)) + c_v (V_tot - G)^2 - c_e mean_i H(pi_i)``,

    averaged over the batch. No gradient flows from the first term into the values, nor
    from the second into the actors. Data must be of the current policy: it is used
    once.

    Returned, all scalars: ``loss`` for the optimizer; detached, ``loss_actor`` (without
    entropy), ``loss_critic`` (without ``c_v``), ``entropy`` (in nats, mean over
    agents), ``chosen_value_mean`` (of ``V_tot``, whose action is the team's),
    ``target_value_mean``, ``advantage_mean`` and ``advantage_std``.

    Args:
        actor_network (TensorDictModule): writes ``logits`` ``[*B, n, A]``.
        local_value_network (TensorDictModule): writes ``local_value`` ``[*B, n, 1]``.
        mixer_network (TensorDictModule): mixes ``local_value`` into ``global_value``.

    Keyword Args:
        critic_coef (float): ``c_v``, positive.
        entropy_coef (float): ``c_e``, at least 0.
        **kwargs: as :class:`~.actor_critic.ActorCriticLoss`.

    Raises:
        ValueError: as the base class, or if a coefficient is out of range.
        KeyError: when called, if the batch lacks the action mask or the targets.
    """

    @dataclass
    class _AcceptedKeys(OnPolicyLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            local_value (NestedKey): ``V_i``, ``[*B, n, 1]``.
            global_value (NestedKey): ``V_tot``, ``[*B, 1]``.
        """

        local_value: NestedKey = ("agents", "local_value")
        global_value: NestedKey = "state_value"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    out_keys = ["loss", "loss_actor", "loss_critic", *OnPolicyLoss.metrics]

    actor_network: TensorDictModule
    actor_network_params: TensorDictParams
    target_actor_network_params: TensorDictParams
    local_value_network: TensorDictModule
    local_value_network_params: TensorDictParams
    target_local_value_network_params: TensorDictParams
    mixer_network: TensorDictModule
    mixer_network_params: TensorDictParams
    target_mixer_network_params: TensorDictParams

    def __init__(
        self,
        actor_network: TensorDictModule,
        local_value_network: TensorDictModule,
        mixer_network: TensorDictModule,
        *,
        critic_coef: float = 0.1,
        entropy_coef: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(actor_network, **kwargs)
        check_number("critic_coef", critic_coef, above=0)
        check_number("entropy_coef", entropy_coef, low=0)
        self.convert_to_functional(local_value_network, "local_value_network")
        self.convert_to_functional(mixer_network, "mixer_network")
        self.critic_coef = critic_coef
        self.entropy_coef = entropy_coef

    @torch.no_grad()
    def write_targets(self, tensordict: TensorDictBase) -> None:
        """Write the lambda-returns ``G`` ``[B, T, 1]`` into collected rows."""
        passes = self._passes(tensordict)
        keys = self.tensor_keys
        local = passes.after("local_value_network", keys.local_value)
        next_value = self._mix(passes.following, local)
        target = self._value_target(tensordict, next_value)
        tensordict.set(keys.value_target, target)

    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Loss of a batch ``[*B]``."""
        passes = self._passes(tensordict)
        policy = self._policy(tensordict, passes)
        local = passes.now("local_value_network", self.tensor_keys.local_value)
        value = self._mix(passes.current, local)
        target = self._written_target(tensordict)
        valid = self._valid(tensordict)

        advantage = target - value.detach()
        _, log_probability = policy
        chosen = gather_actions(log_probability, self._action(tensordict)).mean(-2)
        actor = -weighted_mean(advantage * chosen, valid)
        critic = weighted_mean(self._distance(value, target), valid)
        bonus = self.entropy_coef * weighted_mean(entropy(*policy), valid)
        return TensorDict(
            {
                "loss": actor + self.critic_coef * critic - bonus,
                "loss_actor": actor.detach(),
                "loss_critic": critic.detach(),
                **self._metrics(
                    valid, policy, value=value, target=target, advantage=advantage
                ),
            }
        )

    def _agent_networks(self) -> dict[str, NestedKey | None]:
        keys = self.tensor_keys
        return {
            "actor_network": keys.initial_state,
            "local_value_network": keys.critic_initial_state,
        }

    def _joint_networks(self) -> list[str]:
        return ["mixer_network"]

    def _computed_keys(self) -> set[NestedKey]:
        return {*super()._computed_keys(), self.tensor_keys.local_value}

    def _mix(self, batch: TensorDictBase, local_value: Tensor) -> Tensor:
        """``V_tot`` ``[*B, 1]`` of local values ``[*B, n, 1]``."""
        batch.set(self.tensor_keys.local_value, local_value)
        mixed = self._run("mixer_network", batch)
        return mixed.get(self.tensor_keys.global_value)
