"""What a run leaves of its evaluations: BenchMARL's json and our csv."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RECORD = {
    "overrides": [],
    "seconds": 60.0,
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "versions": {"remix_plugin": "0.1.0", "torch": "2.13.0"},
    "python": "3.11.7",
    "hardware": {
        "processor": "a processor <fast>",
        "cores": 2,
        "threads": 1,
        "accelerators": [],
    },
}
Metrics = Mapping[str, Sequence[Sequence[float]]]


def write_json(
    path: Path,
    run: tuple[str, str, str, int],
    frames: Sequence[int],
    returns: Sequence[Sequence[float]],
) -> None:
    """BenchMARL's json of one group of agents, steps out of order on purpose.

    Args:
        run: environment, task, algorithm and seed.
    """
    interval = math.gcd(*frames)
    steps = {
        f"step_{count // interval}": {
            "step_count": count,
            "agents_return": list(one),
            "return": list(one),
        }
        for count, one in reversed([*zip(frames, returns, strict=True)])
    }
    best = [max(map(max, returns))] if returns else []
    absolute = {"agents_return": best, "return": best} if returns else {}
    environment, task, algorithm, seed = run
    content: Any = {"absolute_metrics": absolute, **steps}
    for name in (f"seed_{seed}", algorithm, task, environment):
        content = {name: content}
    path.write_text(json.dumps(content, indent=4))


def write_csv(
    path: Path,
    frames: Sequence[int],
    metrics: Metrics,
    absolute: Mapping[str, Sequence[float]],
) -> None:
    """Our csv of episodes; a metric of few episodes does not count in the others."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["phase", "frames", "episode", "agents_return", *metrics])
        for number, count in enumerate(frames):
            own = {name: values[number] for name, values in metrics.items()}
            _write_rows(rows, "evaluation", count, own)
        if absolute:
            own = {name: absolute.get(name, ()) for name in metrics}
            _write_rows(rows, "absolute", frames[-1], own)


def write_results(
    inner: Path,
    run: tuple[str, str, str, int],
    frames: Sequence[int],
    metrics: Metrics,
    absolute: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Both files, in the folder that BenchMARL makes of a run.

    Args:
        run: environment, task, algorithm and seed.
    """
    inner.mkdir(parents=True)
    write_json(inner / f"{inner.name}.json", run, frames, metrics["return"])
    write_csv(inner / "evaluation_episodes.csv", frames, metrics, absolute or {})


def _write_rows(
    rows: Any, phase: str, frames: int, metrics: Mapping[str, Sequence[float]]
) -> None:
    for number, team in enumerate(metrics["return"]):
        cells = [
            repr(float(values[number])) if number < len(values) else ""
            for values in metrics.values()
        ]
        rows.writerow([phase, frames, number, repr(float(team)), *cells])
