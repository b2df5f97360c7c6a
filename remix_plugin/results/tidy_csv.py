"""Results as a tidy table, for pandas and other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean, pstdev

from remix_plugin.results.run_result import RunResult
from remix_plugin.whole_files import write_bytes

COLUMNS = (
    *("block", "task", "label", "seed", "frames", "metric"),
    *("mean", "std", "min", "max", "n_episodes"),
)


def write_csv(path: Path, results: Iterable[RunResult]) -> None:
    """Write a row per run, evaluation and metric, for ``pandas.read_csv``.

    Columns are block, task, label and seed of the run; frames, collected until the
    evaluation; metric, e.g. ``return`` or ``win_rate``; and over the greedy episodes of
    that evaluation the mean, the standard deviation (of the episodes themselves, not an
    estimate from a sample), the smallest and the largest value, and how many episodes
    count. A metric that no episode of an evaluation has is left out there, as are
    absolute metrics and projection weights, which archives keep.

    Args:
        path (Path): the file, ``.csv``; replaced whole or not at all.
        results (iterable of RunResult): kept in their order.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for run in results:
        rows.writerows(_rows(run))
    write_bytes(path, text.getvalue().encode())


def _rows(run: RunResult) -> Iterator[tuple[object, ...]]:
    for number, frames in enumerate(run.frames):
        for metric, evaluations in run.episodes.items():
            own = evaluations[number]
            if own:
                over = fmean(own), pstdev(own), min(own), max(own), len(own)
                yield (run.block, run.task, run.label, run.seed, frames, metric, *over)
