"""How soon a run learns: the height of its curve and when it reaches a score.

Frames are environment steps summed over the batch, at which a run was evaluated.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.integrate import trapezoid

from remix_plugin.statistics.scores import FloatArray, check_array
from remix_plugin.validation import check_number


def area_under_curve(frames: npt.ArrayLike, values: npt.ArrayLike) -> float:
    """Mean height of a learning curve, in units of the score.

    The area under straight lines from evaluation to evaluation, divided by the frames
    that they span, so that a constant curve gives its constant.

    Args:
        frames: ``[n_points]``, whole numbers that increase strictly, at least two.
        values: score at each evaluation ``[n_points]``.

    Raises:
        TypeError: if an argument holds anything but numbers.
        ValueError: if ``frames`` or ``values`` is empty, not 1-D or not finite, their
            lengths differ, there is a single evaluation, or ``frames`` are no whole
            numbers or do not increase.
    """
    at, heights = _check_curve(frames, values)
    if len(at) < 2:
        raise ValueError(
            f"frames={at.tolist()} is not allowed: an area needs at least two "
            "evaluations."
        )
    return float(trapezoid(heights, at) / (at[-1] - at[0]))


def frames_to_reach(
    frames: npt.ArrayLike, values: npt.ArrayLike, threshold: float
) -> int | None:
    """Frames at the first evaluation that scores at least ``threshold``.

    Nothing is interpolated between evaluations, and a later fall does not count.

    Args:
        frames: ``[n_points]``, whole numbers that increase strictly.
        values: score at each evaluation ``[n_points]``.
        threshold (float): score to reach.

    Returns:
        int | None: ``None`` if no evaluation reaches it.

    Raises:
        TypeError: if an argument holds anything but numbers.
        ValueError: if ``frames`` or ``values`` is empty, not 1-D or not finite, their
            lengths differ, ``frames`` are no whole numbers or do not increase, or
            ``threshold`` is not finite.
    """
    at, heights = _check_curve(frames, values)
    check_number("threshold", threshold)
    reached = np.flatnonzero(heights >= threshold)
    return int(at[reached[0]]) if len(reached) else None


def _check_curve(
    frames: npt.ArrayLike, values: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    at = check_array("frames", frames, n_dims=1)
    heights = check_array("values", values, n_dims=1)
    if len(at) != len(heights):
        raise ValueError(
            f"frames of {len(at)} and values of {len(heights)} evaluations is not "
            "allowed: both must have the same length."
        )
    wrong = at[at != np.floor(at)]
    if len(wrong):
        raise ValueError(
            f"frames={wrong[0]} is not allowed: frames must be whole numbers."
        )
    back = np.flatnonzero(np.diff(at) <= 0)
    if len(back):
        index = int(back[0]) + 1
        raise ValueError(
            f"frames[{index}]={at[index]:.0f} after {at[index - 1]:.0f} is not "
            "allowed: frames must increase strictly."
        )
    return at, heights
