"""Rows of consecutive steps as one sequence that holds every observation once.

Shapes: B rows, T steps of each, L the length of the longest sequence.
"""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor


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
