"""Results of runs: of suites, of BenchMARL's own commands, merged, or archived."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from remix_plugin.callbacks.episodes import RETURN, counted
from remix_plugin.callbacks.evaluation import EPISODES_FILE
from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE
from remix_plugin.damaged import DamagedFileError, files_below, read_yaml, require
from remix_plugin.results.archive import ARCHIVE_ENDING, read_archive
from remix_plugin.results.benchmarl_json import is_return, read_json_runs
from remix_plugin.results.csv_log import check_log, seconds_of
from remix_plugin.results.episodes_csv import EpisodesTable, read_beside
from remix_plugin.results.run_result import NO_BLOCK, RunResult
from remix_plugin.results.weights_csv import read_weights
from remix_plugin.suites.folders import OVERRIDES
from remix_plugin.suites.plan import LONGEST, is_name
from remix_plugin.suites.record import RECORD, read_record, result_files

# Of a run that Hydra has started, in its folder
HYDRA_OVERRIDES = ".hydra/overrides.yaml"
CHOICES = ("task=", "algorithm=", "seed=")


def read_results(source: Path, *, unfinished: bool = False) -> list[RunResult]:
    """Read all runs of a folder, of one json or of an archive.

    Runs of suites are in folders named block/task/label/seed_N and have ended well.
    All other json is BenchMARL's, wherever it lies: its runs have the block
    ``NO_BLOCK`` and their algorithm as label. Runs of one task, algorithm and seed are
    told apart by Hydra's overrides or by their folders, which become part of the label;
    a run that a merged json has again is read once. Hidden folders and what wandb has
    left are not looked into.

    Args:
        source (Path): a folder, a ``.json`` that may hold several runs, or an archive
            (``.json.gz``).

    Keyword Args:
        unfinished (bool): also read the json of runs of suites that have not ended.

    Returns:
        list of RunResult: in order of their names; empty if there is none.

    Raises:
        FileNotFoundError: if there is no such folder or file.
        DamagedFileError: if a file of a run is not as the run left it.
        ValueError: if the folder of a suite's run is not named after what was run, or
            has not one result file but none or several.
    """
    if source.name.endswith(ARCHIVE_ENDING):
        return read_archive(source)
    if source.is_file():
        results = _read_json(source)
    elif source.is_dir():
        records = [p.parent for p in files_below(source, RECORD) if p.name == RECORD]
        others = _read_others(source, set(records), unfinished)
        results = [*map(_read_suite_run, records), *_told_apart([*others])]
    else:
        raise FileNotFoundError(f"There is no results folder {source}.")
    return sorted(results, key=lambda result: result.name)


def _read_others(
    root: Path, records: set[Path], unfinished: bool
) -> Iterator[RunResult]:
    """Runs that no record vouches for."""
    for path in files_below(root, ".json"):
        folder = path.parent.parent
        is_begun = (folder / OVERRIDES).is_file() and not unfinished
        if not (folder in records or is_begun or "wandb" in path.name):
            yield from _read_json(path)


def _read_json(path: Path) -> list[RunResult]:
    """The runs of a file that were evaluated, checked by what lies beside it."""
    runs = read_json_runs(path)
    tables = [EpisodesTable(run.frames, run.returns, {}) for run in runs]
    if len(runs) == 1 and path.with_name(EPISODES_FILE).exists():
        runs[0], tables[0] = read_beside(path, runs[0], finished=False)
    seconds = None
    if len(runs) == 1:
        check_log(path, runs[0])
        seconds = seconds_of(path)
    record = {} if seconds is None else {"seconds": seconds}
    return [
        _result(path, table, NO_BLOCK, run.task, run.algorithm, run.seed, record)
        for run, table in zip(runs, tables, strict=True)
        if run.frames
    ]


def _read_suite_run(folder: Path) -> RunResult:
    record = read_record(folder)
    assert record is not None
    block, label, task, seed = _names(folder, record)
    path = _result_file(folder)
    (run, *others) = read_json_runs(path)
    holds = not others and (run.task, run.seed) == (task.lower(), seed)
    where = f"{run.task} with seed {run.seed}"
    require(holds, path, f"it is of {where}, or of several runs")
    require(bool(run.frames), path, "it has no evaluation")
    _, table = read_beside(path, run, finished=True)
    return _result(path, table, block, task, label, seed, record)


def _result(
    path: Path,
    table: EpisodesTable,
    block: str,
    task: str,
    label: str,
    seed: int,
    record: dict[str, Any],
) -> RunResult:
    weights = path.with_name(WEIGHTS_FILE)
    # All but the returns of single groups
    kept = [name for name in table.episodes if name == RETURN or not is_return(name)]
    absolute = {name: table.absolute[name] for name in kept if name in table.absolute}
    return RunResult(
        block=block,
        task=task,
        label=label,
        seed=seed,
        frames=table.frames,
        episodes={
            name: tuple(tuple(counted(one)) for one in table.episodes[name])
            for name in kept
        },
        absolute={name: tuple(counted(one)) for name, one in absolute.items()},
        weights=read_weights(weights) if weights.exists() else {},
        record=record,
        path=path,
    )


def _names(folder: Path, record: dict[str, Any]) -> tuple[str, str, str, int]:
    """Block, label, task and seed, which folder and overrides must agree on."""
    chosen = dict(o.split("=", 1) for o in record["overrides"] if "=" in o)
    parts = folder.absolute().parts[-4:]
    if len(parts) < 4 or not {"task", "seed"} <= set(chosen):
        raise ValueError(
            f"{folder} is not the folder of a suite's run: it must be block/task/label/"
            "seed_N, and its overrides must name task and seed."
        )
    block, _, label, _ = parts
    for name in (block, label):
        if not is_name(name):
            raise ValueError(
                f"{folder}: no block or label of a suite is named {name!r}."
            )
    task, seed = chosen["task"], chosen["seed"]
    if not (seed.isascii() and seed.isdigit() and len(seed) < 20):
        raise DamagedFileError(folder / RECORD, f"seed={seed} is no whole number")
    expected = RunResult(block, task, label, int(seed), (), {}).name
    if expected != "/".join(parts):
        raise ValueError(
            f"{folder} holds a run of {task} with seed {seed}: it must be "
            f"{folder.absolute().parents[3] / expected}."
        )
    return block, label, task, int(seed)


def _result_file(folder: Path) -> Path:
    files = [path for path in result_files(folder) if path.suffix == ".json"]
    if len(files) != 1:
        raise ValueError(f"{folder} has {len(files)} result files: it must have one.")
    return files[0]


def _told_apart(runs: Sequence[RunResult]) -> list[RunResult]:
    """Each run once, under a name of its own."""
    groups: dict[tuple[str, str], list[RunResult]] = {}
    for run in sorted(runs, key=lambda one: -len(one.episodes)):
        own = groups.setdefault((run.task, run.label), [])
        if not any(_are_same(run, other) for other in own):
            own.append(run)
    kept: list[RunResult] = []
    for own in groups.values():
        is_clear = len({run.seed for run in own}) == len(own)
        kept += own if is_clear else _with_longer_labels(own)
    return kept


def _are_same(run: RunResult, other: RunResult) -> bool:
    """Whether one of two is a copy, as in a json that was merged."""
    first, second = (
        (one.name, one.frames, one.episodes[RETURN]) for one in (run, other)
    )
    return first == second


def _with_longer_labels(runs: Sequence[RunResult]) -> list[RunResult]:
    """Runs of one label, told apart by their overrides, else by their folders."""
    paths = [run.path for run in runs if run.path is not None]
    folders = [run.folder for run in runs if run.folder is not None]
    overrides = [_overrides(folder / HYDRA_OVERRIDES) for folder in folders]
    shared = set.intersection(*map(set, overrides))
    endings = ["_".join(x for x in own if x not in shared) for own in overrides]
    names = {(ending, run.seed) for ending, run in zip(endings, runs, strict=True)}
    if len(names) < len(runs):
        top = Path(os.path.commonpath(paths))
        endings = [(*path.relative_to(top).parts, path.name)[0] for path in paths]
    return [
        replace(run, label=_label(f"{run.label}_{ending}"))
        for run, ending in zip(runs, endings, strict=True)
    ]


def _overrides(path: Path) -> list[str]:
    """What Hydra has kept of a command line, without the run's choices."""
    content = read_yaml(path) if path.is_file() else None
    texts = [one for one in content or [] if isinstance(one, str)]
    own = [one for one in texts if not one.startswith(CHOICES)]
    return [
        one.rpartition("=")[0].rpartition(".")[2] + one[one.rfind("=") :] for one in own
    ]


def _label(text: str) -> str:
    """A text as curves may be named."""
    return re.sub("[^A-Za-z0-9_.-]+", "_", text).rstrip("_")[:LONGEST]
