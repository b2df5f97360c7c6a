"""An axis of returns that leaves room for good ones where others are far below 0."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from remix_plugin.statistics.scores import FloatArray

# Below 0 the axis has the same slope as above at 0, and is logarithmic from about here
# on. Unless a return is below it, all of the axis is linear.
BEND = -10.0
TICKS_ABOVE = 10.0


def is_bent(lowest: float) -> bool:
    """Whether an axis of returns that go down to ``lowest`` is to be bent."""
    return lowest < BEND


def forward(returns: FloatArray) -> FloatArray:
    """Positions of returns: as they are above 0, ``-10 log(1 - return / 10)`` below."""
    below = np.minimum(returns, 0.0)
    return np.where(returns < 0, BEND * np.log1p(below / BEND), returns)


def inverse(positions: FloatArray) -> FloatArray:
    """Returns at positions."""
    below = np.minimum(positions, 0.0)
    return np.where(positions < 0, BEND * np.expm1(below / BEND), positions)


def bend(axis: Axes, lowest: float, highest: float) -> None:
    """Bend the y axis of a panel, and of those that share it.

    Marked are -10, -30, -100, -300, ..., the last one at most at twice ``lowest``.

    Args:
        axis (Axes): with its curves drawn.
        lowest (float): return that is drawn, below ``BEND``.
        highest (float): return that is drawn.
    """
    series = [BEND * factor * 10**decade for decade in range(9) for factor in (1, 3)]
    below = [tick for tick in series if tick >= 2 * lowest]
    above = np.arange(0.0, max(highest, 0.0) + TICKS_ABOVE, TICKS_ABOVE)
    axis.set_yscale("function", functions=(forward, inverse))
    axis.yaxis.set_major_locator(FixedLocator([*reversed(below), *above]))
    axis.yaxis.set_minor_locator(NullLocator())
    low, high = forward(np.array([min(lowest, below[-1]), highest]))
    margin = 0.04 * (high - low)
    axis.set_ylim(*inverse(np.array([low - margin, high + margin])))
