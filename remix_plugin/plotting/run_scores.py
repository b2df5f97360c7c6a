"""Scores of runs, and how sure aggregates over seeds are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remix_plugin.plotting.runs import metric_of
from remix_plugin.results.run_result import RunResult
from remix_plugin.statistics.aggregates import Statistic
from remix_plugin.statistics.bootstrap import interval
from remix_plugin.statistics.scores import FloatArray


def final_scores(runs: Sequence[RunResult], metric: str | None = None) -> FloatArray:
    """Mean over the episodes of each run's last evaluation ``[n_runs]``.

    Args:
        runs (sequence of RunResult): at least one.
        metric (str, optional): what their task is about if not given.
    """
    return np.array([run.means(metric or metric_of(run))[-1] for run in runs])


def interval_of(
    statistic: Statistic, scores: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """95% bootstrap interval over the seeds of one task; NaN if there is one seed."""
    return interval(statistic, [scores])
