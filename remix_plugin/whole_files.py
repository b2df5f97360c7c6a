"""Files that are there whole or not at all, whenever their writer is killed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

# Ends the names of files that are not whole yet, or never became so.
PART = ".part"
# What a disk or a quota without space left is called
FULL = (errno.ENOSPC, errno.EDQUOT)


def part_of(path: Path) -> Path:
    """Where a file is written before it gets its name."""
    return path.with_name(path.name + PART)


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside its place, bring it to the disk, then give it its name.

    Args:
        path (Path): the file; one that is there already stays until it is replaced.
        write (callable): writes to the opened file.

    Raises:
        OSError: if it cannot be written, on a full disk for instance; nothing of it is
            left then.
    """
    part = part_of(path)
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        part.unlink(missing_ok=True)
        _explain(error, path)
        raise
    os.replace(part, path)
    _sync(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file of this content by :func:`write_whole`."""
    write_whole(path, lambda file: file.write(content))


def append_text(path: Path, text: str) -> None:
    """Add to the end of a file, line ends as they are.

    Raises:
        OSError: if it cannot be written, on a full disk for instance; part of the text
            may have been.
    """
    try:
        with path.open("a", newline="") as file:
            file.write(text)
    except OSError as error:
        _explain(error, path)
        raise


def _explain(error: BaseException, path: Path) -> None:
    """Raise what says where there was no space left, if that was it."""
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in FULL:
            message = f"{cause.strerror}: it could not be written; free some space"
            raise OSError(cause.errno, message, str(path)) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those it came of: torch's writer raises its own last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _sync(folder: Path) -> None:
    """Bring the names of a folder's files to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
