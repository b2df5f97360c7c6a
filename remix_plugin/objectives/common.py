"""What the losses of value factorisation share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensordict import NestedKey, TensorDictBase, unravel_key
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.objectives import LossModule, ValueEstimators, distance_loss
from torchrl.objectives.utils import default_value_kwargs
from torchrl.objectives.value import TD0Estimator

from remix_plugin.validation import check_choice


class ValueFactorisationLoss(LossModule):
    """Keys, inputs, masks, targets and priorities of a factorised joint value.

    A subclass holds networks by ``convert_to_functional``, names them in
    :meth:`_networks_in_use` and implements ``forward``.

    Prioritised replay: the squared TD error is written as priority, and means over a
    batch are weighted with the importance weights of the sampler, normalised by their
    sum, as in TorchRL's ``DQNLoss``.

    With a recurrent model the values of next states are unrolled over ``"next"`` from
    a zero state at the start of each row and episode: they lack the memory of the very
    first observation, an error that fades as the episode goes on.

    Keyword Args:
        state_network (TensorDictModule, optional): run on a batch and on its
            ``"next"`` before the mixers, to write the state that they read.
        action_space (str): ``"categorical"`` for indices, or ``"one-hot"``.
        use_action_mask (bool): whether the batch holds a mask of available actions.
        delay_value (bool): whether target networks are copies, to be updated by a
            ``TargetNetUpdater``, rather than the online networks.
        loss_function (str): ``"l2"``, ``"l1"`` or ``"smooth_l1"``.

    Raises:
        ValueError: if ``action_space`` or ``loss_function`` is unknown.
        KeyError: when called, if the batch lacks the action mask.
    """

    @dataclass
    class _AcceptedKeys:
        """Entries that the loss reads and writes, settable by ``set_keys``.

        Attributes:
            action (NestedKey): actions taken, ``[*B, n]`` or one-hot ``[*B, n, A]``.
            action_mask (NestedKey): available actions, bool ``[*B, n, A]``, at the
                root and under ``"next"``; not read without ``use_action_mask``.
            action_value (NestedKey): utilities ``[*B, n, A]``.
            local_value (NestedKey): utilities of chosen actions ``[*B, n, 1]``.
            global_value (NestedKey): ``Q_tot``, ``[*B, 1]``.
            priority (NestedKey): squared TD error of ``Q_tot``, written,
                ``[*B, 1]``, or ``[*B, n, 1]`` where the entry above it has agents.
            priority_weight (NestedKey): importance weights of prioritised replay.
            valid (NestedKey): false for padding, which must be finite, bool
                ``[*B]``; all count where absent. TorchRL's ``split_trajectories``
                writes it.
            is_init (NestedKey): starts of episodes, for recurrent models.
            reward (NestedKey): team reward ``[*B, 1]``, under ``"next"``.
            done (NestedKey): bool ``[*B, 1]``, under ``"next"``.
            terminated (NestedKey): bool ``[*B, 1]``, under ``"next"``.
        """

        action: NestedKey = ("agents", "action")
        action_mask: NestedKey = ("agents", "action_mask")
        action_value: NestedKey = ("agents", "action_value")
        local_value: NestedKey = ("agents", "chosen_action_value")
        global_value: NestedKey = "chosen_action_value"
        priority: NestedKey = ("agents", "td_error")
        priority_weight: NestedKey = "priority_weight"
        valid: NestedKey = ("collector", "mask")
        is_init: NestedKey = "is_init"
        reward: NestedKey = "reward"
        done: NestedKey = "done"
        terminated: NestedKey = "terminated"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    default_value_estimator = ValueEstimators.TD0

    def __init__(
        self,
        *,
        state_network: TensorDictModule | None,
        action_space: str,
        use_action_mask: bool,
        delay_value: bool,
        loss_function: str,
    ) -> None:
        super().__init__()
        check_choice("action_space", action_space, ("categorical", "one-hot"))
        check_choice("loss_function", loss_function, ("l1", "l2", "smooth_l1"))
        self.state_network = state_network
        self.action_space = action_space
        self.use_action_mask = use_action_mask
        self.delay_value = delay_value
        self.loss_function = loss_function

    @property
    def in_keys(self) -> list[NestedKey]:
        """Entries of the batch that the loss reads."""
        keys = self.tensor_keys
        observed = self._network_in_keys()
        if self.use_action_mask:
            observed.append(keys.action_mask)
        outcome = [keys.reward, keys.done, keys.terminated]
        return [
            keys.action,
            *observed,
            *(unravel_key(("next", key)) for key in [*observed, *outcome]),
        ]

    def make_value_estimator(
        self, value_type: ValueEstimators | None = None, **hyperparams: Any
    ) -> None:
        """Set how targets are made of rewards and next values.

        Args:
            value_type (ValueEstimators, optional): ``TD0``, one-step targets.
            **hyperparams: ``gamma`` (float), the discount factor, 0.99 by default.

        Raises:
            NotImplementedError: if ``value_type`` is another.
        """
        value_type = value_type or self.default_value_estimator
        if value_type is not ValueEstimators.TD0:
            raise NotImplementedError(
                f"{type(self).__name__} has no targets of type {value_type}: use "
                f"{ValueEstimators.TD0}."
            )
        self.value_type = value_type
        hyperparams = {**default_value_kwargs(value_type), **hyperparams}
        self._value_estimator = TD0Estimator(value_network=None, **hyperparams)
        self._forward_value_estimator_keys()

    def _forward_value_estimator_keys(self, **kwargs: Any) -> None:
        if self._value_estimator is not None:
            self._value_estimator.set_keys(
                reward=self.tensor_keys.reward,
                done=self.tensor_keys.done,
                terminated=self.tensor_keys.terminated,
            )

    def _networks_in_use(self) -> list[TensorDictModule]:
        """Networks that read the batch, in the order in which they run."""
        raise NotImplementedError

    def _network_in_keys(self) -> list[NestedKey]:
        """Entries of the batch that the networks read, hidden states included."""
        networks = self._networks_in_use()
        if self.state_network is not None:
            networks = [self.state_network, *networks]
        read = dict.fromkeys(key for net in networks for key in net.in_keys)
        return [key for key in read if key not in self._computed_keys()]

    def _computed_keys(self) -> set[NestedKey]:
        """Entries that the loss computes between two networks."""
        state = [] if self.state_network is None else self.state_network.out_keys
        return {self.tensor_keys.local_value, *state}

    def _inputs(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A shallow copy with what the networks read and the mixers' state."""
        # Not strict: hidden states are left out of replay, models then start from 0.
        inputs = tensordict.select(*self._network_in_keys(), strict=False)
        return inputs if self.state_network is None else self.state_network(inputs)

    def _next_inputs(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The same of what follows each step."""
        following = tensordict.get("next")
        is_init = tensordict.get(self.tensor_keys.is_init, None)
        if is_init is not None:
            # Under "next" it is False throughout: memory would cross episodes.
            following = following.copy().set(self.tensor_keys.is_init, is_init)
        return self._inputs(following)

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
