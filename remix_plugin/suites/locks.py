"""Locks that the kernel releases once all their holders have died."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def acquire(path: Path) -> int | None:
    """Take a lock, without waiting.

    It is held by the file descriptor, and by those that child processes inherit: until
    each of them is closed, or its process dead.

    Args:
        path (Path): a file, made where there is none, and never removed: with it the
            lock would be another.

    Returns:
        int or None: the file descriptor, None if another holds the lock.

    Raises:
        OSError: if the file system knows no locks, as some of clusters.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError as error:
        os.close(lock)
        raise OSError(
            error.errno,
            f"{error.strerror}: the results folder must be on a file system with locks",
            str(path),
        ) from error
    return lock


def is_held(path: Path) -> bool:
    """Whether someone holds a lock now."""
    if not path.exists():
        return False
    lock = acquire(path)
    if lock is None:
        return True
    os.close(lock)
    return False
