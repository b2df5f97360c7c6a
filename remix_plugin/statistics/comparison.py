"""One algorithm against another, and against every threshold.

Source: Agarwal et al. (arXiv 2108.13264), section 4: run-score distributions among
the performance profiles, and the average probability of improvement.

Shapes: ``*B`` any batch of resamples, ``n_runs`` runs of one task.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from remix_plugin.statistics.bootstrap import interval
from remix_plugin.statistics.scores import (
    FloatArray,
    Scores,
    check_array,
    check_scores,
)


def probability_of_improvement(x: Scores, y: Scores) -> float:
    """How likely a run of ``x`` beats a run of ``y`` on the same task.

    The mean over tasks of ``P(X > Y) + P(X = Y) / 2``, over all pairs of runs: each
    task's Mann-Whitney U divided by the number of pairs.

    Args:
        x (Scores): one array ``[n_runs]`` per task.
        y (Scores): the other algorithm's, of the same tasks in the same order; the
            numbers of runs may differ.

    Returns:
        float: in ``[0, 1]``; 0.5 if neither is better.

    Raises:
        TypeError: if ``x`` or ``y`` is no sequence of arrays of numbers.
        ValueError: if ``x``, ``y`` or a task is empty, a score is not finite, or the
            numbers of tasks differ.
    """
    return float(_improvement(*_check_pair(x, y)))


def improvement_interval(x: Scores, y: Scores) -> tuple[FloatArray, FloatArray]:
    """95% interval of ``probability_of_improvement``, runs of both drawn independently.

    Args:
        x (Scores): one array ``[n_runs]`` per task.
        y (Scores): the other algorithm's, of the same tasks in the same order.

    Returns:
        tuple[FloatArray, FloatArray]: lower and upper end; NaN if a task has a single
        run. If every run of one beats every run of the other, an interval of no width.

    Raises:
        TypeError: if ``x`` or ``y`` is no sequence of arrays of numbers.
        ValueError: as ``probability_of_improvement``.
    """
    x_tasks, y_tasks = _check_pair(x, y)
    n_tasks = len(x_tasks)
    return interval(
        lambda drawn: _improvement(drawn[:n_tasks], drawn[n_tasks:]),
        [*x_tasks, *y_tasks],
    )


def performance_profile(scores: Scores, thresholds: npt.ArrayLike) -> FloatArray:
    """Fraction of runs that score strictly above each threshold.

    The mean over tasks of each task's fraction, so that every task weighs the same.

    Args:
        scores (Scores): one array ``[n_runs]`` per task.
        thresholds: ``[n_thresholds]``, in units of the score.

    Returns:
        FloatArray: ``[n_thresholds]``, in ``[0, 1]``.

    Raises:
        TypeError: if ``scores`` is no sequence of arrays of numbers, or ``thresholds``
            are no numbers.
        ValueError: if anything is empty or not finite, or ``thresholds`` not 1-D.
    """
    tasks = check_scores("scores", scores)
    return _profile(tasks, check_array("thresholds", thresholds, n_dims=1))


def profile_interval(
    scores: Scores, thresholds: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """95% intervals of ``performance_profile``, each for its threshold alone.

    Args:
        scores (Scores): one array ``[n_runs]`` per task.
        thresholds: ``[n_thresholds]``, in units of the score.

    Returns:
        tuple[FloatArray, FloatArray]: lower and upper ends ``[n_thresholds]``; all NaN
        if a task has a single run.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: as ``performance_profile``.
    """
    levels = check_array("thresholds", thresholds, n_dims=1)
    return interval(lambda drawn: _profile(drawn, levels), scores)


def _check_pair(x: Scores, y: Scores) -> tuple[list[FloatArray], list[FloatArray]]:
    x_tasks, y_tasks = check_scores("x", x), check_scores("y", y)
    if len(x_tasks) != len(y_tasks):
        raise ValueError(
            f"x of {len(x_tasks)} and y of {len(y_tasks)} tasks is not allowed: both "
            "must hold the same tasks, in the same order."
        )
    return x_tasks, y_tasks


def _improvement(
    x_tasks: Sequence[FloatArray], y_tasks: Sequence[FloatArray]
) -> FloatArray:
    """``[*B]`` of one ``[*B, n_runs]`` per task of each algorithm."""
    of_tasks = []
    for x, y in zip(x_tasks, y_tasks, strict=True):
        ours, theirs = x[..., :, None], y[..., None, :]
        # A tie is in the second alone, and so counts half.
        wins = (ours > theirs).mean((-2, -1)) + (ours >= theirs).mean((-2, -1))
        of_tasks.append(wins / 2)
    return np.asarray(np.mean(of_tasks, axis=0))


def _profile(tasks: Sequence[FloatArray], thresholds: FloatArray) -> FloatArray:
    """``[n_thresholds, *B]`` of one ``[*B, n_runs]`` per task."""
    above = [[(task > level).mean(-1) for level in thresholds] for task in tasks]
    return np.asarray(np.mean(above, axis=0))
