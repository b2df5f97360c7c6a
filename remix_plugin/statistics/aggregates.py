"""One number for the scores of all runs on all tasks.

Every statistic takes an array ``[*B, n_runs]`` per task and gives ``[*B]``: of plain
scores one number, of bootstrap resamples one for each.

Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
Precipice" (arXiv 2108.13264), section 4, and its code, rliable's ``metrics.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from scipy.stats import trim_mean

from remix_plugin.statistics.scores import FloatArray

Statistic: TypeAlias = Callable[[Sequence[FloatArray]], FloatArray]


def mean(scores: Sequence[FloatArray]) -> FloatArray:
    """Mean over tasks of the mean over runs: every task weighs the same."""
    return np.asarray(_task_means(scores).mean(0))


def median(scores: Sequence[FloatArray]) -> FloatArray:
    """Median over tasks of the mean over runs; for one task, that task's mean."""
    return np.asarray(np.median(_task_means(scores), axis=0))


def iqm(scores: Sequence[FloatArray]) -> FloatArray:
    """Interquartile mean: the mean of the middle half of all runs of all tasks.

    A quarter of the runs is cut from each end, rounded down to whole runs: of 5 runs
    one, of 3 none. Runs are pooled, so that a task with more runs weighs more.
    """
    return np.asarray(trim_mean(np.concatenate(scores, axis=-1), 0.25, axis=-1))


def seed_median(scores: Sequence[FloatArray]) -> FloatArray:
    """Median over the runs of one task, where :func:`median` is that over tasks."""
    (task,) = scores
    return np.asarray(np.median(task, axis=-1))


def _task_means(scores: Sequence[FloatArray]) -> FloatArray:
    """``[n_tasks, *B]`` of one ``[*B, n_runs]`` per task."""
    return np.stack([task.mean(-1) for task in scores])
