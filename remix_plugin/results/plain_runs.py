"""BenchMARL's json of any run, held to what lies beside it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from remix_plugin.callbacks.evaluation import EPISODES_FILE
from remix_plugin.damaged import read_text, require, shown
from remix_plugin.results.benchmarl_json import JsonRun, read_json_runs
from remix_plugin.results.csv_log import (
    FRAMES_FILE,
    ITERATION_TIME_FILE,
    SETTINGS_FILE,
    TOTAL_TIME_FILE,
    Scalars,
    logged_file,
    read_scalars,
    setting,
)
from remix_plugin.results.episodes_csv import read_episodes_table
from remix_plugin.results.reading import check_agreement
from remix_plugin.suites.record import read_record

INTERVAL = r"^experiment_config: .*'evaluation_interval': ([1-9][0-9]{0,18})\b"


def read_plain_runs(path: Path) -> list[JsonRun]:
    """Read the runs of a file, whichever algorithms they are of.

    The file of one run must agree with what else that run has written: the record of
    a suite's run, the csv of episodes, the log of BenchMARL's csv logger.

    Args:
        path (Path): the json.

    Raises:
        DamagedFileError: if one of these is damaged, or they do not agree.
    """
    runs = read_json_runs(path)
    # Of a suite's run: its record vouches for its files.
    read_record(path.parent.parent)
    if len(runs) == 1:
        episodes = path.with_name(EPISODES_FILE)
        if episodes.exists():
            _check_episodes(path, runs[0], episodes)
        _check_settings(path, runs[0])
        _check_frames(path, runs[0])
    return runs


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


def _check_episodes(path: Path, run: JsonRun, episodes: Path) -> None:
    """Check json and csv, of which a run that was cut off has written one first."""
    table = read_episodes_table(episodes)
    counts = len(run.frames), len(table.frames)
    if abs(counts[0] - counts[1]) == 1 and not table.absolute:
        n, returns, own = min(counts), run.returns, table.episodes
        returns = {name: values[:n] for name, values in returns.items()}
        run = replace(run, frames=run.frames[:n], returns=returns)
        own = {name: values[:n] for name, values in own.items()}
        table = replace(table, frames=table.frames[:n], episodes=own)
    check_agreement(path, run, episodes, table)


def _check_settings(path: Path, run: JsonRun) -> None:
    """Check whose run it is and when it was evaluated, by the logged settings."""
    log = logged_file(path.parent, SETTINGS_FILE)
    if log is None:
        return
    text = read_text(log)
    for name, value in (
        ("environment_name", run.environment),
        ("task_name", run.task),
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
