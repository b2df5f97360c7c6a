"""Runs in BenchMARL's json, refused where its numbers contradict each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from remix_plugin.callbacks.episodes import RETURN
from remix_plugin.damaged import (
    DamagedFileError,
    is_number,
    is_whole_number,
    read_json,
    require,
    shown,
)

ABSOLUTE = "absolute_metrics"
FRAMES = "step_count"
# Of each evaluation, in order, the returns of its episodes
Returns = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class JsonRun:
    """A run as BenchMARL writes it.

    Attributes:
        task (str): environment and task, e.g. ``"predator_prey/punish_2"``.
        algorithm (str): e.g. ``"remix"``.
        seed (int): its seed.
        steps (tuple of int): number of each evaluation: its frames, divided by the
            interval between evaluations.
        frames (tuple of int): collected frames at each evaluation, ascending.
        returns (dict): ``<group>_return`` and their mean over groups, ``return``.
    """

    task: str
    algorithm: str
    seed: int
    steps: tuple[int, ...]
    frames: tuple[int, ...]
    returns: dict[str, Returns]


def is_return(name: str) -> bool:
    """Whether a metric is the return, or that of a group."""
    return name == RETURN or name.endswith(f"_{RETURN}")


def read_json_runs(path: Path) -> list[JsonRun]:
    """Read the runs of a file: one, or several that were merged.

    Args:
        path (Path): the file.

    Raises:
        DamagedFileError: if it is not BenchMARL's, or its numbers contradict each
            other: groups and their mean, steps and frames, episodes and best ones.
    """
    runs = []
    for (environment, task, algorithm, last), data in _levels(path, read_json(path), 4):
        match = re.fullmatch("seed_(0|[1-9][0-9]{0,18})", last)
        if match is None:
            raise DamagedFileError(path, f"{shown(last)} is no seed of a run")
        names = f"{environment}/{task}", algorithm, int(match[1])
        runs.append(_read_run(path, names, data))
    return runs


def check_returns(path: Path, returns: dict[str, Returns]) -> None:
    """Check that ``return`` is the mean of what the groups have.

    Args:
        path (Path): the file they are from.
        returns (dict): see :class:`JsonRun`.

    Raises:
        DamagedFileError: if it is not, or is there without groups.
    """
    groups = sorted(name for name in returns if is_return(name) and name != RETURN)
    given = ", ".join(returns) or "nothing"
    holds = bool(groups) and RETURN in returns
    require(
        holds, path, f"evaluations have {given}, not returns of groups and {RETURN}"
    )
    for number, team in enumerate(returns[RETURN]):
        means = _means([returns[group][number] for group in groups])
        require(
            _are_equal(np.array(team), means, len(groups)),
            path,
            f"{RETURN} {shown(list(team))} of evaluation {number} is not the mean of "
            f"{', '.join(groups)}",
        )


def _levels(
    path: Path, content: Any, depth: int
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What lies so many names deep, with its names."""
    if not depth:
        yield (), content
        return
    what = f"{shown(content)} is not what BenchMARL writes"
    require(isinstance(content, dict) and bool(content), path, what)
    for name, inner in content.items():
        for names, data in _levels(path, inner, depth - 1):
            yield (name, *names), data


def _read_run(path: Path, names: tuple[str, str, int], data: Any) -> JsonRun:
    holds = isinstance(data, dict) and isinstance(data.get(ABSOLUTE), dict)
    require(holds, path, f"a run is {shown(data)}, without {ABSOLUTE}")
    numbers = sorted(_number(path, key) for key in data if key != ABSOLUTE)
    steps = [data[f"step_{number}"] for number in numbers]
    for number, step in zip(numbers, steps, strict=True):
        _check_step(path, f"step_{number}", step, steps[0])
    frames = tuple(step[FRAMES] for step in steps)
    _check_frames(path, numbers, frames)
    metrics = [name for name in steps[0] if is_return(name)] if steps else []
    returns = {
        name: tuple(tuple(map(float, step[name])) for step in steps) for name in metrics
    }
    if steps:
        check_returns(path, returns)
    _check_absolute(path, data[ABSOLUTE], returns)
    return JsonRun(*names, tuple(numbers), frames, returns)


def _number(path: Path, key: str) -> int:
    match = re.fullmatch("step_(0|[1-9][0-9]{0,18})", key)
    if match is None:
        raise DamagedFileError(path, f"{shown(key)} of a run is no step")
    return int(match[1])


def _check_step(path: Path, name: str, step: Any, first: Any) -> None:
    """Check types, and that an evaluation has what the first has."""
    holds = isinstance(step, dict) and is_whole_number(step.get(FRAMES))
    require(holds, path, f"{name} is {shown(step)}, without a whole {FRAMES}")
    require(set(step) == set(first), path, f"{name} has other metrics than the first")
    for metric, values in step.items():
        if metric == FRAMES:
            continue
        holds = isinstance(values, list) and all(map(is_number, values))
        where = f"{metric} of {name} is {shown(values)}"
        require(holds, path, f"{where}, it must be a list of numbers")
        if is_return(metric):
            holds = 0 < len(values) == len(first[metric]) == len(first.get(RETURN, ()))
            require(holds, path, f"{where}, other evaluations have other episodes")


def _check_frames(path: Path, steps: list[int], frames: tuple[int, ...]) -> None:
    """Check that frames ascend, and are multiples of one interval after the first.

    BenchMARL evaluates after the first iteration, too, whatever the interval is.
    """
    for before, after in pairwise(frames):
        require(before < after, path, f"{FRAMES} {after} comes after {before}")
    later = [pair for pair in zip(steps, frames, strict=True) if pair[0]]
    if len(later) < 2:
        return
    number, last = later[-1]
    for step, count in later:
        holds = last % number == 0 and count == last // number * step
        require(holds, path, f"{FRAMES} {count} does not fit step_{step}, as others do")
    holds = bool(steps[0]) or frames[0] < last // number
    require(holds, path, f"{FRAMES} {frames[0]} does not fit step_0, as others do")


def _check_absolute(path: Path, absolute: Any, returns: dict[str, Returns]) -> None:
    """Check that it has the best episode of each metric, as BenchMARL computes it."""
    best = {name: [max(map(max, values))] for name, values in returns.items()}
    given = {name: value for name, value in absolute.items() if is_return(name)}
    require(
        given == best,
        path,
        f"{ABSOLUTE} are {shown(absolute)}, the best episodes {shown(best)}",
    )


def _means(groups: list[tuple[float, ...]]) -> np.ndarray:
    """Means over groups, in the precision that they were written in."""
    values = np.array(groups, dtype=np.float64)
    single = values.astype(np.float32)
    return (single if np.array_equal(single, values) else values).mean(0)


def _are_equal(team: np.ndarray, means: np.ndarray, n_groups: int) -> bool:
    """Whether returns are means, but for the order in which several are added."""
    own = team.astype(means.dtype)
    # A digit that was changed is hardly ever a number of that precision.
    if team.shape != means.shape or not np.array_equal(own, team):
        return False
    if n_groups == 1:
        return np.array_equal(own, means)
    near = n_groups * np.spacing(np.abs(means).max())
    return bool((np.abs(own - means) <= near).all())
