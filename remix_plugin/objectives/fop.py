"""The loss of FOP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule
from torch import Tensor

from remix_plugin.functional import (
    gather_actions,
    one_hot_actions,
    sample_actions,
    soft_values,
    weighted_mean,
)
from remix_plugin.objectives.actor_critic import ActorCriticLoss
from remix_plugin.objectives.unroll import TransitionPasses
from remix_plugin.validation import check_choice, check_number

ENTROPY_TARGETS = ("soft", "reference")
TWINS = ("first", "second")


class FopLoss(ActorCriticLoss):
    """Maximum-entropy actor-critic with a factorized soft value (FOP, ICML 2021).

    Two critics of each agent give ``q_i``, and ``v_i = alpha logsumexp(q_i / alpha)``;
    each has a mixer, which gives ``Q_jt`` of ``q_i(u_i)``, ``v_i``, the state and the
    joint action. With target networks, actions ``u'`` drawn from the current policies
    and the smaller one of the two joint values,

    ``y = r + gamma (1 - terminated) (min_k Q_jt^k(s', u')
    - alpha sum_i log pi_i(u'_i))``,
    ``L_q = sum_k (Q_jt^k(s, u) - y)^2`` and
    ``L_actor = mean_i sum_a pi_i(a) (alpha log pi_i(a) - min_k q_i^k(a))``,

    averaged over the batch. With ``td_lambda``, longer returns are those of the same
    bracket. No gradient flows from one loss into the other's networks.

    Returned, all scalars: ``loss_actor`` and ``loss_qvalue``, each for an optimizer;
    detached, ``alpha``, ``entropy`` (in nats, mean over agents), ``chosen_value_mean``
    (of the first ``Q_jt``), ``target_value_mean``, and ``advantage_mean`` and
    ``advantage_std`` (of ``q_i(u_i) - v_i`` of the first critic).

    Args:
        actor_network (TensorDictModule): writes ``logits`` ``[*B, n, A]``.
        first_critic_network (TensorDictModule): writes ``action_value`` ``[*B, n, A]``.
        second_critic_network (TensorDictModule): as the first.
        first_mixer_network (TensorDictModule): reads ``local_value``, ``soft_value``,
            ``joint_action`` and the state, writes ``global_value``.
        second_mixer_network (TensorDictModule): as the first.

    Keyword Args:
        alpha (float): the temperature, until :meth:`set_alpha` changes it.
        entropy_target (str): ``"soft"``, or ``"reference"``, as the authors' code has
            it: ``alpha mean_i log pi_i(u'_i)`` is subtracted from the finished return,
            neither discounted nor cut at the end of an episode.
        **kwargs: as :class:`~.actor_critic.ActorCriticLoss`.

    Raises:
        ValueError: as the base class, or if an option is out of range.
        KeyError: when called, if the batch lacks the action mask.
    """

    @dataclass
    class _AcceptedKeys(ActorCriticLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            action_value (NestedKey): ``q_i``, ``[*B, n, A]``.
            local_value (NestedKey): ``q_i(u_i)``, ``[*B, n, 1]``.
            soft_value (NestedKey): ``v_i``, ``[*B, n, 1]``.
            joint_action (NestedKey): the joint action, one-hot ``[*B, n, A]``.
            global_value (NestedKey): ``Q_jt``, ``[*B, 1]``.
            second_critic_initial_state (NestedKey): as ``critic_initial_state``, of the
                second critic.
        """

        action_value: NestedKey = ("agents", "action_value")
        local_value: NestedKey = ("agents", "chosen_action_value")
        soft_value: NestedKey = ("agents", "soft_value")
        joint_action: NestedKey = ("agents", "joint_action")
        global_value: NestedKey = "chosen_action_value"
        second_critic_initial_state: NestedKey = "second_critic_initial_state"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    out_keys = ["loss_actor", "loss_qvalue", "alpha", *ActorCriticLoss.metrics]

    actor_network: TensorDictModule
    actor_network_params: TensorDictParams
    target_actor_network_params: TensorDictParams
    first_critic_network: TensorDictModule
    first_critic_network_params: TensorDictParams
    target_first_critic_network_params: TensorDictParams
    second_critic_network: TensorDictModule
    second_critic_network_params: TensorDictParams
    target_second_critic_network_params: TensorDictParams
    first_mixer_network: TensorDictModule
    first_mixer_network_params: TensorDictParams
    target_first_mixer_network_params: TensorDictParams
    second_mixer_network: TensorDictModule
    second_mixer_network_params: TensorDictParams
    target_second_mixer_network_params: TensorDictParams
    alpha: Tensor

    def __init__(
        self,
        actor_network: TensorDictModule,
        first_critic_network: TensorDictModule,
        second_critic_network: TensorDictModule,
        first_mixer_network: TensorDictModule,
        second_mixer_network: TensorDictModule,
        *,
        alpha: float = 0.5,
        entropy_target: str = "soft",
        **kwargs: Any,
    ) -> None:
        super().__init__(actor_network, **kwargs)
        check_number("alpha", alpha, above=0)
        check_choice("entropy_target", entropy_target, ENTROPY_TARGETS)
        for name, network in (
            ("first_critic_network", first_critic_network),
            ("second_critic_network", second_critic_network),
            ("first_mixer_network", first_mixer_network),
            ("second_mixer_network", second_mixer_network),
        ):
            self.convert_to_functional(
                network, name, create_target_params=self.delay_value
            )
        self.register_buffer("alpha", torch.tensor(float(alpha)))
        self.entropy_target = entropy_target

    def set_alpha(self, alpha: float) -> None:
        """Change the temperature of values and policies."""
        self.alpha.fill_(alpha)

    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Losses of a batch ``[*B]``."""
        keys = self.tensor_keys
        passes = self._passes(tensordict)
        policy = self._policy(tensordict, passes)
        probability, log_probability = policy
        action = self._action(tensordict)
        mask = self._action_mask(tensordict)
        utilities = [
            passes.now(f"{k}_critic_network", keys.action_value) for k in TWINS
        ]
        values = [
            self._joint_value(k, passes.current, q, mask, action)
            for k, q in zip(TWINS, utilities, strict=True)
        ]
        target = self._target(tensordict, passes)
        errors = torch.stack([(value.detach() - target).square() for value in values])
        self._write_priority(tensordict, errors.mean(0))

        valid = self._valid(tensordict)
        counts = self._counts(tensordict, valid)
        q_value = sum(self._distance(value, target) for value in values)
        best = torch.minimum(*utilities).detach()
        regret = probability * (self.alpha * log_probability - best)
        soft = soft_values(utilities[0], mask, self.alpha)
        return TensorDict(
            {
                "loss_actor": weighted_mean(regret.sum(-1, keepdim=True), valid),
                "loss_qvalue": weighted_mean(q_value, counts),
                "alpha": self.alpha.clone(),
                **self._metrics(
                    valid,
                    policy,
                    value=values[0],
                    target=target,
                    advantage=gather_actions(utilities[0], action) - soft,
                ),
            }
        )

    def _agent_networks(self) -> dict[str, NestedKey | None]:
        keys = self.tensor_keys
        return {
            "actor_network": keys.initial_state,
            "first_critic_network": keys.critic_initial_state,
            "second_critic_network": keys.second_critic_initial_state,
        }

    def _joint_networks(self) -> list[str]:
        return [f"{k}_mixer_network" for k in TWINS]

    def _computed_keys(self) -> set[NestedKey]:
        keys = self.tensor_keys
        mixed = {keys.local_value, keys.soft_value, keys.joint_action}
        return {*super()._computed_keys(), *mixed}

    def _joint_value(
        self,
        twin: str,
        batch: TensorDictBase,
        utilities: Tensor,
        mask: Tensor | None,
        index: Tensor,
        target: bool = False,
    ) -> Tensor:
        """``Q_jt`` of the joint action ``index`` ``[*B, n]``, ``[*B, 1]``."""
        keys = self.tensor_keys
        batch.set(keys.local_value, gather_actions(utilities, index))
        soft = soft_values(utilities.detach(), mask, self.alpha)
        batch.set(keys.soft_value, soft)
        batch.set(keys.joint_action, one_hot_actions(index, utilities))
        return self._run(f"{twin}_mixer_network", batch, target).get(keys.global_value)

    @torch.no_grad()
    def _target(self, tensordict: TensorDictBase, passes: TransitionPasses) -> Tensor:
        """Regression target ``y``, ``[*B, 1]``."""
        probability, log_probability = self._next_policy(tensordict, passes)
        action = sample_actions(probability)
        mask = self._action_mask(tensordict, root="next")
        key = self.tensor_keys.action_value
        values = []
        for k in TWINS:
            utilities = passes.after(f"{k}_critic_network", key, target=True)
            following = passes.following
            values.append(
                self._joint_value(k, following, utilities, mask, action, target=True)
            )
        value = torch.minimum(*values)
        surprise = gather_actions(log_probability, action)
        if self.entropy_target == "reference":
            return self._value_target(tensordict, value) - self.alpha * surprise.mean(
                -2
            )
        return self._value_target(tensordict, value - self.alpha * surprise.sum(-2))
