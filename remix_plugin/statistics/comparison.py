"""One algorithm against another, and against every threshold.

Shapes are those of ``aggregates``: an array ``[*B, n_runs]`` per task.

Source: Agarwal et al. (arXiv 2108.13264), section 4: run-score distributions among
the performance profiles, and the average probability of improvement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from remix_plugin.statistics.bootstrap import interval
from remix_plugin.statistics.scores import FloatArray, Scores, check_array


def probability_of_improvement(
    x: Sequence[FloatArray], y: Sequence[FloatArray]
) -> FloatArray:
    """How likely a run of ``x`` beats a run of ``y`` on the same task ``[*B]``.

    The mean over tasks of ``P(X > Y) + P(X = Y) / 2``, over all pairs of runs: each
    task's Mann-Whitney U divided by the number of pairs. 0.5 if neither is better.

    Args:
        x (Sequence[FloatArray]): one array ``[*B, n_runs]`` per task.
        y (Sequence[FloatArray]): the other algorithm's, of the same tasks in the same
            order; the numbers of runs may differ.

    Raises:
        ValueError: if the numbers of tasks differ.
    """
    of_tasks = []
    for ours, theirs in zip(x, y, strict=True):
        # A tie is in the second alone, and so counts half.
        ours, theirs = ours[..., :, None], theirs[..., None, :]
        wins = (ours > theirs).mean((-2, -1)) + (ours >= theirs).mean((-2, -1))
        of_tasks.append(wins / 2)
    return np.asarray(np.mean(of_tasks, axis=0))


def improvement_interval(x: Scores, y: Scores) -> tuple[FloatArray, FloatArray]:
    """95% interval of ``probability_of_improvement``, runs of both drawn independently.

    NaN if a task has a single run. If every run of one beats every run of the other, an
    interval of no width. Errors are those of ``bootstrap.interval``.
    """
    return interval(
        lambda drawn: probability_of_improvement(drawn[: len(x)], drawn[len(x) :]),
        [*x, *y],
    )


def performance_profile(
    scores: Sequence[FloatArray], thresholds: npt.ArrayLike
) -> FloatArray:
    """Fraction of runs that score strictly above each threshold.

    The mean over tasks of each task's fraction, so that every task weighs the same.

    Args:
        scores (Sequence[FloatArray]): one array ``[*B, n_runs]`` per task.
        thresholds: ``[n_thresholds]``, in units of the score.

    Returns:
        FloatArray: ``[n_thresholds, *B]``, in ``[0, 1]``.
    """
    levels = check_array("thresholds", thresholds, n_dims=1)
    above = [[(task > level).mean(-1) for level in levels] for task in scores]
    return np.asarray(np.mean(above, axis=0))


def profile_interval(
    scores: Scores, thresholds: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """95% intervals of ``performance_profile``, each for its threshold alone.

    All NaN if a task has a single run. Errors are those of ``bootstrap.interval``.
    """
    return interval(lambda drawn: performance_profile(drawn, thresholds), scores)
