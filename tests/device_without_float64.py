"""A device without float64, played by the CPU: Apple's mps refuses it like this."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("mps", 0)


class _Elsewhere(Tensor):
    """A tensor that says it is on the device; its value is ``here``."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> _Elsewhere:
        if here.dtype == torch.float64:
            raise TypeError(f"{DEVICE} has no float64")
        return Tensor._make_wrapper_subclass(
            cls, here.shape, strides=here.stride(), dtype=here.dtype, device=DEVICE
        )

    def __init__(self, here: Tensor) -> None:
        self.here = here

    # PyTorch would ask the device itself for these.
    def __getitem__(self, index: Any) -> Tensor:
        return _Elsewhere(self.here[index])

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __bool__(self) -> bool:
        return bool(self.cpu())

    def __int__(self) -> int:
        return int(self.cpu())

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any, **__: Any) -> Any:
        raise RuntimeError(f"{func} on a device that is not there")


class DeviceWithoutFloat64(TorchDispatchMode):
    """While it is entered, ``DEVICE`` is there, but for automatic differentiation.

    Refused are float64 there, and arithmetic with tensors of the CPU, unless they are
    scalars.

    Attributes:
        waits (int): how often the host has asked for values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        there = {id(x.here): x for x in tensors if isinstance(x, _Elsewhere)}
        is_copy = func is torch.ops.aten._to_copy.default
        if there and is_copy and kwargs.get("dtype") == torch.float64:
            raise TypeError(f"{DEVICE} has no float64 to copy")
        if there and any(x.ndim and not isinstance(x, _Elsewhere) for x in tensors):
            raise RuntimeError(f"{func} of tensors on two devices")
        device = kwargs.get("device")
        stays = there if device is None else device.type == DEVICE.type
        if device is not None:
            kwargs["device"] = torch.device("cpu")
        result = func(*tree_map(_here, args), **tree_map(_here, kwargs))
        if not stays:
            self.waits += bool(there)
            return result
        # What is changed in place remains the same tensor.
        return tree_map(lambda x: _there(x, there), result)


def _here(value: Any) -> Any:
    return value.here if isinstance(value, _Elsewhere) else value


def _there(value: Any, known: dict[int, _Elsewhere]) -> Any:
    if not isinstance(value, Tensor):
        return value
    return known[id(value)] if id(value) in known else _Elsewhere(value)
