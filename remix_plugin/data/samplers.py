"""Replay-buffer samplers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchrl.data import Storage
from torchrl.data.replay_buffers import RandomSampler

from remix_plugin.precision import has_float64
from remix_plugin.validation import check_number


class RecentSampler(RandomSampler):
    """Draws part of each batch from the newest entries, the rest from all of them.

    The sampler's stand-in for ``d_pi / mu``, the density ratio of the current policy
    to the data (ReMIX, arXiv 2302.05593, Theorem 1): the newer the data, the closer to
    the current policy.

    Of a batch of ``batch_size``, ``recent_fraction * batch_size`` entries come from the
    newest ``recent_size`` entries, uniformly with replacement, and the others from the
    whole storage, the newest included. Where that number is not whole it is rounded up
    or down at random, so that it holds on average even for batches of a single
    sequence. With ``recent_size`` entries or fewer in the storage all of the batch is
    uniform. The newest entries are the slots written last, across the end of the ring
    buffer; entries are rows of the storage: transitions, or sequences.

    Without a recurrent model BenchMARL flattens a collected batch environment by
    environment, so slots within one collected batch are not in order of time: give
    ``recent_size`` in whole collected batches.

    Args:
        recent_fraction (float): share of each batch, from 0 to 1. With 0, sampling is
            exactly that of TorchRL's ``RandomSampler``.
        recent_size (int): entries that count as recent, at least 1.

    Keyword Args:
        marks (bool): whether batches have an entry ``"recent"``, bool, which tells
            those drawn as the newest, also where the storage holds none but these;
            none with a ``recent_fraction`` of 0.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range.
    """

    def __init__(
        self, recent_fraction: float, recent_size: int, *, marks: bool = False
    ) -> None:
        check_number("recent_fraction", recent_fraction, low=0, high=1)
        check_number("recent_size", recent_size, low=1, integer=True)
        self.recent_fraction = recent_fraction
        self.recent_size = recent_size
        self.marks = marks
        self._last_written = -1

    def add(self, index: int | Tensor) -> None:
        """Note the slot that the buffer has just written."""
        self._last_written = int(torch.as_tensor(index).flatten()[-1])

    def extend(self, index: Tensor) -> None:
        """Note the slots that the buffer has just written, in their order."""
        if len(index):
            self.add(index[-1])

    def sample(self, storage: Storage, batch_size: int) -> tuple[Tensor, dict]:
        """Indices of one batch.

        Raises:
            RuntimeError: if the storage is empty, or was written before the sampler
                was set, so that it cannot know what is newest.
            NotImplementedError: if the storage has more than one dimension.
        """
        index, info = super().sample(storage, batch_size)
        is_mixed = len(storage) > self.recent_size
        if self.recent_fraction > 0 and (is_mixed or self.marks):
            if storage.ndim > 1:
                raise NotImplementedError(
                    f"RecentSampler cannot draw from a storage of {storage.ndim} "
                    "dimensions: it must have one."
                )
            if self._last_written < 0:
                raise RuntimeError(
                    "RecentSampler has seen no data being written, but the storage "
                    f"holds {len(storage)} entries: set the sampler before the first "
                    "extend, or load its state."
                )
            draw = {"generator": self._rng, "device": index.device}
            age = torch.randint(self.recent_size, (batch_size,), **draw)
            dtype = torch.double if has_float64(index.device) else torch.float
            luck = torch.rand(1, dtype=dtype, **draw)
            share, whole = math.modf(self.recent_fraction * batch_size)
            # Apart, so that float32 has digits enough for the share.
            n_recent = whole + (share + luck).floor()
            is_recent = torch.arange(batch_size, device=index.device) < n_recent
            # Until the ring buffer is full no age reaches below slot 0; from then on
            # its length is its capacity.
            recent = (self._last_written - age) % len(storage)
            if is_mixed:
                index = torch.where(is_recent, recent, index)
            if self.marks:
                info["recent"] = is_recent
        return index, info

    def state_dict(self) -> dict[str, Any]:
        """All that sampling depends on besides the storage."""
        return {
            "recent_fraction": self.recent_fraction,
            "recent_size": self.recent_size,
            "last_written": self._last_written,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`, arguments of the constructor included."""
        self.recent_fraction = state_dict["recent_fraction"]
        self.recent_size = state_dict["recent_size"]
        self._last_written = state_dict["last_written"]

    def dumps(self, path: str | Path) -> None:
        """Write the state to a folder."""
        folder = Path(path)
        folder.mkdir(exist_ok=True)
        (folder / "recent_sampler.json").write_text(json.dumps(self.state_dict()))

    def loads(self, path: str | Path) -> None:
        """Continue from what :meth:`dumps` wrote."""
        text = (Path(path) / "recent_sampler.json").read_text()
        self.load_state_dict(json.loads(text))

    def _empty(self) -> None:
        self._last_written = -1

    def __repr__(self) -> str:
        """Name and arguments."""
        return (
            f"{type(self).__name__}(recent_fraction={self.recent_fraction}, "
            f"recent_size={self.recent_size})"
        )
