"""How far the runs of a suite have come, seen from their folders alone."""

from __future__ import annotations

import time
from collections.abc import Sequence

from remix_plugin.suites.estimate import Rates, duration
from remix_plugin.suites.folders import RunFolder

SHOWN = 3


class Progress:
    """Follows runs that are being run, by whichever processes.

    Args:
        folders (sequence of RunFolder): of the runs that are to be run.
        rates (Rates): of runs finished before; those that finish are added.
        processes (int): runs at a time.
    """

    def __init__(
        self, folders: Sequence[RunFolder], rates: Rates, processes: int
    ) -> None:
        self._rates = rates
        self._processes = processes
        self._n_runs = len(folders)
        # With their last start before now, whose traces do not count.
        self._open = {folder: folder.started for folder in folders}
        self._running: dict[RunFolder, int | None] = {}
        self._n_shared = _n_shared([folder.run.name for folder in folders])
        self.finished: list[RunFolder] = []
        self.failed: list[RunFolder] = []

    def update(self) -> list[RunFolder]:
        """Look at all folders; those of runs that have ended since the last look."""
        ended = []
        self._running = {}
        for folder, before in list(self._open.items()):
            # None while the folder is made anew, with the last attempt's files in it.
            is_begun = folder.started not in (None, before)
            if folder.is_finished:
                self.finished.append(folder)
                self._rates.add(folder.path)
            elif is_begun and folder.is_failed:
                self.failed.append(folder)
            else:
                if is_begun:
                    self._running[folder] = folder.frames()
                continue
            ended.append(folder)
            del self._open[folder]
        return ended

    def line(self) -> str:
        """Runs that have ended, time left, and frames of those that run."""
        parts = [f"{self._n_runs - len(self._open)}/{self._n_runs} runs"]
        if self.failed:
            parts[0] += f", {len(self.failed)} failed"
        left = self._seconds_left()
        if left is not None and self._open:
            parts.append(f"{duration(left)} left")
        running = [
            f"{'/'.join(folder.run.name.split('/')[self._n_shared :])} "
            f"{_share(folder, frames)}"
            for folder, frames in self._running.items()
        ]
        more = len(running) - SHOWN
        parts += running[:SHOWN] + ([f"{more} more"] if more > 0 else [])
        return " | ".join(parts)

    def _seconds_left(self) -> float | None:
        rest = [(folder.run, self._running.get(folder) or 0) for folder in self._open]
        processes = max(self._processes, len(self._running))
        left = self._rates.total(rest, processes)
        if left is not None:
            return left
        # Nothing has finished yet: by the frames of those that run.
        seconds, frames = 0.0, 0
        for folder, frames_done in self._running.items():
            if frames_done and folder.started:
                seconds += time.time() - float(folder.started.split()[0])
                frames += frames_done
        to_do = [(run.frames, done) for run, done in rest]
        if not frames or any(total is None for total, _ in to_do):
            return None
        frames_left = sum((total or 0) - done for total, done in to_do)
        return seconds / frames * frames_left / processes


def _n_shared(names: Sequence[str]) -> int:
    """How many of block and task all runs have in common, which need not be shown."""
    n_shared = 0
    for parts in list(zip(*(name.split("/") for name in names), strict=True))[:2]:
        if len(set(parts)) > 1:
            break
        n_shared += 1
    return n_shared


def _share(folder: RunFolder, frames: int | None) -> str:
    total = folder.run.frames
    so_far = "starting" if frames is None else f"{frames:,}"
    return so_far if total is None or frames is None else f"{so_far}/{total:,}"
