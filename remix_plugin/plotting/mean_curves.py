"""Learning curves averaged over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from remix_plugin.plotting.runs import check_comparable
from remix_plugin.results.run_result import RunResult
from remix_plugin.statistics.bootstrap import mean_interval
from remix_plugin.statistics.scores import FloatArray


@dataclass(frozen=True)
class MeanCurve:
    """What is drawn of the runs of one label on one task.

    Attributes:
        frames (FloatArray): of each evaluation ``[n_points]``.
        mean (FloatArray): over seeds, of the mean over episodes ``[n_points]``.
        low, high (FloatArray): ends of the 95% bootstrap interval of that mean over
            seeds ``[n_points]``; NaN if there is one seed.
    """

    frames: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def mean_curve(runs: Sequence[RunResult], metric: str) -> MeanCurve:
    """Average the runs of one block, task and label.

    Args:
        runs (sequence of RunResult): at least one, evaluated at the same frames.
        metric (str): e.g. ``"return"``.

    Raises:
        KeyError: if a run has no such metric.
        ValueError: if runs were evaluated at different frames, or one is there twice.
    """
    check_comparable(runs)
    values = np.array([run.means(metric) for run in runs])
    low, high = mean_interval(values)
    frames = np.array(runs[0].frames, dtype=np.float64)
    return MeanCurve(frames, values.mean(0), low, high)
