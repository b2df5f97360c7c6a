"""The loss of DOP."""

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
from torchrl.objectives.value.functional import td0_return_estimate

from remix_plugin.functional import (
    chosen_probability,
    gather_actions,
    weighted_mean,
)
from remix_plugin.modules.linear_mixer import linear_mix
from remix_plugin.objectives.actor_critic import ActorCriticLoss
from remix_plugin.objectives.unroll import TransitionPasses
from remix_plugin.validation import check_choice, check_number

ACTOR_GRADIENTS = ("expected", "sampled")
ACTOR_DATA = ("recent", "replay")


def tree_backup(
    value: Tensor,
    error: Tensor,
    probability: Tensor,
    ends: Tensor,
    *,
    decay: float,
    n_steps: int,
) -> Tensor:
    """Off-policy returns over several steps, of the policy and not of the data.

    ``y_t = q_t + sum_{l<K} (gamma lambda)^l prod_{j=1..l} pi(u_{t+j}) d_{t+l}``, the
    sum cut at the end of an episode and of the row (DOP, arXiv 2007.12322).

    Args:
        value (Tensor): ``q_t``, values of the joint actions taken, ``[B, T, 1]``.
        error (Tensor): ``d_t``, their one-step errors, ``[B, T, 1]``.
        probability (Tensor): ``pi(u_t)`` of the joint actions taken, ``[B, T, 1]``.
        ends (Tensor): steps that the next one does not follow, bool ``[B, T, 1]``.

    Keyword Args:
        decay (float): ``gamma lambda``.
        n_steps (int): ``K``, at least 1; with 1, rows may be transitions ``[*B, 1]``.

    Returns:
        Tensor: ``y_t``, in the shape of ``value``.
    """
    target = value + error
    reach = torch.ones_like(error)
    for step in range(1, min(n_steps, error.shape[1])):
        goes_on = ~ends[:, step - 1 : -1] * probability[:, step:]
        reach = reach[:, :-1] * goes_on
        target[:, :-step] += decay**step * reach * error[:, step:]
    return target


