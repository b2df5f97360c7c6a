"""Runs of a suite as processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from remix_plugin.suites.folders import RunFolder
from remix_plugin.suites.locks import acquire
from remix_plugin.suites.overrides import quoted
from remix_plugin.suites.processes import start, stop

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
