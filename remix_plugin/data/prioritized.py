"""Prioritized replay that runs beside every PyTorch that TorchRL admits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchrl.data import PrioritizedSampler as TorchrlPrioritizedSampler


class PrioritizedSampler(TorchrlPrioritizedSampler):
    """TorchRL's prioritized sampler on tensors instead of its compiled trees.

    TorchRL keeps priorities in trees of its C++ extension, which loads only beside the
    PyTorch that it was compiled for: torchrl 0.11.1 beside torch 2.13 has none, and its
    sampler cannot be made. Here a priority is an entry of a tensor, and a draw costs a
    cumulative sum over all of them: a few milliseconds for a million entries. TorchRL
    still warns of the missing extension when one is made; that does not concern this
    class.

    The state dict holds tensors and numbers alone, so that ``torch.load`` accepts it.

    Args:
        max_capacity (int): capacity of the buffer.
        alpha (float): exponent of the priorities; 0 is uniform.
        beta (float): exponent of the importance weights.
        **kwargs: as TorchRL's.
    """

    def _init(self) -> None:
        self._sum_tree = _Priorities(self._max_capacity, torch.sum)
        self._min_tree = _Priorities(self._max_capacity, torch.min)
        self._max_priority: Any = None

    def state_dict(self) -> dict[str, Any]:
        """All that sampling depends on besides the storage."""
        highest, index = self._max_priority
        return {
            "alpha": self._alpha,
            "beta": self._beta,
            "eps": self._eps,
            "max_priority": None if highest is None else (float(highest), int(index)),
            # As bits: a checkpoint may be mapped onto a device without float64.
            "priorities": self._sum_tree.values.clone().view(torch.int64),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`, on whatever device its tensors are."""
        self._alpha = state_dict["alpha"]
        self._beta = state_dict["beta"]
        self._eps = state_dict["eps"]
        self._max_priority = None
        if state_dict["max_priority"] is not None:
            highest, index = state_dict["max_priority"]
            # A tensor again: new entries get a power of it, in its precision.
            self._max_priority = (torch.tensor(highest, device="cpu"), index)
        kept = state_dict["priorities"].cpu()
        values = kept.view(torch.double) if kept.dtype == torch.int64 else kept.double()
        self._sum_tree.values = values.clone()
        self._min_tree.values = values.clone()


class _Priorities:
    """A tensor behind the interface of TorchRL's segment trees, on the CPU as they."""

    def __init__(self, size: int, reduce: Callable[[Tensor], Tensor]) -> None:
        self.values = torch.zeros(size, dtype=torch.double, device="cpu")
        self._reduce = reduce

    def __setitem__(self, index: Tensor | int, value: Tensor | float) -> None:
        priority = torch.as_tensor(value, dtype=torch.double, device="cpu")
        # Nothing can be drawn beside a priority that is infinite or not a number. Where
        # it is not one, losses are none either, for which a run stops.
        largest = torch.finfo(torch.float).max
        self.values[index] = priority.nan_to_num(nan=1.0, posinf=largest)

    def __getitem__(self, index: Tensor | int) -> Tensor:
        return self.values[index].float()

    def query(self, start: int, end: int) -> float:
        """Sum, or smallest, of the entries from ``start`` up to ``end``."""
        return float(self._reduce(self.values[start:end]))

    def scan_lower_bound(self, mass: Tensor | np.ndarray) -> Tensor:
        """First entry at which the running sum reaches each ``mass``."""
        mass = torch.as_tensor(mass, dtype=torch.double, device="cpu")
        return torch.searchsorted(self.values.cumsum(0), mass)
