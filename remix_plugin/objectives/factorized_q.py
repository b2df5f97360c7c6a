"""The loss of value factorizations that regress one joint value on its own target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule
from torch import Tensor

from remix_plugin.functional import (
    action_index,
    gather_actions,
    greedy_values,
    one_hot_actions,
    weighted_mean,
)
from remix_plugin.objectives.base import ValueFactorizationLoss
from remix_plugin.objectives.unroll import TransitionPasses
from remix_plugin.validation import check_number


class FactorizedQLoss(ValueFactorizationLoss):
    """Regresses a mix of the agents' utilities on a bootstrapped target.

    ``L = c mean((Q_tot(s, u) - y)^2)`` with ``c`` the ``td_coef``, ``y = r + gamma (1 -
    terminated) Q_tot_target(s', u')`` and ``u'`` the greedy joint action, of the online
    utilities with ``double_q``. QMIX (arXiv 1803.11485), VDN (arXiv 1706.05296), Qatten
    (arXiv 2002.03939) and QPLEX (arXiv 2008.01062) are this loss with another mixer.
    A mixer reads what it needs of the utilities of chosen actions, those of the best
    available actions (without a gradient), the joint action, and what the state
    network writes.

    Unlike TorchRL's ``QMixerLoss`` it has double Q-learning, targets over several
    steps, exact values of recurrent networks and mixers with other inputs.

    Returned, all scalars: ``loss`` for the optimizer; detached, ``loss_td`` (without
    ``c``), ``chosen_value_mean``, ``target_value_mean``, ``loss_penalty`` if the mixer
    writes a penalty, and the mean of each of ``metrics``. Written into the batch: the
    priority.

    Args:
        local_value_network (TensorDictModule): the agents' utilities, writing
            ``action_value`` ``[*B, n, A]``.
        mixer_network (TensorDictModule): mixes them into ``global_value``.

    Keyword Args:
        metrics (sequence of str): further outputs of the mixer whose means are
            returned, as ``<name>_mean``.
        td_coef (float): factor of the regression, positive; 0.5 in pymarl2. It matters
            beside a penalty, and where the norm of gradients is clipped.
        **kwargs: as :class:`~.base.ValueFactorizationLoss`.

    Raises:
        ValueError: as the base class, or if ``td_coef`` is out of range.
        KeyError: when called, if the batch lacks the action mask.
    """

    @dataclass
    class _AcceptedKeys(ValueFactorizationLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            greedy_local_value (NestedKey): utilities of the best available actions
                ``[*B, n, 1]``, for mixers that read it.
            joint_action (NestedKey): the joint action, one-hot ``[*B, n, A]``, for
                mixers that read it.
            penalty (NestedKey): added to the loss, ``[*B, 1]``, where the mixer
                writes it.
        """

        greedy_local_value: NestedKey = ("agents", "greedy_action_value")
        joint_action: NestedKey = ("agents", "joint_action")
        penalty: NestedKey = "mixer_penalty"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys

    local_value_network: TensorDictModule
    local_value_network_params: TensorDictParams
    target_local_value_network_params: TensorDictParams
    mixer_network: TensorDictModule
    mixer_network_params: TensorDictParams
    target_mixer_network_params: TensorDictParams

    def __init__(
        self,
        local_value_network: TensorDictModule,
        mixer_network: TensorDictModule,
        *,
        metrics: Sequence[str] = (),
        td_coef: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_number("td_coef", td_coef, above=0)
        for name, network in (
            ("local_value_network", local_value_network),
            ("mixer_network", mixer_network),
        ):
            self.convert_to_functional(
                network, name, create_target_params=self.delay_value
            )
        self.metrics = tuple(metrics)
        self.td_coef = td_coef

    @property
    def out_keys(self) -> list[str]:
        """Entries that the loss returns."""
        penalty = ["loss_penalty"] if self._has_penalty() else []
        means = [f"{name}_mean" for name in self.metrics]
        known = ["loss", "loss_td", "chosen_value_mean", "target_value_mean"]
        return [*known, *penalty, *means]

    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Loss of a batch ``[*B]``."""
        keys = self.tensor_keys
        action = action_index(tensordict.get(keys.action), self.action_space)
        passes = self._passes(tensordict)
        mixed = self._mix(
            passes.current,
            passes.now("local_value_network", keys.action_value),
            self._action_mask(tensordict),
            action,
        )
        value = mixed.get(keys.global_value)
        target = self._target(tensordict, passes)
        self._write_priority(tensordict, (value.detach() - target).square())

        valid = self._valid(tensordict)
        counts = self._counts(tensordict, valid)
        error = weighted_mean(self._distance(value, target), counts)
        results = {
            "loss": self.td_coef * error,
            "loss_td": error.detach(),
            "chosen_value_mean": weighted_mean(value.detach(), valid),
            "target_value_mean": weighted_mean(target, valid),
        }
        if self._has_penalty():
            penalty = weighted_mean(mixed.get(keys.penalty), counts)
            results["loss"] = results["loss"] + penalty
            results["loss_penalty"] = penalty.detach()
        for name in self.metrics:
            entry = mixed.get(name).detach()
            per_step = entry.flatten(tensordict.ndim).mean(-1, keepdim=True)
            results[f"{name}_mean"] = weighted_mean(per_step, valid)
        return TensorDict(results)

    def _agent_networks(self) -> dict[str, NestedKey | None]:
        return {"local_value_network": self.tensor_keys.initial_state}

    def _joint_networks(self) -> list[str]:
        return ["mixer_network"]

    def _computed_keys(self) -> set[NestedKey]:
        keys = self.tensor_keys
        return {*super()._computed_keys(), keys.greedy_local_value, keys.joint_action}

    def _has_penalty(self) -> bool:
        return self.tensor_keys.penalty in self.mixer_network.out_keys

    def _mix(
        self,
        batch: TensorDictBase,
        utilities: Tensor,
        mask: Tensor | None,
        index: Tensor,
        target: bool = False,
    ) -> TensorDictBase:
        """What the mixer says of the joint action ``index`` ``[*B, n]``."""
        keys = self.tensor_keys
        batch.set(keys.local_value, gather_actions(utilities, index))
        if keys.greedy_local_value in self.mixer_network.in_keys:
            best = greedy_values(utilities.detach(), mask)
            batch.set(keys.greedy_local_value, best)
        if keys.joint_action in self.mixer_network.in_keys:
            batch.set(keys.joint_action, one_hot_actions(index, utilities))
        return self._run("mixer_network", batch, target)

    @torch.no_grad()
    def _target(self, tensordict: TensorDictBase, passes: TransitionPasses) -> Tensor:
        """Regression target ``y``, ``[*B, 1]``."""
        keys = self.tensor_keys
        mixed = self._mix(
            passes.following,
            passes.after("local_value_network", keys.action_value, target=True),
            self._action_mask(tensordict, root="next"),
            self._greedy_next(tensordict, passes),
            target=True,
        )
        return self._value_target(tensordict, mixed.get(keys.global_value))
