"""What BenchMARL's csv logger leaves of a run, which must agree with its json."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from remix_plugin.damaged import (
    DamagedFileError,
    parse_count,
    parse_number,
    read_rows,
    read_text,
    require,
    shown,
)
from remix_plugin.results.benchmarl_json import JsonRun

# Somewhere below the folder of the json
SETTINGS_FILE = "texts/hparams0.txt"
FRAMES_FILE = "scalars/counters_total_frames.csv"
TOTAL_TIME_FILE = "scalars/timers_total_time.csv"
ITERATION_TIME_FILE = "timers_iteration_time.csv"
INTERVAL = r"^experiment_config: .*'evaluation_interval': ([1-9][0-9]{0,18})\b"
# Number of the iteration, and a value
Scalars = list[tuple[int, float]]


def logged_file(folder: Path, name: str) -> Path | None:
    """What the csv logger has written of the run in a folder, if it did."""
    found = sorted(folder.glob(f"*/{name}"))
    return found[0] if len(found) == 1 else None


def read_scalars(path: Path) -> Scalars:
    """Iterations and what was logged in each, by BenchMARL's csv logger."""
    rows = read_rows(path)
    require(len(rows[0]) == 2, path, f"it has {len(rows[0])} columns, not two")
    return [
        (parse_count(path, "iteration", cell), parse_number(path, "value", value))
        for cell, value in rows
    ]


def setting(log: Path, text: str, pattern: str) -> str:
    """What the logged settings say once.

    Args:
        log (Path): their file.
        text (str): what is in it.
        pattern (str): a regular expression of a line with a group.

    Raises:
        DamagedFileError: if there is no such line, or several.
    """
    found = re.findall(pattern, text, re.MULTILINE)
    if len(found) != 1:
        raise DamagedFileError(log, f"it has not one line like {pattern}")
    return str(found[0])


def seconds_of(path: Path) -> float | None:
    """What BenchMARL's csv logger says of the time of the run beside its json.

    Args:
        path (Path): the json.

    Returns:
        float: seconds in all; None where there is no such log, or several.

    Raises:
        DamagedFileError: if it is damaged, or not the sum of its iterations.
    """
    total = logged_file(path.parent, TOTAL_TIME_FILE)
    if total is None:
        return None
    times = read_scalars(total)
    # Of an iteration that is cut off, its time is written before its frames.
    frames = total.with_name(Path(FRAMES_FILE).name)
    if frames.exists():
        _check_lengths(total, times, frames, read_scalars(frames))
    iterations = total.with_name(ITERATION_TIME_FILE)
    if iterations.exists():
        logged = read_scalars(iterations)
        _check_lengths(iterations, logged, total, times)
        _check_sums(total, times, iterations, logged)
    for (number, before), (following, after) in pairwise(times):
        # A run that BenchMARL continues logs some iterations again.
        holds = before <= after or following <= number
        require(holds, total, f"{after} seconds come after {before}")
    return times[-1][1]


def check_log(path: Path, run: JsonRun) -> None:
    """Check a run's json by the log beside it, if there is one.

    Args:
        path (Path): the json.
        run (JsonRun): what it says.

    Raises:
        DamagedFileError: if the log is damaged, or is that of another run.
    """
    _check_settings(path, run)
    _check_frames(path, run)


def _check_settings(path: Path, run: JsonRun) -> None:
    """Check whose run it is and when it was evaluated, by the logged settings."""
    log = logged_file(path.parent, SETTINGS_FILE)
    if log is None:
        return
    text = read_text(log)
    environment, _, task = run.task.partition("/")
    for name, value in (
        ("environment_name", environment),
        ("task_name", task),
        ("algorithm_name", run.algorithm),
        ("seed", run.seed),
    ):
        logged = setting(log, text, rf"^{name}: (.*)$")
        holds = logged == str(value)
        require(
            holds, path, f"it has {name} {shown(value)}, but {log} has {shown(logged)}"
        )
    interval = setting(log, text, INTERVAL)
    for step, frames in zip(run.steps, run.frames, strict=True):
        holds = frames // int(interval) == step
        require(
            holds, path, f"step_{step} at {frames} frames: {log} has every {interval}"
        )


def _check_frames(path: Path, run: JsonRun) -> None:
    """Check that evaluations were where an iteration ended."""
    log = logged_file(path.parent, FRAMES_FILE)
    if log is None:
        return
    ends = {frames for _, frames in read_scalars(log)}
    for frames in run.frames:
        # A run writes an evaluation down before it ends the iteration.
        holds = frames in ends or frames > max(ends)
        require(holds, path, f"no iteration ended at {frames} frames, by {log}")


def _check_sums(path: Path, totals: Scalars, log: Path, iterations: Scalars) -> None:
    """Check that each total is the one before and the time of the iteration.

    A run that is continued from a checkpoint counts on from the iteration before.
    """
    known = {-1: 0.0}
    for (number, total), (same, seconds) in zip(totals, iterations, strict=False):
        holds = number == same and known.get(number - 1, -1.0) + seconds == total
        what = f"{total} seconds at {number} are not the sum of iterations"
        require(holds, path, f"{what} in {log}")
        known[number] = total


def _check_lengths(first: Path, ones: Scalars, then: Path, others: Scalars) -> None:
    """Check two logs, the first of which may be an iteration ahead."""
    holds = 0 <= len(ones) - len(others) <= 1
    what = f"it has {len(ones)} lines, but {then} has {len(others)}"
    require(holds, first, what)
