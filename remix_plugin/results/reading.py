"""Results of runs, from their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from remix_plugin.callbacks.episodes import RETURN, counted
from remix_plugin.callbacks.evaluation import EPISODES_FILE
from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE
from remix_plugin.damaged import DamagedFileError, files_below, require
from remix_plugin.results.benchmarl_json import JsonRun, is_return, read_json_runs
from remix_plugin.results.episodes_csv import EpisodesTable, read_episodes_table
from remix_plugin.results.run_result import RunResult
from remix_plugin.results.weights_csv import read_weights
from remix_plugin.suites.plan import is_name
from remix_plugin.suites.record import RECORD, read_record, result_files


def read_results(folder: Path) -> list[RunResult]:
    """Read all runs below a results folder that have ended well.

    Args:
        folder (Path): with a folder per run, see ``remix_plugin.suites.plan.Run.name``.

    Returns:
        list of RunResult: in order of their names; empty if none has ended.

    Raises:
        FileNotFoundError: if there is no such folder.
        DamagedFileError: if a file of a run is not as the run left it.
        ValueError: if a run's folder is not named after what was run, or has not one
            result file but none or several.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no results folder {folder}.")
    results = [
        _read_run(folder, path.parent)
        for path in files_below(folder, RECORD)
        if path.name == RECORD
    ]
    return sorted(results, key=lambda result: result.name)


def _read_run(root: Path, folder: Path) -> RunResult:
    record = read_record(folder)
    assert record is not None
    block, label, task, seed = _names(root, folder, record)
    path = _result_file(folder)
    (run, *others) = read_json_runs(path)
    where = (f"{run.environment}/{run.task}", run.seed)
    holds = not others and where == (task.lower(), seed)
    require(
        holds, path, f"it is of {where[0]} with seed {where[1]}, or of several runs"
    )
    require(bool(run.frames), path, "it has no evaluation")
    table = read_episodes_table(path.with_name(EPISODES_FILE))
    check_agreement(path, run, path.with_name(EPISODES_FILE), table)
    weights = path.with_name(WEIGHTS_FILE)
    metrics = [name for name in table.episodes if _is_kept(name)]
    return RunResult(
        block=block,
        task=task,
        label=label,
        seed=seed,
        frames=table.frames,
        episodes={
            name: tuple(tuple(counted(one)) for one in table.episodes[name])
            for name in metrics
        },
        absolute={
            name: tuple(counted(values))
            for name, values in table.absolute.items()
            if _is_kept(name)
        },
        weights=read_weights(weights) if weights.exists() else {},
        record=record,
    )


def check_agreement(
    path: Path, run: JsonRun, episodes: Path, table: EpisodesTable
) -> None:
    """Check that a run's json and its csv of episodes have the same evaluations.

    Args:
        path (Path): the json.
        run (JsonRun): what it says.
        episodes (Path): the csv.
        table (EpisodesTable): what it says.

    Raises:
        DamagedFileError: if they do not agree: neither can be trusted.
    """
    same = run.frames == table.frames
    what = f"its evaluations are not those of {episodes}, one of the two is damaged"
    require(same, path, what)
    own = {name: table.episodes[name] for name in table.episodes if is_return(name)}
    require(own == run.returns, path, f"its returns: {what}")


def _names(
    root: Path, folder: Path, record: dict[str, Any]
) -> tuple[str, str, str, int]:
    """Block, label, task and seed, which folder and overrides must agree on."""
    chosen = dict(o.split("=", 1) for o in record["overrides"] if "=" in o)
    parts = folder.relative_to(root).parts
    if len(parts) != 4 or not {"task", "seed"} <= set(chosen):
        raise ValueError(
            f"{folder} is not the folder of a suite's run: it must be block/task/label/"
            f"seed_N below {root}, and its overrides must name task and seed."
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
    expected = f"{block}/{task.replace('/', '-')}/{label}/seed_{int(seed)}"
    if root / expected != folder:
        raise ValueError(
            f"{folder} holds a run of {task} with seed {seed}: it must be "
            f"{root / expected}."
        )
    return block, label, task, int(seed)


def _result_file(folder: Path) -> Path:
    files = [path for path in result_files(folder) if path.suffix == ".json"]
    if len(files) != 1:
        raise ValueError(f"{folder} has {len(files)} result files: it must have one.")
    return files[0]


def _is_kept(metric: str) -> bool:
    """All but the returns of single groups."""
    return metric == RETURN or not is_return(metric)
