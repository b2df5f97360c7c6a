"""What losses of a team share, and those of value factorizations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase, unravel_key
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.objectives import LossModule, ValueEstimators, distance_loss
from torchrl.objectives.utils import default_value_kwargs
from torchrl.objectives.value import TD0Estimator, TDLambdaEstimator

from remix_plugin.functional import greedy_actions
from remix_plugin.objectives.unroll import (
    SequencePasses,
    TransitionPasses,
    episode_ends,
    unpack_rows,
)
from remix_plugin.validation import check_choice


class TeamLoss(LossModule):
    """Keys, inputs, masks, targets and priorities of a team with a joint value.

    A subclass holds networks by ``convert_to_functional``, names those of the agents in
    :meth:`_agent_networks` and all others in :meth:`_joint_networks`, and implements
    ``forward``.

    Batches are transitions in any order ``[*B]``, or, with ``sequential``, rows of
    consecutive steps ``[B, T]`` that may hold several episodes and begin and end within
    one. Recurrent networks need rows: their values of every observation, the last of
    an episode included, then have the memory of the history in the row that leads to
    it, across no start of an episode (see :class:`~.unroll.SequencePasses`). A row
    that begins within an episode starts from the hidden state that the batch holds for
    it, or from zero where it holds none.

    Prioritized replay: the squared TD error is written as priority, and means over a
    batch are weighted with the importance weights of the sampler, normalized by their
    sum, as in TorchRL's ``DQNLoss``.

    Keyword Args:
        state_network (TensorDictModule, optional): run on a batch and on its
            ``"next"`` before the mixers, to write what they read besides utilities.
        action_space (str): ``"categorical"`` for indices, or ``"one-hot"``.
        use_action_mask (bool): whether the batch holds a mask of available actions.
        delay_value (bool): whether target networks are copies, to be updated by a
            ``TargetNetUpdater``, rather than the online networks.
        loss_function (str): ``"l2"``, ``"l1"`` or ``"smooth_l1"``.
        sequential (bool): whether batches are rows of consecutive steps.

    Raises:
        ValueError: if ``action_space`` or ``loss_function`` is unknown. When called:
            if ``sequential`` is set and the batch is not ``[B, T]``, or if it is not
            set and a network is recurrent.
        KeyError: when called, if the batch lacks the action mask.
    """

    @dataclass
    class _AcceptedKeys:
        """Entries that the loss reads and writes, settable by ``set_keys``.

        Attributes:
            action (NestedKey): actions taken, ``[*B, n]`` or one-hot ``[*B, n, A]``.
            action_mask (NestedKey): available actions, bool ``[*B, n, A]``, at the
                root and under ``"next"``; not read without ``use_action_mask``.
            priority (NestedKey): squared TD error of the joint value, written,
                ``[*B, 1]``, or ``[*B, n, 1]`` where the entry above it has agents.
            priority_weight (NestedKey): importance weights of prioritized replay.
            valid (NestedKey): false for padding, which must be finite and, in rows,
                at their end, bool ``[*B]``; all count where absent. TorchRL's
                ``split_trajectories`` writes it.
            is_init (NestedKey): starts of episodes, bool ``[B, T, 1]``; recurrent
                networks read it, and rows are cut there too where the batch has it.
            initial_state (NestedKey): hidden state of the policy's network at the start
                of each row, as :func:`~.unroll.pack_rows` leaves it; zero where
                absent.
            reward (NestedKey): team reward ``[*B, 1]``, under ``"next"``.
            done (NestedKey): bool ``[*B, 1]``, under ``"next"``.
            terminated (NestedKey): bool ``[*B, 1]``, under ``"next"``.
        """

        action: NestedKey = ("agents", "action")
        action_mask: NestedKey = ("agents", "action_mask")
        priority: NestedKey = ("agents", "td_error")
        priority_weight: NestedKey = "priority_weight"
        valid: NestedKey = ("collector", "mask")
        is_init: NestedKey = "is_init"
        initial_state: NestedKey = "initial_state"
        reward: NestedKey = "reward"
        done: NestedKey = "done"
        terminated: NestedKey = "terminated"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    default_value_estimator = ValueEstimators.TD0
    # Whether targets are made of collected rows, before batches are drawn from them
    targets_at_collection = False

    def __init__(
        self,
        *,
        state_network: TensorDictModule | None = None,
        action_space: str = "categorical",
        use_action_mask: bool = True,
        delay_value: bool = True,
        loss_function: str = "l2",
        sequential: bool = False,
    ) -> None:
        super().__init__()
        check_choice("action_space", action_space, ("categorical", "one-hot"))
        check_choice("loss_function", loss_function, ("l1", "l2", "smooth_l1"))
        self.state_network = state_network
        self.action_space = action_space
        self.use_action_mask = use_action_mask
        self.delay_value = delay_value
        self.loss_function = loss_function
        self.sequential = sequential

    @property
    def in_keys(self) -> list[NestedKey]:
        """Entries of the batch that the loss reads."""
        keys = self.tensor_keys
        observed = self._network_in_keys()
        if self.use_action_mask:
            observed.append(keys.action_mask)
        outcome = [keys.reward, keys.done, keys.terminated]
        following = [key for key in [*observed, *outcome] if key != keys.is_init]
        return [
            keys.action,
            *observed,
            *(unravel_key(("next", key)) for key in following),
        ]

    def make_value_estimator(
        self, value_type: ValueEstimators | None = None, **hyperparams: Any
    ) -> None:
        """Set how targets are made of rewards and next values.

        Args:
            value_type (ValueEstimators, optional): ``TD0``, one-step targets, or
                ``TDLambda``, which mixes targets of all lengths within an episode.
            **hyperparams: ``gamma`` (float), the discount factor, 0.99 by default; for
                ``TDLambda`` also ``lmbda`` (float), 0.95 by default.

        Raises:
            NotImplementedError: if ``value_type`` is another.
            ValueError: if it is ``TDLambda`` and batches are not ``sequential``.
        """
        value_type = value_type or self.default_value_estimator
        if value_type not in (ValueEstimators.TD0, ValueEstimators.TDLambda):
            raise NotImplementedError(
                f"{type(self).__name__} has no targets of type {value_type}: use "
                f"{ValueEstimators.TD0} or {ValueEstimators.TDLambda}."
            )
        hyperparams = {**default_value_kwargs(value_type), **hyperparams}
        if value_type is ValueEstimators.TD0:
            estimator = TD0Estimator(value_network=None, **hyperparams)
        elif self.sequential or self.targets_at_collection:
            # The vectorized estimator drops small powers of gamma * lmbda, and fails
            # where all are small.
            estimator = TDLambdaEstimator(
                value_network=None, vectorized=False, **hyperparams
            )
        else:
            raise ValueError(
                f"{value_type} with sequential=False is not allowed: transitions in "
                "any order have one-step targets only. Make the loss with "
                f"sequential=True, for rows of steps, or use {ValueEstimators.TD0}."
            )
        for name, value in list(estimator.named_buffers()):
            # A checkpoint must not bring back gamma or lambda: the config says them.
            estimator.register_buffer(name, value, persistent=False)
        self.value_type = value_type
        self._value_estimator = estimator
        self._forward_value_estimator_keys()

    def _forward_value_estimator_keys(self, **kwargs: Any) -> None:
        if self._value_estimator is not None:
            self._value_estimator.set_keys(
                reward=self.tensor_keys.reward,
                done=self.tensor_keys.done,
                terminated=self.tensor_keys.terminated,
            )

    @torch.no_grad()
    def hidden_states(
        self, tensordict: TensorDictBase, starts: Mapping[str, Tensor]
    ) -> tuple[dict[NestedKey, Tensor], dict[str, Tensor]]:
        """Hidden states of recurrent networks before and after rows.

        Args:
            tensordict (TensorDictBase): rows of steps ``[B, T]``.
            starts: states before, by network; zero where absent.

        Returns:
            tuple: states before each row ``[B, *hidden_shape]`` by the entry that the
            loss reads them from, and states after it by network. Both hold only
            networks with a ``hidden_state_name`` and a ``hidden_shape``.
        """
        before, after = {}, {}
        rows, steps = tensordict.shape
        observed = self._inputs(tensordict)
        for name, key in self._agent_networks().items():
            network = getattr(self, name)
            if key is None or not hasattr(network, "hidden_shape"):
                continue
            shape = (rows, *network.hidden_shape)
            start = starts.get(name)
            if start is None:
                start = torch.zeros(shape, device=tensordict.device)
            inputs = observed.select(*network.in_keys, strict=False)
            given = start.unsqueeze(1).expand(rows, steps, *shape[1:])
            inputs.set(network.hidden_state_name, given)
            result = self._run(name, inputs)
            end = unravel_key(("next", network.hidden_state_name))
            before[key], after[name] = start, result.get(end)[:, -1].clone()
        return before, after

    def _agent_networks(self) -> dict[str, NestedKey | None]:
        """Names of the networks that read observations agent by agent.

        With the entry that holds the hidden state at the start of each row, if any.
        """
        raise NotImplementedError

    def _joint_networks(self) -> list[str]:
        """Names of the networks that read what those and the state network write."""
        raise NotImplementedError

    def _network_in_keys(self) -> list[NestedKey]:
        """Entries of the batch that the networks read."""
        names = [*self._agent_networks(), *self._joint_networks()]
        networks = [getattr(self, name) for name in names]
        if self.state_network is not None:
            networks = [self.state_network, *networks]
        read = dict.fromkeys(key for net in networks for key in net.in_keys)
        left = self._computed_keys()
        return [key for key in read if key not in left and not _is_memory(key)]

    def _computed_keys(self) -> set[NestedKey]:
        """Entries that the loss computes between two networks."""
        return set() if self.state_network is None else set(self.state_network.out_keys)

    def _inputs(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A shallow copy with what the networks read and the mixers' state."""
        # Not strict: what lacks in "next" are the starts of episodes.
        inputs = tensordict.select(*self._network_in_keys(), strict=False)
        return inputs if self.state_network is None else self.state_network(inputs)

    def _passes(self, tensordict: TensorDictBase) -> TransitionPasses:
        """What runs the agents' networks on a batch; differentiable if grad is on."""
        names = self._agent_networks()
        read = dict.fromkeys(key for n in names for key in getattr(self, n).in_keys)
        is_init = self.tensor_keys.is_init
        current = self._inputs(tensordict)
        following = self._inputs(tensordict.get("next"))
        if not self.sequential:
            if is_init in read:
                raise ValueError(
                    f"sequential=False with networks that read {is_init!r} is not "
                    "allowed: recurrent networks need rows of steps."
                )
            return TransitionPasses(
                self._run, current, following, delayed=self.delay_value
            )
        if tensordict.ndim != 2:
            raise ValueError(
                f"A batch of shape {tuple(tensordict.shape)} is not allowed with "
                "sequential=True: it must be [rows, steps]."
            )
        return SequencePasses(
            self._run,
            current,
            following,
            keys=[key for key in read if not _is_memory(key)],
            ends=self._ends(tensordict),
            is_init_key=is_init,
            initial_states=self._initial_states(tensordict),
            delayed=self.delay_value,
        )

    def _initial_states(
        self, tensordict: TensorDictBase
    ) -> Mapping[str, tuple[NestedKey, Tensor]]:
        """For each network that does not start from zero, its entry and its state."""
        states = {}
        for name, key in self._agent_networks().items():
            packed = None if key is None else tensordict.get(key, None)
            if packed is not None:
                network = getattr(self, name)
                state = unpack_rows(packed, network.hidden_shape)
                states[name] = (network.hidden_state_name, state)
        return states

    def _ends(self, tensordict: TensorDictBase) -> Tensor:
        """Where rows ``[B, T]`` do not go on with what was observed last."""
        keys = self.tensor_keys
        return episode_ends(
            tensordict.get(unravel_key(("next", keys.done))),
            tensordict.get(keys.is_init, None),
            self._valid(tensordict),
        )

    @torch.no_grad()
    def _value_target(
        self,
        tensordict: TensorDictBase,
        next_value: Tensor,
        reward: Tensor | None = None,
    ) -> Tensor:
        """Regression target of rewards and next values ``[*B, 1]``.

        Or of next values ``[*B, n, 1]`` of each agent, with the team's rewards or
        rewards ``[*B, n, 1]`` of their own.
        """
        keys = self.tensor_keys
        if next_value.ndim > tensordict.ndim + 1:
            values = next_value.unbind(-2)
            rewards = [None] * len(values) if reward is None else reward.unbind(-2)
            pairs = zip(values, rewards, strict=True)
            each = [self._value_target(tensordict, v, r) for v, r in pairs]
            return torch.stack(each, dim=-2)
        read = (keys.reward, keys.done, keys.terminated)
        outcome = tensordict.select(*(unravel_key(("next", key)) for key in read))
        if reward is not None:
            outcome.set(unravel_key(("next", keys.reward)), reward)
        # Estimators multiply by 0, which leaves NaN where a value is not finite.
        terminated = outcome.get(unravel_key(("next", keys.terminated)))
        next_value = next_value.masked_fill(terminated, 0.0)
        if self.value_type is ValueEstimators.TDLambda:
            # Targets are cut at padding too.
            outcome.set(unravel_key(("next", keys.done)), self._ends(tensordict))
        return self.value_estimator.value_estimate(outcome, next_value=next_value)

    def _run(
        self, name: str, tensordict: TensorDictBase, target: bool = False
    ) -> TensorDictBase:
        """Run a network with its online or its target parameters."""
        network = getattr(self, name)
        prefix = "target_" if target else ""
        with getattr(self, f"{prefix}{name}_params").to_module(network):
            return network(tensordict)

    def _action_mask(
        self, tensordict: TensorDictBase, root: str | None = None
    ) -> Tensor | None:
        if not self.use_action_mask:
            return None
        key = self.tensor_keys.action_mask
        key = unravel_key((root, key) if root else key)
        mask = tensordict.get(key, None)
        if mask is None:
            raise KeyError(
                f"action_mask={key!r} is missing from the batch: the loss was made "
                "with use_action_mask=True, and an unmasked maximum would count "
                "actions that cannot be taken."
            )
        return mask

    def _valid(self, tensordict: TensorDictBase) -> Tensor | None:
        """Entries that are not padding, bool ``[*B, 1]``; all of them if None."""
        valid = tensordict.get(self.tensor_keys.valid, None)
        return None if valid is None else valid.unsqueeze(-1)

    def _write_priority(self, tensordict: TensorDictBase, error: Tensor) -> None:
        key = self.tensor_keys.priority
        parent = tensordict.get(key[:-1]) if isinstance(key, tuple) else tensordict
        if parent.ndim > tensordict.ndim:
            error = error.unsqueeze(-2).expand(*parent.shape, 1)
        tensordict.set(key, error)

    def _counts(
        self, tensordict: TensorDictBase, valid: Tensor | None
    ) -> Tensor | None:
        """How much each transition counts in a mean, ``[*B, 1]``; all alike if None."""
        importance = tensordict.get(self.tensor_keys.priority_weight, None)
        if importance is None:
            return valid
        importance = importance.unsqueeze(-1)
        return importance if valid is None else importance * valid

    def _distance(self, value: Tensor, target: Tensor) -> Tensor:
        return distance_loss(value, target, self.loss_function)


