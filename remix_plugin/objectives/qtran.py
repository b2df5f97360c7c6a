"""The loss of QTRAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule
from torch import Tensor

from remix_plugin.functional import (
    action_index,
    gather_actions,
    greedy_actions,
    one_hot_actions,
    weighted_mean,
)
from remix_plugin.modules.qtran import qtran_residuals
from remix_plugin.objectives.base import ValueFactorizationLoss
from remix_plugin.objectives.unroll import TransitionPasses


class QtranLoss(ValueFactorizationLoss):
    """QTRAN-base (arXiv 1905.05408): utilities whose sum is held to a free joint value.

    ``L = L_td + optimum_weight L_opt + other_weight L_nopt`` with, for the joint action
    ``u`` taken and ``u*`` the greedy one of the online utilities,

    - ``L_td = mean((Q_jt(s, u) - y)^2)``,
      ``y = r + gamma (1 - terminated) Q_jt_target(s', u')``,
    - ``L_opt = mean((sum_a q_a(u*_a) - Q_jt(s, u*) + V_jt(s))^2)``,
    - ``L_nopt = mean(min(0, sum_a q_a(u_a) - Q_jt(s, u) + V_jt(s))^2)``,

    where ``u'`` is the greedy next action, of the online utilities with ``double_q``,
    and ``Q_jt`` carries a gradient in ``L_td`` alone: the joint value and its features
    learn from the error, utilities and ``V_jt`` from the two constraints.

    In the reference code (oxwhirl/wqmix, ``src/learners/qtran_learner.py``) the joint
    value reads the agents' own hidden states, which learn from ``L_td`` too; here it
    has features of its own, as memoryless agents have no such state.

    Returned, all scalars: ``loss`` for the optimizer; detached, ``loss_td``,
    ``loss_opt``, ``loss_nopt``, ``chosen_value_mean`` (of ``Q_jt``) and
    ``target_value_mean``. Written into the batch: the priority, of ``Q_jt``.

    Args:
        local_value_network (TensorDictModule): the agents' utilities, writing
            ``action_value`` ``[*B, n, A]``.
        joint_value_network (TensorDictModule): ``Q_jt``; reads ``joint_action``, what
            the state network writes, and ``feature`` if there is a feature network;
            writes ``global_value``.
        state_value_network (TensorDictModule): ``V_jt``, writing ``state_value``.
        feature_network (TensorDictModule, optional): writes ``feature``
            ``[*B, n, F]``.

    Keyword Args:
        optimum_weight (float): weight of ``L_opt``.
        other_weight (float): weight of ``L_nopt``.
        **kwargs: as :class:`~.base.ValueFactorizationLoss`.

    Raises:
        ValueError: as the base class.
        KeyError: when called, if the batch lacks the action mask.
    """

    @dataclass
    class _AcceptedKeys(ValueFactorizationLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            joint_action (NestedKey): the joint action, one-hot ``[*B, n, A]``.
            feature (NestedKey): what ``Q_jt`` knows of each agent ``[*B, n, F]``.
            state_value (NestedKey): ``V_jt``, ``[*B, 1]``.
            feature_initial_state (NestedKey): hidden state of the feature network at
                the start of each row, see ``initial_state``.
        """

        joint_action: NestedKey = ("agents", "joint_action")
        feature: NestedKey = ("agents", "joint_feature")
        state_value: NestedKey = "state_value"
        feature_initial_state: NestedKey = "feature_initial_state"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    out_keys = [
        "loss",
        "loss_td",
        "loss_opt",
        "loss_nopt",
        "chosen_value_mean",
        "target_value_mean",
    ]

    local_value_network: TensorDictModule
    local_value_network_params: TensorDictParams
    target_local_value_network_params: TensorDictParams
    joint_value_network: TensorDictModule
    joint_value_network_params: TensorDictParams
    target_joint_value_network_params: TensorDictParams
    feature_network: TensorDictModule
    feature_network_params: TensorDictParams
    target_feature_network_params: TensorDictParams
    state_value_network: TensorDictModule
    state_value_network_params: TensorDictParams
    target_state_value_network_params: TensorDictParams

    def __init__(
        self,
        local_value_network: TensorDictModule,
        joint_value_network: TensorDictModule,
        state_value_network: TensorDictModule,
        feature_network: TensorDictModule | None = None,
        *,
        optimum_weight: float = 1.0,
        other_weight: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        delayed = {
            # Read only where they choose the next action.
            "local_value_network": (local_value_network, not self.double_q),
            "joint_value_network": (joint_value_network, True),
            "state_value_network": (state_value_network, False),
        }
        self.has_features = feature_network is not None
        if self.has_features:
            delayed["feature_network"] = (feature_network, True)
        for name, (network, has_target) in delayed.items():
            self.convert_to_functional(
                network, name, create_target_params=self.delay_value and has_target
            )
        self.optimum_weight = optimum_weight
        self.other_weight = other_weight

    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Loss of a batch ``[*B]``."""
        keys = self.tensor_keys
        action = action_index(tensordict.get(keys.action), self.action_space)
        passes = self._passes(tensordict)
        current = passes.current
        utilities = passes.now("local_value_network", keys.action_value)
        if self.has_features:
            current.set(keys.feature, passes.now("feature_network", keys.feature))
        joint = self._joint_value(current, action, utilities)
        target = self._target(tensordict, passes, like=utilities)
        error = (joint.detach() - target).square()
        self._write_priority(tensordict, error)

        greedy = greedy_actions(utilities.detach(), self._action_mask(tensordict))
        with torch.no_grad():
            joint_greedy = self._joint_value(current, greedy, utilities)
        state_value = self._run("state_value_network", current).get(keys.state_value)
        optimum, other = qtran_residuals(
            gather_actions(utilities, greedy).sum(-2),
            joint_greedy,
            gather_actions(utilities, action).sum(-2),
            joint.detach(),
            state_value,
        )
        valid = self._valid(tensordict)
        counts = self._counts(tensordict, valid)
        td = weighted_mean(self._distance(joint, target), counts)
        opt = weighted_mean(optimum.square(), counts)
        nopt = weighted_mean(other.square(), counts)
        return TensorDict(
            {
                "loss": td + self.optimum_weight * opt + self.other_weight * nopt,
                "loss_td": td.detach(),
                "loss_opt": opt.detach(),
                "loss_nopt": nopt.detach(),
                "chosen_value_mean": weighted_mean(joint.detach(), valid),
                "target_value_mean": weighted_mean(target, valid),
            }
        )

    def _agent_networks(self) -> dict[str, NestedKey | None]:
        keys = self.tensor_keys
        names = {"local_value_network": keys.initial_state}
        if self.has_features:
            names["feature_network"] = keys.feature_initial_state
        return names

    def _joint_networks(self) -> list[str]:
        return ["joint_value_network", "state_value_network"]

    def _computed_keys(self) -> set[NestedKey]:
        keys = self.tensor_keys
        return {*super()._computed_keys(), keys.joint_action, keys.feature}

    def _joint_value(
        self,
        batch: TensorDictBase,
        index: Tensor,
        like: Tensor,
        target: bool = False,
    ) -> Tensor:
        """``Q_jt`` of the joint action ``index`` ``[*B, n]``, ``[*B, 1]``."""
        keys = self.tensor_keys
        batch.set(keys.joint_action, one_hot_actions(index, like))
        return self._run("joint_value_network", batch, target).get(keys.global_value)

    @torch.no_grad()
    def _target(
        self, tensordict: TensorDictBase, passes: TransitionPasses, like: Tensor
    ) -> Tensor:
        """Regression target ``y``, ``[*B, 1]``."""
        keys = self.tensor_keys
        following = passes.following
        if self.has_features:
            feature = passes.after("feature_network", keys.feature, target=True)
            following.set(keys.feature, feature)
        greedy = self._greedy_next(tensordict, passes)
        next_value = self._joint_value(following, greedy, like, target=True)
        return self._value_target(tensordict, next_value)
