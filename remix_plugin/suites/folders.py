"""What the folder of a run tells about it, and the locks that it is held by."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from remix_plugin.checkpoints.checkpoint_files import checkpoints, has_replay
from remix_plugin.suites.plan import Run
from remix_plugin.suites.record import RECORD, read_record
from remix_plugin.whole_files import write_bytes


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


# The runner's own files of a results folder
OWN_FOLDER = ".suite"
FAILED = "failed.txt"
LOG = "log.txt"
OVERRIDES = "overrides.txt"
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

    def checkpoint(self) -> Path | None:
        """The checkpoint that the run can go on from exactly, None if there is none."""
        if self.begun_with() != self.run.overrides:
            return None
        found = last_checkpoint(self.path)
        return found if found is not None and has_replay(found) else None

    def begun_with(self) -> tuple[str, ...] | None:
        """The overrides of the run that was begun in the folder, None if none was."""
        path = self.path / OVERRIDES
        return tuple(path.read_text().splitlines()) if path.is_file() else None

    def prepare(self) -> None:
        """Make the folder ready for the run: anew, unless it goes on.

        BenchMARL names folders at random: what is left of a run that was cut off before
        its first checkpoint would count as another run.

        Raises:
            RuntimeError: if the run is finished.
        """
        if self.is_finished:
            raise RuntimeError(f"{self.path} holds a finished run: it must stay.")
        if self.checkpoint() is None and self.path.exists():
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / FAILED).unlink(missing_ok=True)
        lines = "".join(f"{override}\n" for override in self.run.overrides)
        write_bytes(self.path / OVERRIDES, lines.encode())
        started = f"{time.time()} {socket.gethostname()} {os.getpid()}\n"
        (self.path / STARTED).write_text(started)

    def mark_failed(self, exit_code: int) -> None:
        """Write down that the run has ended, but not well."""
        why = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
        (self.path / FAILED).write_text(f"{why}\n")


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in the folder of a suite's run, None before the first."""
    found = [path for run in folder.iterdir() for path in checkpoints(run)[-1:]]
    return found[0] if found else None


def run_folders(results: Path, runs: Iterable[Run]) -> list[RunFolder]:
    """The folders of runs below a results folder."""
    return [RunFolder(results.absolute(), run) for run in runs]


def refuse_other_runs(folders: Sequence[RunFolder]) -> None:
    """Check that what is finished, or has a checkpoint, is what is asked for.

    Raises:
        ValueError: if such a run had other overrides.
    """
    for folder in folders:
        record = read_record(folder.path)
        if record is not None:
            what, overrides = "a finished run", tuple(record["overrides"])
        elif (begun := folder.begun_with()) and last_checkpoint(folder.path):
            what, overrides = "checkpoints of a run", begun
        else:
            continue
        if overrides != folder.run.overrides:
            raise ValueError(
                f"{folder.path} holds {what} with overrides {' '.join(overrides)}, but "
                f"the suite asks for {' '.join(folder.run.overrides)}: give another "
                "results folder, or remove that one."
            )
