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

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from remix_plugin.statistics.aggregates import BATCHED, Statistic
from remix_plugin.statistics.scores import (
    FloatArray,
    Scores,
    check_array,
    check_scores,
)
from remix_plugin.validation import check_number


def interval(
    statistic: Statistic,
    scores: Scores,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of a statistic of all runs.

    Args:
        statistic (Callable): ``mean``, ``median`` or ``iqm``, evaluated on all
            resamples at once, or any other function of scores, called once per
            resample.
        scores (Scores): one array ``[n_runs]`` per task.

    Keyword Args:
        confidence (float): nominal share of intervals that hold the true value, in
            ``(0, 1)``.
        n_resamples (int): number of resamples, positive.
        seed (int): of the resamples, at least 0; the same seed gives the same interval.

    Returns:
        tuple[float, float]: lower and upper end; NaN if a task has a single run, whose
        spread is unknown. Equal scores in every run give an interval of no width.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if ``scores`` or a task is empty, a score is not finite, or an
            option is out of bounds.
    """
    tasks = check_scores("scores", scores)
    check_options(confidence, n_resamples, seed)
    if not spread_is_known(tasks):
        return math.nan, math.nan
    drawn = resample(tasks, n_resamples, np.random.default_rng(seed))
    if statistic in BATCHED:
        results = BATCHED[statistic](drawn)
    else:
        results = np.array([statistic(one) for one in zip(*drawn, strict=True)])
    low, high = percentiles(results, confidence)
    return float(low), float(high)


def mean_interval(
    values: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Intervals of the mean over runs at each point of a learning curve.

    The same runs are drawn at all points, as a run is a whole curve. Each interval
    stands for its point alone, not for the curve as a whole.

    Args:
        values: scores of one task ``[n_runs, n_points]``.

    Keyword Args:
        confidence (float): nominal share of intervals that hold the true value, in
            ``(0, 1)``.
        n_resamples (int): number of resamples, positive.
        seed (int): of the resamples, at least 0.

    Returns:
        tuple[FloatArray, FloatArray]: lower and upper ends ``[n_points]``; all NaN if
        there is a single run.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if ``values`` is not 2-D, is empty or not finite, or an option is
            out of bounds.
    """
    runs = check_array("values", values, n_dims=2)
    check_options(confidence, n_resamples, seed)
    if not spread_is_known([runs]):
        return np.full(runs.shape[1], np.nan), np.full(runs.shape[1], np.nan)
    (drawn,) = resample([runs], n_resamples, np.random.default_rng(seed))
    return percentiles(drawn.mean(1), confidence)


def check_options(confidence: float, n_resamples: int, seed: int) -> None:
    """Refuse options that no interval can be made with.

    Raises:
        TypeError: if ``confidence`` is not a number, or another not an ``int``.
        ValueError: unless ``0 < confidence < 1``, ``n_resamples >= 1``, ``seed >= 0``.
    """
    check_number("confidence", confidence)
    if not 0 < confidence < 1:
        raise ValueError(
            f"confidence={confidence!r} is not allowed: it must be a number > 0 and "
            "< 1."
        )
    check_number("n_resamples", n_resamples, low=1, integer=True)
    check_number("seed", seed, low=0, integer=True)


def spread_is_known(tasks: Sequence[FloatArray]) -> bool:
    """Whether every task has at least two runs, along the first dimension."""
    return min(len(task) for task in tasks) > 1


def resample(
    tasks: Sequence[FloatArray], n_resamples: int, generator: np.random.Generator
) -> list[FloatArray]:
    """Draw runs with replacement within each task, as many as it has.

    Args:
        tasks (Sequence[FloatArray]): one array ``[n_runs, *]`` per task.
        n_resamples (int): number of resamples.
        generator (Generator): source of the draws.

    Returns:
        list[FloatArray]: one array ``[n_resamples, n_runs, *]`` per task.
    """
    return [
        task[generator.integers(len(task), size=(n_resamples, len(task)))]
        for task in tasks
    ]


def percentiles(
    results: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Both ends of the central share ``confidence`` of ``[n_resamples, *]``."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(results, [tail, 1 - tail], axis=0)
    return low, high
