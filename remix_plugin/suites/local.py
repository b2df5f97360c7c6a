"""Runs of a suite as processes of this machine, which do not outlive their runner."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from remix_plugin.suites.folders import RunFolder, acquire
from remix_plugin.suites.plan import quoted

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


RUN_COMMAND = (sys.executable, "-m", "remix_plugin.suites.run")
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class _Started:
    folder: RunFolder
    lock: int
    process: subprocess.Popen[bytes]


def run_locally(
    folders: Sequence[RunFolder],
    *,
    processes: int,
    threads: int,
    command: Sequence[str] = RUN_COMMAND,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Run what is not finished, in order, and wait until all have ended.

    A run that another process is running, one that has outlived its runner for
    instance, is waited for: its lock is passed on to its process. Whether a run has
    ended well is seen from its folder.

    Args:
        folders (sequence of RunFolder): of the runs.

    Keyword Args:
        processes (int): runs at a time.
        threads (int): threads of torch in each.
        command (sequence of str): what runs one, given its overrides and its folder.
        tick (callable): called many times a second.
    """
    waiting = list(folders)
    started: list[_Started] = []
    try:
        while waiting or started:
            for one in [one for one in started if one.process.poll() is not None]:
                started.remove(one)
                _end(one)
            for folder in list(waiting):
                if len(started) >= processes:
                    break
                if (lock := acquire(folder.lock)) is None:
                    continue
                waiting.remove(folder)
                if folder.is_finished:
                    os.close(lock)
                    continue
                started.append(_start(folder, lock, threads, command))
            tick()
            time.sleep(POLL_SECONDS)
    finally:
        # Their folders say by themselves that they were cut off.
        for one in started:
            stop(one.process)
            os.close(one.lock)


def _start(
    folder: RunFolder, lock: int, threads: int, command: Sequence[str]
) -> _Started:
    folder.prepare()
    number = str(threads)
    place = f"hydra.run.dir={quoted(folder.path)}"
    arguments = [*command, *folder.run.overrides, place]
    environment = {"OMP_NUM_THREADS": number, "MKL_NUM_THREADS": number}
    process = start(arguments, folder.log, environment=environment, lock=lock)
    return _Started(folder, lock, process)


def _end(one: _Started) -> None:
    """Note a failure before others may take the run up."""
    if not one.folder.is_finished:
        one.folder.mark_failed(one.process.returncode)
    os.close(one.lock)
