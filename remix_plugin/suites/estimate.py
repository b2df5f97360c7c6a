"""How long runs take, by those that have ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from remix_plugin.suites.plan import Run, frames_of
from remix_plugin.suites.record import RECORD, read_record

# What runs took on two cores of an AMD EPYC, one each: frames per second of a typical
# algorithm (docs/RESULTS.md and, of SMAX, the README), and seconds to start
FRAMES_PER_SECOND = {"predator_prey": 1_400, "smax": 700}
START_SECONDS = 10


class RunTimeEstimate:
    """Seconds that a frame has taken in finished runs, by environment and label.

    Args:
        results (Path): a results folder; all finished runs in it count.
    """

    def __init__(self, results: Path) -> None:
        self._seconds: dict[tuple[str, str], float] = defaultdict(float)
        self._frames: dict[tuple[str, str], int] = defaultdict(int)
        self.n_runs = 0
        for path in results.glob(f"*/*/*/*/{RECORD}"):
            self.add(path.parent)

    def add(self, folder: Path) -> None:
        """Take a finished run into account."""
        record = read_record(folder)
        frames = frames_of(record["overrides"]) if record else None
        if record is None or not frames:
            return
        self.n_runs += 1
        environment = folder.parents[1].name.split("-")[0]
        kind = environment, folder.parent.name
        self._seconds[kind] += record["seconds"]
        self._frames[kind] += frames

    def seconds(self, run: Run, frames_done: int = 0) -> float | None:
        """Seconds for the rest of a run, by runs of its label if any, else by others.

        None if there are none in its environment, or it leaves its frames to a config.
        """
        environment = run.task.split("/")[0]
        kinds = [kind for kind in self._frames if kind[0] == environment]
        if not kinds or run.frames is None:
            return None
        own = environment, run.label
        kinds = [own] if own in kinds else kinds
        seconds = sum(self._seconds[kind] for kind in kinds)
        frames = sum(self._frames[kind] for kind in kinds)
        return seconds / frames * max(0, run.frames - frames_done)

    def total(
        self, rest: Iterable[tuple[Run, int]], processes: int = 1
    ) -> float | None:
        """Seconds for the rest of several runs, given with their frames so far."""
        total = 0.0
        longest = 0.0
        for run, frames_done in rest:
            seconds = self.seconds(run, frames_done)
            if seconds is None:
                return None
            total += seconds
            longest = max(longest, seconds)
        return max(total / processes, longest)


def first_guess(runs: Sequence[Run], processes: int) -> float | None:
    """Seconds for runs from their start, by what such runs took on another machine.

    None if it is not known of an environment, or a run leaves its frames to a config.
    """
    seconds = []
    for run in runs:
        rate = FRAMES_PER_SECOND.get(run.task.split("/")[0])
        if rate is None or run.frames is None:
            return None
        seconds.append(START_SECONDS + run.frames / rate)
    return max(sum(seconds) / processes, *seconds)


def duration(seconds: float) -> str:
    """A length of time, as ``"1 h 05 min"`` or ``"42 s"``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