class ValueFactorizationLoss(TeamLoss):
    """Greedy joint actions of agents whose utilities are mixed into a joint value.

    Keyword Args:
        double_q (bool): whether the online utilities choose the next joint action,
            rather than their target copy.
        **kwargs: as :class:`TeamLoss`.

    Raises:
        ValueError: as the base class.
        KeyError: when called, if the batch lacks the action mask.
    """

    @dataclass
    class _AcceptedKeys(TeamLoss._AcceptedKeys):
        """Entries that the loss reads and writes besides those of its base.

        Attributes:
            action_value (NestedKey): utilities ``[*B, n, A]``.
            local_value (NestedKey): utilities of chosen actions ``[*B, n, 1]``.
            global_value (NestedKey): ``Q_tot``, ``[*B, 1]``.
        """

        action_value: NestedKey = ("agents", "action_value")
        local_value: NestedKey = ("agents", "chosen_action_value")
        global_value: NestedKey = "chosen_action_value"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys

    def __init__(self, *, double_q: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.double_q = double_q

    def _computed_keys(self) -> set[NestedKey]:
        return {*super()._computed_keys(), self.tensor_keys.local_value}

    def _greedy_next(
        self, tensordict: TensorDictBase, passes: TransitionPasses
    ) -> Tensor:
        """Index ``[*B, n]`` of the greedy joint action after each step."""
        mask = self._action_mask(tensordict, root="next")
        utilities = passes.after(
            "local_value_network",
            self.tensor_keys.action_value,
            target=not self.double_q,
        )
        return greedy_actions(utilities, mask)


def _is_memory(key: NestedKey) -> bool:
    """Whether an entry holds a hidden state, which replay leaves out."""
    return (key if isinstance(key, str) else key[-1]).startswith("_")
