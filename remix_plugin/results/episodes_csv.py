"""Evaluation episodes of a run, from its csv, which must agree with its json."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from remix_plugin.callbacks.episodes import RETURN
from remix_plugin.callbacks.evaluation import EPISODES_FILE
from remix_plugin.damaged import parse_count, parse_number, read_rows, require, shown
from remix_plugin.results.benchmarl_json import JsonRun, check_returns, is_return

LEADING = ("phase", "frames", "episode")
EVALUATION = "evaluation"
ABSOLUTE = "absolute"


@dataclass(frozen=True)
class EpisodesTable:
    """What the csv says; NaN where an episode does not count.

    Attributes:
        frames (tuple of int): collected frames at each evaluation, ascending.
        episodes (dict): by metric, the episodes of each evaluation.
        absolute (dict): by metric, the episodes of the absolute metric; empty if it
            was not computed.
    """

    frames: tuple[int, ...]
    episodes: dict[str, tuple[tuple[float, ...], ...]]
    absolute: dict[str, tuple[float, ...]]


def read_episodes_table(path: Path) -> EpisodesTable:
    """Read ``evaluation_episodes.csv``.

    Args:
        path (Path): the file.

    Raises:
        DamagedFileError: if it is cut off, has another form, a cell that is no number,
            or numbers that contradict each other.
    """
    header, *rows = read_rows(path)
    metrics = header[3:]
    is_ours = tuple(header[:3]) == LEADING and len(set(metrics)) == len(metrics)
    require(is_ours, path, f"its columns are {shown(header)}")
    parts: dict[str, dict[int, list[tuple[float, ...]]]] = {
        EVALUATION: {},
        ABSOLUTE: {},
    }
    for (phase, cell), group in groupby(rows, key=lambda row: (row[0], row[1])):
        frames = parse_count(path, "frames", cell)
        holds = phase in parts and frames not in parts[phase]
        require(
            holds, path, f"{shown(phase)} at {frames} frames is unknown or repeated"
        )
        parts[phase][frames] = _columns(path, metrics, list(group))
    evaluations, absolute = parts[EVALUATION], parts[ABSOLUTE]
    frames_of = tuple(evaluations)
    require(frames_of == tuple(sorted(frames_of)), path, "frames do not ascend")
    table = EpisodesTable(
        frames_of,
        _by_metric(metrics, list(evaluations.values())),
        dict(zip(metrics, next(iter(absolute.values()), []), strict=False)),
    )
    _check(path, table, list(absolute))
    return table


def read_beside(
    path: Path, run: JsonRun, *, finished: bool
) -> tuple[JsonRun, EpisodesTable]:
    """Read the csv beside a run's json, which must have the same evaluations.

    Args:
        path (Path): the json.
        run (JsonRun): what it says.

    Keyword Args:
        finished (bool): whether the run has ended, else one of the two may be an
            evaluation ahead, which is left out.

    Raises:
        DamagedFileError: if they do not agree: neither can be trusted.
    """
    csv = path.with_name(EPISODES_FILE)
    table = read_episodes_table(csv)
    n, longest = sorted((len(run.frames), len(table.frames)))
    if not finished and not table.absolute and longest == n + 1:
        returns = {name: values[:n] for name, values in run.returns.items()}
        run = replace(run, steps=run.steps[:n], frames=run.frames[:n], returns=returns)
        own = {name: values[:n] for name, values in table.episodes.items()}
        table = replace(table, frames=table.frames[:n], episodes=own)
    what = f"its evaluations are not those of {csv}, one of the two is damaged"
    require(run.frames == table.frames, path, what)
    own = {name: table.episodes[name] for name in table.episodes if is_return(name)}
    require(own == run.returns, path, f"its returns: {what}")
    return run, table


def _columns(
    path: Path, metrics: list[str], rows: list[list[str]]
) -> list[tuple[float, ...]]:
    """The columns of one evaluation, whose episodes are numbered."""
    numbers = [row[2] for row in rows]
    in_order = numbers == [str(number) for number in range(len(rows))]
    require(in_order, path, f"episodes at {rows[0][1]} frames are not numbered from 0")
    return [
        tuple(_value(path, name, row[3 + column]) for row in rows)
        for column, name in enumerate(metrics)
    ]


def _value(path: Path, name: str, cell: str) -> float:
    """A cell's number; an empty one is NaN, but a return always counts."""
    if not cell and not is_return(name):
        return math.nan
    return parse_number(path, name, cell)


def _by_metric(
    metrics: list[str], evaluations: list[list[tuple[float, ...]]]
) -> dict[str, tuple[tuple[float, ...], ...]]:
    return {
        name: tuple(columns[number] for columns in evaluations)
        for number, name in enumerate(metrics)
    }


def _check(path: Path, table: EpisodesTable, absolute_frames: list[int]) -> None:
    """Check what the csv says twice, and that evaluations are alike."""
    sizes = {len(one) for one in table.episodes.get(RETURN, ())}
    require(len(sizes) < 2, path, f"evaluations have {shown(sorted(sizes))} episodes")
    known = len(absolute_frames) < 2 and set(absolute_frames) <= set(table.frames)
    what = f"the absolute metric is of {shown(absolute_frames)} frames"
    require(known, path, f"{what}, it must be of one evaluation")
    check_returns(path, table.episodes)
    if table.absolute:
        n_episodes = len(table.absolute[RETURN])
        what = f"{n_episodes} episodes of the absolute metric are no multiple of"
        n_evaluated = max(sizes, default=0)
        holds = bool(n_evaluated) and n_episodes % n_evaluated == 0
        require(holds, path, f"{what} {n_evaluated}, those of an evaluation")
        check_returns(path, {name: (v,) for name, v in table.absolute.items()})
