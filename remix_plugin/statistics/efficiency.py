"""How soon a run learns: the height of its curve and when it reaches a score.

Frames are environment steps summed over the batch, at which a run was evaluated: whole
numbers that increase strictly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.integrate import trapezoid

from remix_plugin.statistics.scores import check_array


def area_under_curve(frames: npt.ArrayLike, values: npt.ArrayLike) -> float:
    """Mean height of a learning curve, in units of the score.

    The area under straight lines from evaluation to evaluation, divided by the frames
    that they span, so that a constant curve gives its constant.

    Args:
        frames: ``[n_points]``, at least two.
        values: score at each evaluation ``[n_points]``.

    Raises:
        ValueError: if ``frames`` or ``values`` is not 1-D or not finite, their lengths
            differ, or there is a single evaluation.
    """
    at = check_array("frames", frames, n_dims=1)
    if len(at) < 2:
        raise ValueError(
            f"frames={at.tolist()} is not allowed: an area needs at least two "
            "evaluations."
        )
    heights = check_array("values", values, n_dims=1).reshape(at.shape)
    return float(trapezoid(heights, at) / (at[-1] - at[0]))


def frames_to_reach(
    frames: npt.ArrayLike, values: npt.ArrayLike, threshold: float
) -> int | None:
    """Frames at the first evaluation that scores at least ``threshold``.

    Nothing is interpolated between evaluations, and a later fall does not count.

    Args:
        frames: ``[n_points]``.
        values: score at each evaluation ``[n_points]``.
        threshold (float): score to reach.

    Returns:
        int | None: ``None`` if no evaluation reaches it.
    """
    reached = np.flatnonzero(check_array("values", values, n_dims=1) >= threshold)
    return int(np.asarray(frames)[reached[0]]) if len(reached) else None
