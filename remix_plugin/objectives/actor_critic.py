"""What the losses of stochastic actors with a critic of the team share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from remix_plugin.functional import (
    action_index,
    entropy,
    softmax_policy,
    weighted_mean,
    weighted_std,
)
from remix_plugin.objectives.base import TeamLoss
from remix_plugin.objectives.unroll import TransitionPasses


class ActorCriticLoss(TeamLoss):
    """Actors whose policies are a softmax over their available actions.

    The actors' network writes logits. Losses make probabilities of them themselves, as
    they need those of all actions, and with memory that is exact (see
    :class:`~.unroll.SequencePasses`).

    Args:
        actor_network (TensorDictModule): writes ``logits`` ``[*B, n, A]``.

    Keyword Args:
        epsilon (callable, optional): returns the share of the uniform policy that the
            losses see mixed into the actors'; none by default.
        **kwargs: as :class:`~.base.TeamLoss`.

    Raises:
        ValueError: as the base class.
        KeyError: when called, if the batch lacks the action mask.
    """

    @dataclass
    class _AcceptedKeys(TeamLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            logits (NestedKey): of the actors, ``[*B, n, A]``.
            critic_initial_state (NestedKey): hidden state of the critic at the start of
                each row, see ``initial_state``.
        """

        logits: NestedKey = ("agents", "logits")
        critic_initial_state: NestedKey = "critic_initial_state"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    metrics = (
        "entropy",
        "chosen_value_mean",
        "target_value_mean",
        "advantage_mean",
        "advantage_std",
    )
    # Whether targets are made with delayed actors
    delays_actor = False
    # Whether actors do not learn at each update
    pauses = False

    actor_network: TensorDictModule
    actor_network_params: TensorDictParams

    def __init__(
        self,
        actor_network: TensorDictModule,
        *,
        epsilon: Callable[[], float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        device = next(actor_network.parameters()).device
        self.convert_to_functional(
            actor_network,
            "actor_network",
            create_target_params=self.delays_actor and self.delay_value,
        )
        self.epsilon = epsilon
        if self.pauses:
            # What is left to learn where actors do not: an optimizer leaves alone what
            # has no gradient, but needs something that has one.
            self.pause = nn.Parameter(torch.zeros((), device=device))

    def _action(self, tensordict: TensorDictBase) -> Tensor:
        """Index ``[*B, n]`` of the actions taken."""
        return action_index(tensordict.get(self.tensor_keys.action), self.action_space)

    def _policy(
        self, tensordict: TensorDictBase, passes: TransitionPasses
    ) -> tuple[Tensor, Tensor]:
        """Probabilities and their logarithms ``[*B, n, A]``, with a gradient."""
        logits = passes.now("actor_network", self.tensor_keys.logits)
        mask = self._action_mask(tensordict)
        return softmax_policy(logits, mask, self._share_of_uniform())

    @torch.no_grad()
    def _next_policy(
        self, tensordict: TensorDictBase, passes: TransitionPasses
    ) -> tuple[Tensor, Tensor]:
        """The same at the observations that followed, without a gradient."""
        logits = passes.after("actor_network", self.tensor_keys.logits)
        mask = self._action_mask(tensordict, root="next")
        return softmax_policy(logits, mask, self._share_of_uniform())

    def _metrics(
        self,
        valid: Tensor | None,
        policy: tuple[Tensor, Tensor],
        *,
        value: Tensor,
        target: Tensor,
        advantage: Tensor,
    ) -> dict[str, Tensor]:
        """What all actor-critics report besides their losses, detached.

        Args:
            valid: entries that count, ``[*B, 1]``.
            policy: probabilities and their logarithms ``[*B, n, A]``.
            value: of the actions taken, ``[*B, 1]``, or of each agent ``[*B, n, 1]``.
            target: of that value.
            advantage: what actors follow, of either shape.
        """
        means = (entropy(*policy), value, target, advantage)
        shown = [weighted_mean(entry.detach(), valid) for entry in means]
        spread = weighted_std(advantage.detach(), valid)
        return dict(zip(self.metrics, [*shown, spread], strict=True))

    def _share_of_uniform(self) -> float:
        return 0.0 if self.epsilon is None else self.epsilon()
