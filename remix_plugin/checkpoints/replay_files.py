"""Replay buffers on disk: each row is written once, however many checkpoints need it.

A checkpoint writes the rows that have come since the one before to a file of their own,
and notes which files it needs. Files whose rows no kept checkpoint needs are removed.
Rows are numbered in the order in which they were written to the buffer.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from tensordict import TensorDict
from torchrl.data import ReplayBuffer

from remix_plugin.whole_files import write_whole

# Of compression: the fastest
LEVEL = 1


class ReplayFiles:
    """The rows of one replay buffer in files of a folder.

    Args:
        folder (Path): of the files alone; made when there is something to write.
        buffer (ReplayBuffer): over a storage of one dimension, which is written round
            robin, as BenchMARL's are.
    """

    def __init__(self, folder: Path, buffer: ReplayBuffer) -> None:
        self.folder = folder
        self.buffer = buffer
        # Rows in the buffer's past that its own count of writes leaves out.
        self._before = 0
        self._files: list[list[int]] = []

    @property
    def capacity(self) -> int:
        """Rows that the buffer holds when it is full."""
        return self.buffer.storage.max_size

    def save(self) -> dict[str, Any]:
        """Write the rows that are in no file yet.

        Returns:
            dict: what :meth:`load` needs besides the files, for a checkpoint; its
            ``first`` and ``end`` are the numbers of the rows that the buffer holds.

        Raises:
            OSError: if they cannot be written.
        """
        end = self._before + self.buffer.write_count
        first = end - len(self.buffer)
        start = max(first, self._files[-1][1] if self._files else 0)
        if start < end:
            self._write(start, end)
            self._files.append([start, end])
        self._files = [file for file in self._files if file[1] > first]
        return {
            "first": first,
            "end": end,
            "capacity": self.capacity,
            "files": [list(file) for file in self._files],
            "sampler": self.buffer.sampler.state_dict(),
            "writer": self.buffer.writer.state_dict(),
        }

    def load(self, state: dict[str, Any], folder: Path) -> None:
        """Fill the buffer, which is empty, from files.

        Args:
            state: what :meth:`save` has returned.
            folder (Path): with the files. Those of another folder than this one's own
                are written anew by the next :meth:`save`.

        Raises:
            ValueError: if the buffer has another size than the one that was saved.
            ValueError: if a file is damaged.
            FileNotFoundError: if a file is missing.
        """
        if state["capacity"] != self.capacity:
            raise ValueError(
                f"The replay buffer has room for {self.capacity} rows, that of the "
                f"checkpoint had {state['capacity']}: a run that goes on must keep the "
                "experiment's memory size, frames per batch and environments."
            )
        for start, end in state["files"]:
            rows = _read(folder / _name(start, end))
            number = torch.arange(max(start, state["first"]), end)
            slots = number % self.capacity
            self.buffer.storage.set(slots, rows[number - start])
        self.buffer.sampler.load_state_dict(state["sampler"])
        self.buffer.writer.load_state_dict(state["writer"])
        self._before = state["end"] - self.buffer.write_count
        is_own = folder.resolve() == self.folder.resolve()
        self._files = [list(file) for file in state["files"]] if is_own else []

    def remove_all_but(self, needed: Iterable[list[list[int]]]) -> None:
        """Remove files whose rows no checkpoint needs.

        Args:
            needed: the ``files`` of all checkpoints that are kept, see :meth:`save`.
        """
        names = {_name(start, end) for files in needed for start, end in files}
        for path in self.folder.glob("*"):
            if path.name not in names:
                path.unlink()

    def _write(self, start: int, end: int) -> None:
        slots = torch.arange(start, end) % self.capacity
        rows = self.buffer.storage.get(slots).to("cpu")
        self.folder.mkdir(parents=True, exist_ok=True)

        def write(file: BinaryIO) -> None:
            # Grids, masks and flags are mostly zeros: an eighth of them is left.
            with gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed:
                torch.save(rows.state_dict(), packed)

        write_whole(self.folder / _name(start, end), write)


def _name(start: int, end: int) -> str:
    """Of the file with rows from ``start`` up to ``end``."""
    return f"rows_{start}_{end}.pt.gz"


def _read(path: Path) -> TensorDict:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: it holds a part of the replay buffer, without which "
            "the run cannot go on from its checkpoint."
        )
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is damaged ({error}): it holds a part of the replay buffer, "
            "without which the run cannot go on from its checkpoint."
        ) from error
    file = io.BytesIO(content)
    state = torch.load(file, map_location="cpu", weights_only=True)
    return TensorDict().load_state_dict(state, strict=False)
