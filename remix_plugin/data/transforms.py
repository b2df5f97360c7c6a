"""Replay-buffer transforms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import NestedKey, unravel_key
from torchrl.envs import DTypeCastTransform


def byte_storage(keys: Sequence[NestedKey]) -> DTypeCastTransform:
    """Keep float entries in one byte per element inside a replay buffer.

    Entries are cast to ``uint8`` when data enters the buffer and back to ``float32``
    when it is sampled, at the root and under ``"next"``. This is exact for whole
    numbers from 0 to 255, as in grids of zeros and ones, and for nothing else:
    fractions are cut off, and what lies outside wraps around.

    Args:
        keys (sequence of NestedKey): entries to store in bytes.

    Returns:
        DTypeCastTransform: for the ``transform`` of a replay buffer.
    """
    both = [unravel_key(key) for key in keys]
    both += [unravel_key(("next", key)) for key in keys]
    return DTypeCastTransform(
        dtype_in=torch.uint8,
        dtype_out=torch.float32,
        in_keys=both,
        in_keys_inv=both,
    )
