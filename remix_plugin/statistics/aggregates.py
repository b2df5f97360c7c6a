"""One number for the scores of all runs on all tasks.

Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
Precipice" (arXiv 2108.13264), section 4, and its code, rliable's ``metrics.py``.

Shapes: ``*B`` any batch of resamples, ``n_runs`` runs of one task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from scipy.stats import trim_mean

from remix_plugin.statistics.scores import FloatArray, Scores, check_scores

Statistic: TypeAlias = Callable[[Scores], float]
BatchedStatistic: TypeAlias = Callable[[Sequence[FloatArray]], FloatArray]


def mean(scores: Scores) -> float:
    """Mean over tasks of the mean over runs: every task weighs the same.

    Args:
        scores (Scores): one array ``[n_runs]`` per task.

    Raises:
        TypeError: if ``scores`` is no sequence of arrays of numbers.
        ValueError: if ``scores`` or a task is empty, or a score is not finite.
    """
    return float(_mean(check_scores("scores", scores)))


def median(scores: Scores) -> float:
    """Median over tasks of the mean over runs; for one task, that task's mean.

    Args:
        scores (Scores): one array ``[n_runs]`` per task.

    Raises:
        TypeError: if ``scores`` is no sequence of arrays of numbers.
        ValueError: if ``scores`` or a task is empty, or a score is not finite.
    """
    return float(_median(check_scores("scores", scores)))


def iqm(scores: Scores) -> float:
    """Interquartile mean: the mean of the middle half of all runs of all tasks.

    A quarter of the runs is cut from each end, rounded down to whole runs: of 5 runs
    one, of 3 none. Runs are pooled, so that a task with more runs weighs more.

    Args:
        scores (Scores): one array ``[n_runs]`` per task.

    Raises:
        TypeError: if ``scores`` is no sequence of arrays of numbers.
        ValueError: if ``scores`` or a task is empty, or a score is not finite.
    """
    return float(_iqm(check_scores("scores", scores)))


def _task_means(tasks: Sequence[FloatArray]) -> FloatArray:
    """``[n_tasks, *B]`` of one ``[*B, n_runs]`` per task."""
    return np.stack([task.mean(-1) for task in tasks])


def _mean(tasks: Sequence[FloatArray]) -> FloatArray:
    return np.asarray(_task_means(tasks).mean(0))


def _median(tasks: Sequence[FloatArray]) -> FloatArray:
    return np.asarray(np.median(_task_means(tasks), axis=0))


def _iqm(tasks: Sequence[FloatArray]) -> FloatArray:
    return np.asarray(trim_mean(np.concatenate(tasks, axis=-1), 0.25, axis=-1))


#: The same on one array ``[*B, n_runs]`` per task, giving ``[*B]``, without checks.
BATCHED: Mapping[Statistic, BatchedStatistic] = {
    mean: _mean,
    median: _median,
    iqm: _iqm,
}
