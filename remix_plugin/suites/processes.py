"""Processes that do not outlive the one that started them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
GRACE = 5.0
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def start(
    command: Sequence[str],
    log: Path,
    *,
    environment: dict[str, str] | None = None,
    lock: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process whose output goes to a file.

    It leads a process group of its own, so that a terminal's Ctrl-C does not reach it.
    On Linux it is killed when this thread ends, however it ends. Elsewhere it would go
    on, and so would its lock.

    Args:
        command (sequence of str): program and arguments.
        log (Path): gets its output and its errors, after what is in it.

    Keyword Args:
        environment (dict, optional): variables to set, besides those of this process.
        lock (int, optional): a lock's file descriptor, to be inherited.
    """
    parent = os.getpid()
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,
            preexec_fn=lambda: _die_with_parent(parent),
        )


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # It may have ended before.
        if os.getppid() != parent:
            os._exit(1)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and those it has started: kindly, then not."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    # Those it has started may live on, though it has ended.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
