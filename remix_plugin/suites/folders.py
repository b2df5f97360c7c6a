"""What the folder of a run tells about it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from remix_plugin.suites.locks import is_held
from remix_plugin.suites.plan import Run
from remix_plugin.suites.record import RECORD, read_record

# The runner's own files of a results folder
OWN_FOLDER = ".suite"
FAILED = "failed.txt"
LOG = "log.txt"
STARTED = "started.txt"
FRAMES_FILES = "*/*/scalars/counters_total_frames.csv"


class State(Enum):
    """How far a run has come."""

    FINISHED = "finished"
    RUNNING = "running"
    FAILED = "failed"
    CUT_OFF = "cut off"
    TO_DO = "to do"


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, whether it is there yet or not.

    Attributes:
        results (Path): the results folder, absolute.
        run (Run): the run.
    """

    results: Path
    run: Run

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.results / self.run.name

    @property
    def log(self) -> Path:
        """All that the run has printed."""
        return self.path / LOG

    @property
    def lock(self) -> Path:
        """Held while the run is being run, outside of its folder, which is removed."""
        return self.results / OWN_FOLDER / "locks" / quote(self.run.name, safe="")

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended well."""
        return (self.path / RECORD).is_file()

    @property
    def is_failed(self) -> bool:
        """Whether the run has ended, but not well."""
        return (self.path / FAILED).is_file() and not self.is_finished

    @property
    def started(self) -> str | None:
        """When, where and by which process it was started last, if ever."""
        path = self.path / STARTED
        try:
            return path.read_text() or None
        except FileNotFoundError:
            return None

    def state(self) -> State:
        """How far the run has come."""
        if self.is_finished:
            return State.FINISHED
        if is_held(self.lock):
            return State.RUNNING
        if self.is_failed:
            return State.FAILED
        return State.CUT_OFF if self.path.exists() else State.TO_DO

    def frames(self) -> int | None:
        """Frames so far, by BenchMARL's csv logger; None where that tells nothing.

        Another process may be removing the folder at this moment.
        """
        with contextlib.suppress(FileNotFoundError):
            for path in self.path.glob(FRAMES_FILES):
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - 200))
                    # The last line may be half written.
                    lines = file.read().split(b"\n")[:-1]
                if lines:
                    return int(float(lines[-1].split(b",")[-1]))
        return None

    def renew(self) -> None:
        """Make the folder anew, without what a run that was cut off has left.

        BenchMARL names folders at random: what is left would count as another run.

        Raises:
            RuntimeError: if the run is finished.
        """
        if self.is_finished:
            raise RuntimeError(f"{self.path} holds a finished run: it must stay.")
        if self.path.exists():
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True)
        started = f"{time.time()} {socket.gethostname()} {os.getpid()}\n"
        (self.path / STARTED).write_text(started)

    def mark_failed(self, exit_code: int) -> None:
        """Write down that the run has ended, but not well."""
        why = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
        (self.path / FAILED).write_text(f"{why}\n")


def run_folders(results: Path, runs: Iterable[Run]) -> list[RunFolder]:
    """The folders of runs below a results folder."""
    return [RunFolder(results.absolute(), run) for run in runs]


def refuse_other_runs(folders: Sequence[RunFolder]) -> None:
    """Check that what is finished is what is asked for.

    Raises:
        ValueError: if a finished run had other overrides.
    """
    for folder in folders:
        record = read_record(folder.path)
        if record is None or tuple(record["overrides"]) == folder.run.overrides:
            continue
        raise ValueError(
            f"{folder.path} holds a finished run with overrides "
            f"{' '.join(record['overrides'])}, but the suite asks for "
            f"{' '.join(folder.run.overrides)}: give another results folder, or "
            "remove that one."
        )
