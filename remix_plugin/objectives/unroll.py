"""What networks say of the observations of a batch: now, and after the step.

Rows of consecutive steps become one sequence that holds every observation once, so that
recurrent networks value each with the memory of its history.

Shapes: ``*B`` any batch, B rows, T steps of each, L the length of the longest sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor

Run = Callable[[str, TensorDictBase, bool], TensorDictBase]


class TransitionPasses:
    """Networks on transitions in any order, ``[*B]``: a pass now and one after.

    Args:
        run: runs a network, by its name, on inputs, with target parameters or not.
        current (TensorDictBase): inputs at the observations acted upon.
        following (TensorDictBase): inputs at the observations that followed.

    Keyword Args:
        delayed (bool): whether target parameters differ from the online ones; if not,
            what the latter give is used for both.
    """

    def __init__(
        self,
        run: Run,
        current: TensorDictBase,
        following: TensorDictBase,
        *,
        delayed: bool = True,
    ) -> None:
        self._run = run
        self._delayed = delayed
        self._differentiable = torch.is_grad_enabled()
        self.current = current
        self.following = following
        self._outputs: dict[tuple[str, str, NestedKey, bool], Tensor] = {}

    def now(self, name: str, key: NestedKey, target: bool = False) -> Tensor:
        """Output of a network at the observations acted upon, ``[*B, ...]``.

        With a gradient unless targets are asked for.
        """
        output = self._once("now", name, key, target)
        return output.detach() if target else output

    def after(self, name: str, key: NestedKey, target: bool = False) -> Tensor:
        """The same at the observations that followed, without a gradient."""
        return self._once("after", name, key, target).detach()

    def _once(self, when: str, name: str, key: NestedKey, target: bool) -> Tensor:
        """Output of a network, made at the first call."""
        target = target and self._delayed
        if (when, name, key, target) not in self._outputs:
            learns = self._differentiable and not target and when != "after"
            # Whatever the mode in which it is asked for first.
            with torch.set_grad_enabled(learns):
                output = self._output(when, name, key, target)
            self._outputs[when, name, key, target] = output
        return self._outputs[when, name, key, target]

    def _output(self, when: str, name: str, key: NestedKey, target: bool) -> Tensor:
        inputs = self.current if when == "now" else self.following
        return self._run(name, inputs, target).get(key)


class SequencePasses(TransitionPasses):
    """Networks on rows of consecutive steps ``[B, T]``: one unroll for both.

    Recurrent networks thus value each observation with the memory of its history,
    and no network, recurrent or not, sees an observation twice.

    Args:
        run: as :class:`TransitionPasses`.
        current (TensorDictBase): inputs at the observations acted upon.
        following (TensorDictBase): inputs at the observations that followed.

    Keyword Args:
        keys: entries that the networks read, in both.
        ends (Tensor): where memory is cut, bool ``[B, T, 1]``.
        is_init_key (NestedKey): entry that resets the memory of networks.
        initial_states: for networks that do not start from zero, the entry that they
            read their memory from and its value ``[B, ...]`` at the start of each row.
        delayed (bool): as :class:`TransitionPasses`.
    """

    def __init__(
        self,
        run: Run,
        current: TensorDictBase,
        following: TensorDictBase,
        *,
        keys: list[NestedKey],
        ends: Tensor,
        is_init_key: NestedKey,
        initial_states: Mapping[str, tuple[NestedKey, Tensor]],
        delayed: bool = True,
    ) -> None:
        super().__init__(run, current, following, delayed=delayed)
        now, after = current.select(*keys), following.select(*keys, strict=False)
        if is_init_key in keys:
            # What follows a step belongs to its episode.
            after.set(is_init_key, torch.zeros_like(now.get(is_init_key)))
        self._sequence, self._position = interleave(now, after, ends)
        self._initial_states = initial_states

    def now(self, name: str, key: NestedKey, target: bool = False) -> Tensor:
        """Output of a network at the observations acted upon, ``[B, T, ...]``."""
        output = take_steps(self._once("both", name, key, target), self._position)
        return output.detach() if target else output

    def after(self, name: str, key: NestedKey, target: bool = False) -> Tensor:
        """The same at the observations that followed, without a gradient."""
        unrolled = self._once("both", name, key, target).detach()
        return take_steps(unrolled, self._position + 1)

    def _output(self, when: str, name: str, key: NestedKey, target: bool) -> Tensor:
        inputs = self._sequence.copy()
        if name in self._initial_states:
            state_key, state = self._initial_states[name]
            shape = (-1, inputs.shape[1], *state.shape[1:])
            inputs.set(state_key, state.unsqueeze(1).expand(shape))
        return self._run(name, inputs, target).get(key)


def episode_ends(
    done: Tensor, is_init: Tensor | None = None, valid: Tensor | None = None
) -> Tensor:
    """Steps after which a row does not go on with what it observed last.

    Args:
        done (Tensor): ends of episodes, bool ``[B, T, 1]``.
        is_init (Tensor, optional): starts of episodes, bool ``[B, T, 1]``.
        valid (Tensor, optional): false for padding, bool ``[B, T, 1]``.

    Returns:
        Tensor: bool ``[B, T, 1]``; the last step of a row ends only if it is done.
    """
    ends = done.clone()
    if is_init is not None:
        ends[:, :-1] |= is_init[:, 1:]
    if valid is not None:
        ends[:, :-1] |= ~valid[:, 1:]
    return ends


def interleave(
    current: TensorDictBase, following: TensorDictBase, ends: Tensor
) -> tuple[TensorDictBase, Tensor]:
    """Put the last observation of each episode, and of each row, into its place.

    Within an episode what follows a step is the next step's observation, so a sequence
    holds it already. Unrolled over the sequence, a network gives the value of each
    observation with the memory of just the history that leads to it: at ``position``
    for the observation acted upon, at ``position + 1`` for the one that followed.

    The longest row decides about the length, which the host has to know: one
    synchronization on a GPU.

    Args:
        current (TensorDictBase): observations acted upon, ``[B, T]``.
        following (TensorDictBase): observations that followed, the same entries.
        ends (Tensor): bool ``[B, T, 1]``, see :func:`episode_ends`.

    Returns:
        tuple: the sequence ``[B, L]``, where ``L`` is ``T + 1`` plus the most ends
        before the last step of any row, with zeros after shorter rows; and
        ``position`` ``[B, T]``.
    """
    rows, steps = current.batch_size
    ends = ends.squeeze(-1).long()
    position = torch.arange(steps, device=ends.device) + ends.cumsum(1) - ends
    length = int(position[:, -1].max()) + 2
    row = torch.arange(rows, device=ends.device).unsqueeze(1)

    def place(now: Tensor, after: Tensor) -> Tensor:
        sequence = now.new_zeros(rows, length, *now.shape[2:])
        # Overwritten below unless an episode or the row ends there.
        sequence[row, position + 1] = after
        sequence[row, position] = now
        return sequence

    return current.apply(place, following, batch_size=[rows, length]), position


def take_steps(sequence: Tensor, position: Tensor) -> Tensor:
    """Entries ``[B, T, *]`` of ``[B, L, *]`` at positions ``[B, T]``."""
    row = torch.arange(len(position), device=position.device).unsqueeze(1)
    return sequence[row, position]


def pack_rows(entry: Tensor, steps: int) -> Tensor:
    """Spread an entry of each row ``[B, *]`` over its steps, ``[B, T, F]``.

    Replay stores steps: repeating a hidden state at each of them would take more memory
    than observations do. F is the smallest width that holds the entry; the rest is 0.
    """
    flat = entry.flatten(1)
    width = -(-flat.shape[1] // steps)
    packed = flat.new_zeros(len(flat), steps * width)
    packed[:, : flat.shape[1]] = flat
    return packed.view(-1, steps, width)


def unpack_rows(packed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The entry ``[B, *shape]`` of each row, from what :func:`pack_rows` made of it."""
    size = torch.Size(shape).numel()
    return packed.flatten(1)[:, :size].reshape(-1, *shape)
