"""Float64, which not every device has: Apple's mps refuses it."""

from __future__ import annotations

import torch
from torch import Tensor

# Of any other device nothing is assumed.
DEVICES_WITH_FLOAT64 = ("cpu", "cuda", "meta")


def has_float64(device: torch.device) -> bool:
    """Whether float64 may be used on a device."""
    return device.type in DEVICES_WITH_FLOAT64


def to_float64(tensor: Tensor) -> Tensor:
    """``tensor`` in float64, on its device, or on the CPU if its device has none.

    The latter waits for the device; numbers are the same everywhere.
    """
    return (tensor if has_float64(tensor.device) else tensor.cpu()).double()
