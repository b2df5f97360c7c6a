"""What networks say of the observations of a batch: now, and after the step.

Shapes: ``*B`` any batch, B rows, T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor

from remix_plugin.objectives.sequences import interleave, take_steps

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
