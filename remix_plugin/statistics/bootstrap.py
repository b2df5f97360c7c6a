"""Intervals by the stratified bootstrap, percentile method.

Runs are drawn with replacement within each task, independently of the other tasks, and
the interval lies between percentiles of the statistic over such resamples. It says how
the result may change with other seeds on the same tasks, not with other tasks.

With few runs such intervals are too narrow: drawn scores vary less than the runs by a
factor ``sqrt((n_runs - 1) / n_runs)``.

Source: Agarwal et al. (arXiv 2108.13264), section 4, and rliable's ``library.py``;
Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from remix_plugin.statistics.aggregates import Statistic, mean
from remix_plugin.statistics.scores import FloatArray, Scores, check_array, check_scores

CONFIDENCE = 0.95
N_RESAMPLES = 2000
# Of the resamples: the same scores always have the same interval.
SEED = 0


def interval(statistic: Statistic, scores: Scores) -> tuple[FloatArray, FloatArray]:
    """95% interval of a statistic of all runs, from 2,000 resamples.

    Args:
        statistic (Callable): e.g. ``mean``; called once, with all resamples, one array
            ``[n_resamples, n_runs]`` per task, of which it makes ``[*E, n_resamples]``.
        scores (Scores): one array ``[n_runs]`` per task.

    Returns:
        tuple[FloatArray, FloatArray]: lower and upper ends ``[*E]``; NaN if a task has
        a single run, whose spread is unknown. Equal scores in every run give an
        interval of no width.

    Raises:
        TypeError: if ``scores`` is no sequence of arrays of numbers.
        ValueError: if ``scores`` or a task is empty, or a score is not finite.
    """
    return _bootstrap(statistic, check_scores("scores", scores))


def mean_interval(values: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """95% intervals of the mean over runs at each point of a learning curve.

    The same runs are drawn at all points, as a run is a whole curve. Each interval
    stands for its point alone, not for the curve as a whole.

    Args:
        values: scores of one task ``[n_runs, n_points]``.

    Returns:
        tuple[FloatArray, FloatArray]: lower and upper ends ``[n_points]``; all NaN if
        there is a single run.

    Raises:
        TypeError: if ``values`` are no numbers.
        ValueError: if ``values`` is not 2-D, is empty or not finite.
    """
    return _bootstrap(mean, [check_array("values", values, n_dims=2).T])


def _bootstrap(
    statistic: Statistic, tasks: list[FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Intervals from arrays ``[*, n_runs]``, of which the runs are drawn."""
    if min(task.shape[-1] for task in tasks) < 2:
        unknown = np.full_like(statistic(tasks), np.nan)[()]
        return unknown, unknown
    low, high = stats.bootstrap(
        tasks,
        lambda *drawn, axis: statistic(drawn),
        n_resamples=N_RESAMPLES,
        vectorized=True,
        axis=-1,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return low, high
