"""What ``suite.py`` shows."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from remix_plugin.suites.estimate import Rates, duration, first_guess
from remix_plugin.suites.folders import RunFolder, State
from remix_plugin.suites.progress import Progress

LAST_LINES = 5


class Display:
    """Shows progress: in place on a terminal, by lines now and then elsewhere."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._in_place = sys.stdout.isatty()
        self._looked = 0.0
        self._printed = time.monotonic()

    def tick(self) -> None:
        """Look every two seconds; print what has ended, and the rest if it is time."""
        now = time.monotonic()
        if now - self._looked < 2:
            return
        self._look()
        self._looked = time.monotonic()
        if self._in_place:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{self._progress.line()[:width]:{width}}", end="", flush=True)
        elif now - self._printed > 60:
            self._print(self._progress.line())
            self._printed = now

    def close(self) -> None:
        """Print what has ended last."""
        self._look()
        self._print(self._progress.line())

    def _look(self) -> None:
        for folder in self._progress.update():
            how = "finished" if folder.is_finished else "FAILED"
            line = self._progress.line().split(" | ")[0]
            self._print(f"{how} {folder.run.name} ({line})")

    def _print(self, line: str) -> None:
        if self._in_place:
            print("\r" + " " * (shutil.get_terminal_size().columns - 1), end="\r")
        clock = "" if self._in_place else f"{time.strftime('%H:%M:%S')} "
        print(f"{clock}{line}", flush=True)


def print_plan(folders: Sequence[RunFolder], rates: Rates, processes: int) -> None:
    """Print all runs and how long those take that are to be run."""
    states = {folder: folder.state() for folder in folders}
    to_do = [f.run for f, state in states.items() if state is not State.FINISHED]
    for folder, state in states.items():
        seconds = rates.seconds(folder.run) if folder.run in to_do else None
        about = f"  about {duration(seconds)}" if seconds is not None else ""
        print(f"{state.value:9} {folder.run.name}{about}")
    counts = Counter(states.values())
    parts = [f"{counts[state]} {state.value}" for state in State if counts[state]]
    print(f"{len(folders)} runs: {', '.join(parts)}")
    if not to_do:
        return
    total = rates.total(((run, 0) for run in to_do), processes)
    guess = first_guess(to_do, processes)
    if total is not None:
        print(
            f"estimate: {duration(total)} with {processes} at a time, by the "
            f"{rates.n_runs} finished runs in the results folder"
        )
    elif guess is not None:
        print(
            f"estimate: roughly {duration(guess)} with {processes} at a time, by what "
            "such runs took on one core each of another machine: none has finished in "
            "the results folder"
        )
    else:
        print("estimate: none before a run of known length has finished there")


def print_end(log: Path) -> None:
    """Print the last lines of a log, if there are any."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    for line in lines[-LAST_LINES:]:
        print(f"    {line}")
