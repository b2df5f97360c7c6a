"""Results of runs, from their folders."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE
from remix_plugin.results.run_result import RunResult, WeightCounts
from remix_plugin.suites.record import RECORD, read_record


def read_results(folder: Path) -> list[RunResult]:
    """Read all runs below a results folder that have ended well.

    Args:
        folder (Path): with a folder per run, see ``remix_plugin.suites.plan.Run.name``.

    Returns:
        list of RunResult: in order of their names; empty if none has ended.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if a run's folder is not named after what was run, or has not one
            result file but none or several.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no results folder {folder}.")
    results = [_read_run(folder, path.parent) for path in folder.rglob(RECORD)]
    return sorted(results, key=lambda result: result.name)


def _read_run(root: Path, folder: Path) -> RunResult:
    record = read_record(folder)
    assert record is not None
    chosen = dict(o.split("=", 1) for o in record["overrides"] if "=" in o)
    parts = folder.relative_to(root).parts
    if len(parts) != 4 or not {"task", "seed"} <= set(chosen):
        raise ValueError(
            f"{folder} is not the folder of a suite's run: it must be block/task/label/"
            f"seed_N below {root}, and its overrides must name task and seed."
        )
    block, _, label, _ = parts
    seed = int(chosen["seed"])
    files = [path for path in folder.glob("*/*.json") if "wandb" not in path.name]
    if len(files) != 1:
        raise ValueError(f"{folder} has {len(files)} result files: it must have one.")
    content: Any = json.loads(files[0].read_text())
    # Of one environment, task, algorithm and seed
    for _ in range(4):
        (content,) = content.values()
    steps = [value for key, value in content.items() if key.startswith("step_")]
    steps.sort(key=lambda step: step["step_count"])
    metrics = [name for name in steps[0] if _is_kept(name)] if steps else []
    result = RunResult(
        block=block,
        task=chosen["task"],
        label=label,
        seed=seed,
        frames=tuple(step["step_count"] for step in steps),
        episodes={name: tuple(tuple(s[name]) for s in steps) for name in metrics},
        absolute={
            name: tuple(values)
            for name, values in content["absolute_metrics"].items()
            if _is_kept(name)
        },
        weights=_read_weights(files[0].parent / WEIGHTS_FILE),
        record=record,
    )
    if root / result.name != folder:
        raise ValueError(
            f"{folder} holds a run of {result.task} with seed {seed}: it must be "
            f"{root / result.name}."
        )
    return result


def _is_kept(metric: str) -> bool:
    """All but the returns of single groups."""
    return metric != "step_count" and not metric.endswith("_return")


def _read_weights(path: Path) -> dict[str, WeightCounts]:
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("group", "frames", "beyond")]
    weights = {}
    for group in dict.fromkeys(row["group"] for row in rows):
        own = [row for row in rows if row["group"] == group]
        # Cells of bins that only other groups have are empty.
        centers = sorted((name for name in names if own[0][name]), key=float)
        weights[group] = WeightCounts(
            centers=tuple(float(name) for name in centers),
            frames=tuple(int(row["frames"]) for row in own),
            counts=tuple(
                tuple(int(row[name]) for name in (*centers, "beyond")) for row in own
            ),
        )
    return weights
