"""Small results made by hand, and folders as suites leave them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from written_runs import RECORD, write_results

from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE
from remix_plugin.plotting.figures import KINDS, draw_figures
from remix_plugin.plotting.panels import panels_of
from remix_plugin.plotting.paper_figure import PaperFigure
from remix_plugin.results.run_result import RunResult, WeightCounts
from remix_plugin.suites.record import seal_record

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
        returns = tuple(one * 2 for one in returns)
        episodes["return"] = returns
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
        absolute={m: tuple(absolute) for m in ("return", metric)} if absolute else {},
        weights={"agents": counts} if weights else {},
        record={
            **RECORD,
            "overrides": [
                "experiment.exploration_anneal_frames=50_000",
                f"task={task}",
                f"seed={seed}",
            ],
            "commit": COMMIT,
            **record,
        },
    )


def draw(
    runs: Sequence[RunResult], only: Sequence[str] = tuple(KINDS)
) -> list[PaperFigure]:
    """Figures of runs in any order."""
    return draw_figures(panels_of(runs), only)


def write_folder(folder: Path, runs: Sequence[RunResult]) -> None:
    """What the runs of a suite leave behind."""
    for run in runs:
        environment, task = run.task.split("/")
        inner = folder / run.name / "experiment"
        names = (environment, task, run.label, run.seed)
        write_results(inner, names, run.frames, run.episodes, run.absolute)
        for group, counts in run.weights.items():
            with (inner / WEIGHTS_FILE).open("w", newline="") as file:
                rows = csv.writer(file)
                centers = [f"{center:g}" for center in counts.centers]
                rows.writerow(["group", "frames", *centers, "beyond"])
                for frames, row in zip(counts.frames, counts.counts, strict=True):
                    rows.writerow([group, frames, *row])
        seal_record(folder / run.name, run.record)