class DopLoss(ActorCriticLoss):
    """Decomposed policy gradients off policy (DOP, arXiv 2007.12322), discrete actions.

    The team's value is linear in those of agents, ``Q_tot(s, u) = sum_i k_i(s) Q_i(u_i)
    + b(s)`` with ``k_i >= 0``, so its expectation under the policies is ``Qexp(s) =
    sum_i k_i(s) sum_a pi_i(a) Q_i(a) + b(s)``. The critics' loss is ``(Q_tot - y)^2``;
    with target networks, ``y`` is the tree backup of ``r + gamma (1 - terminated)
    Qexp(s') - Q_tot(s, u)`` over ``n_steps`` (see :func:`tree_backup`) for rows that
    were drawn from all data, and the lambda-return over ``Qexp(s')`` for those drawn
    from the newest. Actors learn from the newest alone,

    ``L_actor = -mean_i k_i sum_a pi_i(a) Q_i(a)``, or sampled,
    ``-mean_i k_i (Q_i(u_i) - sum_a pi_i(a) Q_i(a)) log pi_i(u_i)``,

    with critics and mixer detached: no gradient flows from one loss into the other's
    networks.

    Returned, all scalars: ``loss_actor`` and ``loss_critic``, each for an optimizer;
    detached, ``entropy`` (in nats, mean over agents), ``chosen_value_mean`` (of
    ``Q_tot``), ``target_value_mean``, and ``advantage_mean`` and ``advantage_std`` (of
    ``Q_i(u_i) - sum_a pi_i(a) Q_i(a)``).

    Args:
        actor_network (TensorDictModule): writes ``logits`` ``[*B, n, A]``.
        critic_network (TensorDictModule): writes ``dueling_value`` ``[*B, n, 1 + A]``,
            a value and what each action adds to it: ``Q_i(a) = v_i + a_i(a)``.
        mixer_network (TensorDictModule): reads the state, writes ``mixing_weight`` and
            ``mixing_bias``.

    Keyword Args:
        n_steps (int): steps of the tree backup, at least 1; more than one need
            ``sequential``.
        tree_lambda (float): decay of its steps, 0 to 1.
        replay_share (float): what rows drawn from all data count in the critics' loss,
            0 to 1; the newest count the rest.
        actor_data (str): ``"recent"`` or ``"replay"``, all rows.
        actor_gradient (str): ``"expected"`` over actions, or ``"sampled"``.
        actor_update_period (int): actors learn at every so many updates.
        **kwargs: as :class:`~.actor_critic.ActorCriticLoss`.

    Raises:
        ValueError: as the base class, or if an option is out of range.
        KeyError: when called, if the batch lacks the action mask.
    """

    @dataclass
    class _AcceptedKeys(ActorCriticLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            dueling_value (NestedKey): ``v_i`` and ``a_i``, ``[*B, n, 1 + A]``.
            mixing_weight (NestedKey): ``k_i``, ``[*B, n, 1]``.
            mixing_bias (NestedKey): ``b``, ``[*B, 1]``.
            recent (NestedKey): rows drawn from the newest data, bool ``[*B]``; none
                where absent. :class:`~remix_plugin.data.samplers.RecentSampler` writes
                it.
        """

        dueling_value: NestedKey = ("agents", "dueling_value")
        mixing_weight: NestedKey = ("agents", "mixing_weight")
        mixing_bias: NestedKey = "mixing_bias"
        recent: NestedKey = "recent"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    out_keys = ["loss_actor", "loss_critic", *ActorCriticLoss.metrics]
    pauses = True

    actor_network: TensorDictModule
    actor_network_params: TensorDictParams
    target_actor_network_params: TensorDictParams
    critic_network: TensorDictModule
    critic_network_params: TensorDictParams
    target_critic_network_params: TensorDictParams
    mixer_network: TensorDictModule
    mixer_network_params: TensorDictParams
    target_mixer_network_params: TensorDictParams
    updates: Tensor

    def __init__(
        self,
        actor_network: TensorDictModule,
        critic_network: TensorDictModule,
        mixer_network: TensorDictModule,
        *,
        n_steps: int = 5,
        tree_lambda: float = 0.93,
        replay_share: float = 2 / 3,
        actor_data: str = "recent",
        actor_gradient: str = "expected",
        actor_update_period: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(actor_network, **kwargs)
        check_number("n_steps", n_steps, low=1, integer=True)
        check_number("tree_lambda", tree_lambda, low=0, high=1)
        check_number("replay_share", replay_share, low=0, high=1)
        check_choice("actor_data", actor_data, ACTOR_DATA)
        check_choice("actor_gradient", actor_gradient, ACTOR_GRADIENTS)
        check_number("actor_update_period", actor_update_period, low=1, integer=True)
        if n_steps > 1 and not self.sequential:
            raise ValueError(
                f"n_steps={n_steps} with sequential=False is not allowed: transitions "
                "in any order have one-step targets only. It must be 1."
            )
        for name, network in (
            ("critic_network", critic_network),
            ("mixer_network", mixer_network),
        ):
            self.convert_to_functional(
                network, name, create_target_params=self.delay_value
            )
        self.n_steps = n_steps
        self.tree_lambda = tree_lambda
        self.replay_share = replay_share
        self.actor_data = actor_data
        self.actor_gradient = actor_gradient
        self.actor_update_period = actor_update_period
        # A checkpoint keeps when actors learn next.
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Losses of a batch ``[*B]``."""
        passes = self._passes(tensordict)
        policy = self._policy(tensordict, passes)
        probability, log_probability = policy
        action = self._action(tensordict)
        values = self._action_values(passes.now("critic_network", self._value_key))
        chosen = gather_actions(values, action)
        weight, bias = self._mixing(passes.current)
        value = linear_mix(chosen, weight, bias)
        valid = self._valid(tensordict)
        recent = self._recent(tensordict)
        target = self._target(tensordict, passes, probability.detach(), recent)
        error = (value.detach() - target).square()
        self._write_priority(tensordict, error)

        expected = (probability * values.detach()).sum(-1, keepdim=True)
        advantage = (chosen - expected).detach()
        if self.actor_gradient == "expected":
            gain = weight.detach() * expected
        else:
            gain = advantage * weight.detach() * gather_actions(log_probability, action)
        actor = -weighted_mean(gain, self._actor_counts(valid, recent))
        counts = self._critic_counts(self._counts(tensordict, valid), recent)
        return TensorDict(
            {
                "loss_actor": actor if self._actors_learn() else 0 * self.pause,
                "loss_critic": weighted_mean(self._distance(value, target), counts),
                **self._metrics(
                    valid, policy, value=value, target=target, advantage=advantage
                ),
            }
        )

    def _agent_networks(self) -> dict[str, NestedKey | None]:
        keys = self.tensor_keys
        return {
            "actor_network": keys.initial_state,
            "critic_network": keys.critic_initial_state,
        }

    def _joint_networks(self) -> list[str]:
        return ["mixer_network"]

    @property
    def _value_key(self) -> NestedKey:
        return self.tensor_keys.dueling_value

    @staticmethod
    def _action_values(dueling: Tensor) -> Tensor:
        """``Q_i``, ``[*B, n, A]``."""
        return dueling[..., :1] + dueling[..., 1:]

    def _mixing(
        self, batch: TensorDictBase, target: bool = False
    ) -> tuple[Tensor, Tensor]:
        """``k`` ``[*B, n, 1]`` and ``b`` ``[*B, 1]``."""
        mixing = self._run("mixer_network", batch, target)
        keys = self.tensor_keys
        return mixing.get(keys.mixing_weight), mixing.get(keys.mixing_bias)

    def _recent(self, tensordict: TensorDictBase) -> Tensor:
        """Entries drawn from the newest data, bool ``[*B, 1]``."""
        recent = tensordict.get(self.tensor_keys.recent, None)
        if recent is None:
            shape = (*tensordict.shape, 1)
            return torch.zeros(shape, dtype=torch.bool, device=tensordict.device)
        return recent.unsqueeze(-1)

    @torch.no_grad()
    def _target(
        self,
        tensordict: TensorDictBase,
        passes: TransitionPasses,
        probability: Tensor,
        recent: Tensor,
    ) -> Tensor:
        """Regression target ``y``, ``[*B, 1]``."""
        keys = self.tensor_keys
        action = self._action(tensordict)
        after = passes.after("critic_network", self._value_key, target=True)
        next_probability, _ = self._next_policy(tensordict, passes)
        expected = (next_probability * self._action_values(after)).sum(-1, keepdim=True)
        mixing = self._mixing(passes.following, target=True)
        next_value = linear_mix(expected, *mixing)

        now = passes.now("critic_network", self._value_key, target=True)
        chosen = gather_actions(self._action_values(now), action)
        value = linear_mix(chosen, *self._mixing(passes.current, target=True))
        terminated = tensordict.get(unravel_key(("next", keys.terminated)))
        one_step = td0_return_estimate(
            gamma=self.value_estimator.gamma,
            next_state_value=next_value.masked_fill(terminated, 0.0),
            reward=tensordict.get(unravel_key(("next", keys.reward))),
            terminated=terminated,
        )
        if self.n_steps == 1:
            backup = one_step
        else:
            mask = self._action_mask(tensordict)
            backup = tree_backup(
                value,
                one_step - value,
                chosen_probability(probability, mask, action).prod(-2),
                self._ends(tensordict),
                decay=float(self.value_estimator.gamma) * self.tree_lambda,
                n_steps=self.n_steps,
            )
        return torch.where(recent, self._value_target(tensordict, next_value), backup)

    def _actor_counts(self, valid: Tensor | None, recent: Tensor) -> Tensor | None:
        """How much each entry counts in the actors' loss, ``[*B, 1]``."""
        if self.actor_data == "replay":
            return valid
        counts = recent if valid is None else recent & valid
        # Where a batch has no recent row, as with recent_fraction=0, all count.
        others = torch.ones_like(recent) if valid is None else valid
        return torch.where(counts.any(), counts, others)

    def _critic_counts(self, counts: Tensor | None, recent: Tensor) -> Tensor:
        """How much each entry counts in the critics' loss, ``[*B, 1]``."""
        ones = torch.ones(recent.shape, device=recent.device)
        counts = ones if counts is None else counts * ones
        newest, others = counts * recent, counts * ~recent
        share = self.replay_share
        shared = share * others / others.sum() + (1 - share) * newest / newest.sum()
        # Where a batch has one kind only, that is all there is to learn from.
        return torch.where((newest.sum() > 0) & (others.sum() > 0), shared, counts)

    def _actors_learn(self) -> bool:
        """Whether they do at this update, of which it takes note."""
        self.updates += 1
        return int(self.updates) % self.actor_update_period == 0
