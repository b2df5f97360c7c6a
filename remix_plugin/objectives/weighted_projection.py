"""The weighted projection loss of ReMIX and Weighted QMIX."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torch import Tensor

from remix_plugin.functional import (
    action_index,
    gather_actions,
    weighted_mean,
)
from remix_plugin.modules.mixers import mixer_gradient
from remix_plugin.objectives.base import ValueFactorizationLoss
from remix_plugin.objectives.unroll import TransitionPasses
from remix_plugin.validation import check_number
from remix_plugin.weighting.base import QUANTITIES, WEIGHT, Quantities, Weighting


class WeightedProjectionLoss(ValueFactorizationLoss):
    """Projects an unrestricted joint value onto a monotonic one, transition by weight.

    ``L = mean(w (Q_tot - y)^2) + c mean((Q_star - y)^2)``, where ``Q_tot`` mixes the
    agents' utilities monotonically, ``Q_star`` is an unrestricted joint value with
    utilities and a mixer of its own, ``c`` is ``unrestricted_coef``, and the target is

    ``y = r + gamma (1 - terminated) Q_star_target(s', u')``

    with ``u'`` the greedy joint action: by monotonicity, each agent's own best
    available action. The weight ``w`` comes from a ``Weighting`` and carries no
    gradient. ReMIX (arXiv 2302.05593), OW-QMIX and CW-QMIX (arXiv 2006.10800) are this
    loss with another weighting.

    Both terms share no parameter, so one optimizer serves both; ``c``, 0.5 in pymarl2,
    matters where the norm of all gradients is clipped. How prioritized replay and
    recurrent models are treated is said at the base class.

    Returned, all scalars: ``loss`` for the optimizer; detached, ``loss_projection``,
    ``loss_unrestricted`` (without ``c``), ``projection_weight_mean``,
    ``underestimated_fraction`` (of transitions, ``Q_tot < y``) and
    ``mixer_gradient_mean``. Written into the batch: the priority, and
    ``projection_weight`` ``[*B, 1]`` for callbacks.

    Args:
        local_value_network (TensorDictModule): the agents' utilities, writing
            ``action_value`` ``[*B, n, A]``.
        mixer_network (TensorDictModule): mixes ``local_value`` and a state into
            ``global_value``; monotonic in each utility.
        unrestricted_value_network (TensorDictModule): a second set of utilities,
            writing ``unrestricted_action_value``.
        unrestricted_mixer_network (TensorDictModule): mixes
            ``unrestricted_local_value`` and a state into
            ``unrestricted_global_value``.
        weighting (Weighting or TensorDictModule): writes ``projection_weight``.

    Keyword Args:
        unrestricted_coef (float): factor of the second term, positive.
        **kwargs: as :class:`~.base.ValueFactorizationLoss`.

    Raises:
        ValueError: as the base class, or if ``unrestricted_coef`` is out of range; when
            called, if the weighting returns another shape than ``[*B, 1]``.
        KeyError: when called, if the batch lacks the action mask or an entry that the
            weighting reads.
    """

    @dataclass
    class _AcceptedKeys(ValueFactorizationLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            unrestricted_action_value (NestedKey): utilities of the unrestricted
                value, ``[*B, n, A]``.
            unrestricted_local_value (NestedKey): those of chosen actions.
            unrestricted_global_value (NestedKey): ``Q_star``, ``[*B, 1]``.
            unrestricted_initial_state (NestedKey): hidden state of the unrestricted
                utilities at the start of each row, see ``initial_state``.
            projection_weight (NestedKey): weights, written, ``[*B, 1]``.
        """

        unrestricted_action_value: NestedKey = ("agents", "unrestricted_action_value")
        unrestricted_local_value: NestedKey = ("agents", "unrestricted_chosen_value")
        unrestricted_global_value: NestedKey = "unrestricted_chosen_value"
        unrestricted_initial_state: NestedKey = "unrestricted_initial_state"
        projection_weight: NestedKey = WEIGHT

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    out_keys = [
        "loss",
        "loss_projection",
        "loss_unrestricted",
        "projection_weight_mean",
        "underestimated_fraction",
        "mixer_gradient_mean",
    ]

    local_value_network: TensorDictModule
    local_value_network_params: TensorDictParams
    target_local_value_network_params: TensorDictParams
    mixer_network: TensorDictModule
    mixer_network_params: TensorDictParams
    target_mixer_network_params: TensorDictParams
    unrestricted_value_network: TensorDictModule
    unrestricted_value_network_params: TensorDictParams
    target_unrestricted_value_network_params: TensorDictParams
    unrestricted_mixer_network: TensorDictModule
    unrestricted_mixer_network_params: TensorDictParams
    target_unrestricted_mixer_network_params: TensorDictParams

    def __init__(
        self,
        local_value_network: TensorDictModule,
        mixer_network: TensorDictModule,
        unrestricted_value_network: TensorDictModule,
        unrestricted_mixer_network: TensorDictModule,
        weighting: Weighting | TensorDictModuleBase,
        *,
        unrestricted_coef: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_number("unrestricted_coef", unrestricted_coef, above=0)
        for name, network in (
            ("local_value_network", local_value_network),
            ("mixer_network", mixer_network),
            ("unrestricted_value_network", unrestricted_value_network),
            ("unrestricted_mixer_network", unrestricted_mixer_network),
        ):
            self.convert_to_functional(
                network, name, create_target_params=self.delay_value
            )
        self.weighting = weighting
        self.unrestricted_coef = unrestricted_coef

    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Loss of a batch ``[*B]``, in four steps.

        Joint values of the actions taken, their common target, the weight of each
        transition, and the two regressions on the target.
        """
        passes = self._passes(tensordict)
        keys = self.tensor_keys
        action = action_index(tensordict.get(keys.action), self.action_space)
        action_mask = self._action_mask(tensordict)
        utilities = passes.now("local_value_network", keys.action_value)
        value, gradient = self._mix(passes.current, gather_actions(utilities, action))
        unrestricted = self._unrestricted_value(
            passes.current,
            passes.now("unrestricted_value_network", keys.unrestricted_action_value),
            action,
        )

        target = self._target(tensordict, passes)

        quantities = Quantities(
            value=value,
            mixer_gradient=gradient,
            unrestricted=unrestricted,
            target=target,
            utilities=utilities,
            action=action,
            action_mask=action_mask,
            valid=self._valid(tensordict),
            unrestricted_target_of=partial(self._unrestricted_target_value, passes),
        )
        weight = self._weight(tensordict, quantities)

        self._write_priority(tensordict, (value.detach() - target).square())
        tensordict.set(keys.projection_weight, weight)
        return self._regressions(tensordict, value, unrestricted, quantities, weight)

    def _agent_networks(self) -> dict[str, NestedKey | None]:
        keys = self.tensor_keys
        return {
            "local_value_network": keys.initial_state,
            "unrestricted_value_network": keys.unrestricted_initial_state,
        }

    def _joint_networks(self) -> list[str]:
        return ["mixer_network", "unrestricted_mixer_network"]

    def _computed_keys(self) -> set[NestedKey]:
        return {*super()._computed_keys(), self.tensor_keys.unrestricted_local_value}

    def _mix(self, batch: TensorDictBase, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """``Q_tot`` ``[*B, 1]`` and its gradient in each utility ``[*B, n, 1]``."""
        differentiated = torch.is_grad_enabled()
        if not chosen.requires_grad:
            chosen = chosen.detach().requires_grad_()
        batch.set(self.tensor_keys.local_value, chosen)
        with torch.enable_grad():
            mixed = self._run("mixer_network", batch)
            value = mixed.get(self.tensor_keys.global_value)
            gradient = mixer_gradient(value, chosen)
        return (value if differentiated else value.detach()), gradient

    def _unrestricted_value(
        self,
        batch: TensorDictBase,
        utilities: Tensor,
        index: Tensor,
        target: bool = False,
    ) -> Tensor:
        """``Q_star`` of the actions ``index`` ``[*B, n]``, ``[*B, 1]``."""
        keys = self.tensor_keys
        with torch.set_grad_enabled(torch.is_grad_enabled() and not target):
            chosen = gather_actions(utilities, index)
            batch.set(keys.unrestricted_local_value, chosen)
            mixed = self._run("unrestricted_mixer_network", batch, target)
            return mixed.get(keys.unrestricted_global_value)

    def _unrestricted_target_value(
        self, passes: TransitionPasses, index: Tensor
    ) -> Tensor:
        """The target network's ``Q_star`` of the actions ``index``, ``[*B, 1]``."""
        utilities = passes.now(
            "unrestricted_value_network",
            self.tensor_keys.unrestricted_action_value,
            target=True,
        )
        return self._unrestricted_value(passes.current, utilities, index, target=True)

    @torch.no_grad()
    def _target(self, tensordict: TensorDictBase, passes: TransitionPasses) -> Tensor:
        """Regression target ``y``, ``[*B, 1]``."""
        next_value = self._unrestricted_value(
            passes.following,
            passes.after(
                "unrestricted_value_network",
                self.tensor_keys.unrestricted_action_value,
                target=True,
            ),
            self._greedy_next(tensordict, passes),
            target=True,
        )
        return self._value_target(tensordict, next_value)

    @torch.no_grad()
    def _weight(self, tensordict: TensorDictBase, quantities: Quantities) -> Tensor:
        """The weighting's answer, checked, ``[*B, 1]``."""
        inputs = TensorDict({}, batch_size=tensordict.batch_size)
        for key in self.weighting.in_keys:
            is_quantity = key in QUANTITIES
            entry = (
                getattr(quantities, key) if is_quantity else tensordict.get(key, None)
            )
            if entry is None:
                raise KeyError(
                    f"{type(self.weighting).__name__} reads {key!r}, which is neither "
                    f"in the batch nor a quantity of it ({', '.join(QUANTITIES)})."
                )
            inputs.set(key, entry)
        weight = self.weighting(inputs).get(WEIGHT)
        target = quantities.target_value
        if weight.shape != target.shape:
            raise ValueError(
                f"{type(self.weighting).__name__} returned weights of shape "
                f"{tuple(weight.shape)}: it must be {tuple(target.shape)}, one per "
                "transition."
            )
        return weight.to(target.dtype)

    def _regressions(
        self,
        tensordict: TensorDictBase,
        value: Tensor,
        unrestricted: Tensor,
        quantities: Quantities,
        weight: Tensor,
    ) -> TensorDict:
        """Both regressions on the target, and what is logged of them."""
        target, gradient = quantities.target_value, quantities.mixer_gradient
        valid = self._valid(tensordict)
        counts = self._counts(tensordict, valid)
        projection = weighted_mean(weight * self._distance(value, target), counts)
        central = weighted_mean(self._distance(unrestricted, target), counts)
        below = (value.detach() < target).to(value.dtype)
        return TensorDict(
            {
                "loss": projection + self.unrestricted_coef * central,
                "loss_projection": projection.detach(),
                "loss_unrestricted": central.detach(),
                "projection_weight_mean": weighted_mean(weight, valid),
                "underestimated_fraction": weighted_mean(below, valid),
                "mixer_gradient_mean": weighted_mean(gradient.mean(-2), valid),
            }
        )
