"""What scores of runs look like, and their check.

Every statistic takes one 1-D array per task, which holds one score per run (seed), so
that tasks may have different numbers of runs. rliable's matrices ``[n_runs, n_tasks]``
become ``list(matrix.T)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
Scores: TypeAlias = Sequence[npt.NDArray[Any]]


def check_array(field: str, values: npt.ArrayLike, *, n_dims: int) -> FloatArray:
    """``values`` in float64, if they are finite and at least one.

    Args:
        field (str): name of the argument, for the message.
        values: what the user gave; booleans count as 0 and 1.

    Keyword Args:
        n_dims (int): number of dimensions that ``values`` must have.

    Raises:
        TypeError: if ``values`` are no real numbers.
        ValueError: if ``values`` have another number of dimensions, are empty, or hold
            a number that is not finite.
    """
    array = np.asarray(values)
    if array.ndim != n_dims or array.size == 0:
        raise ValueError(
            f"{field} of shape {array.shape} is not allowed: it must be a "
            f"{n_dims}-D array that is not empty."
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{field} of type {array.dtype} is not allowed: it must hold real numbers."
        )
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        at = tuple(int(index) for index in wrong[0])
        raise ValueError(
            f"{field}[{', '.join(map(str, at))}]={float(array[at])} is not allowed: "
            "it must be a finite number."
        )
    return array.astype(np.float64)


def check_scores(field: str, scores: Scores) -> list[FloatArray]:
    """Scores in float64, one array ``[n_runs]`` per task.

    Args:
        field (str): name of the argument, for the message.
        scores (Scores): what the user gave.

    Raises:
        TypeError: if ``scores`` is a single array, as its first dimension could be
            tasks or runs, or holds anything but real numbers.
        ValueError: if there is no task, or a task's array is not 1-D, is empty, or
            holds a number that is not finite.
    """
    if isinstance(scores, np.ndarray):
        raise TypeError(
            f"{field} of shape {scores.shape} is not allowed: it must be a sequence of "
            "1-D arrays, one per task; for one task put its array in a list."
        )
    if len(scores) == 0:
        raise ValueError(
            f"{field}={scores!r} is not allowed: it must hold at least one task."
        )
    return [
        check_array(f"{field}[{index}]", task, n_dims=1)
        for index, task in enumerate(scores)
    ]
