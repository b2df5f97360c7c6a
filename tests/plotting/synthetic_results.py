"""Small results made by hand, and folders as suites leave them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE
from remix_plugin.results.run_result import RunResult, WeightCounts

FRAMES = (100, 200, 300)
COMMIT = "0123456789abcdef"


def a_run(
    label: str = "remix",
    seed: int = 0,
    scores: Sequence[float] = (0.0, 10.0, 30.0),
    *,
    task: str = "predator_prey/punish_2",
    block: str = "anneal_50k",
    frames: Sequence[int] = FRAMES,
    absolute: Sequence[float] = (),
    weights: Sequence[Sequence[int]] = (),
    **record: Any,
) -> RunResult:
    """A run with these means over two episodes, one 1 above and one 1 below."""
    returns = tuple((score - 1.0, score + 1.0) for score in scores)
    episodes: dict[str, tuple[tuple[float, ...], ...]] = {"return": returns}
    if task.startswith("predator_prey"):
        episodes["success_rate"] = tuple((0.0, float(s > 20)) for s in scores)
        metric = "return"
    else:
        # Wins of four episodes, as a share.
        episodes["win_rate"] = tuple(
            tuple(float(number < 4 * score) for number in range(4)) for score in scores
        )
        metric = "win_rate"
    counts = WeightCounts((0.0, 0.5, 1.0), tuple(frames), tuple(map(tuple, weights)))
    return RunResult(
        block=block,
        task=task,
        label=label,
        seed=seed,
        frames=tuple(frames),
        episodes=episodes,
        absolute={metric: tuple(absolute)} if absolute else {},
        weights={"agents": counts} if weights else {},
        record={
            "overrides": [
                "experiment.exploration_anneal_frames=50_000",
                f"task={task}",
                f"seed={seed}",
            ],
            "commit": COMMIT,
            **record,
        },
    )


def write_folder(folder: Path, runs: Sequence[RunResult]) -> None:
    """What the runs of a suite leave behind."""
    for run in runs:
        environment, task = run.task.split("/")
        steps = {
            f"step_{number}": {
                "step_count": frames,
                **{k: list(v[number]) for k, v in run.episodes.items()},
            }
            for number, frames in enumerate(run.frames)
        }
        absolute = {k: list(v) for k, v in run.absolute.items()}
        content: dict[str, Any] = {"absolute_metrics": absolute, **steps}
        for key in (f"seed_{run.seed}", run.label, task, environment):
            content = {key: content}
        inner = folder / run.name / "experiment"
        inner.mkdir(parents=True)
        (inner / "experiment.json").write_text(json.dumps(content))
        for group, counts in run.weights.items():
            with (inner / WEIGHTS_FILE).open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(["group", "frames", *counts.centers, "beyond"])
                for frames, row in zip(counts.frames, counts.counts, strict=True):
                    rows.writerow([group, frames, *row])
        (folder / run.name / "run.yaml").write_text(yaml.safe_dump(run.record))
