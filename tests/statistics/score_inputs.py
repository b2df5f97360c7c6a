"""Scores that several tests share, and what Hypothesis makes up."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)

# Where a test says "rliable", its numbers were printed by rliable 1.2.0 with arch
# 7.2.0, numpy 2.4.6, scipy 1.17.1 and pandas 2.3.3 on Python 3.11, for the matrices
# ``np.array(RLIABLE_X).T`` and ``np.array(RLIABLE_Y).T``, as its rows are runs.
# X has 5 runs and Y 4, of 3 tasks; 0.48 in the first and 0.72 in the second are ties.
RLIABLE_X = [
    np.array([0.31, 0.48, 0.12, 0.67, 0.25]),
    np.array([0.72, 0.55, 0.91, 0.64, 0.83]),
    np.array([1.15, 0.92, 1.31, 0.85, 1.07]),
]
RLIABLE_Y = [
    np.array([0.22, 0.35, 0.48, 0.19]),
    np.array([0.72, 0.49, 0.61, 0.77]),
    np.array([1.02, 0.88, 0.97, 1.15]),
]

# Few numbers, so that ties are common, and any others.
score = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e3, 1e3))


def tasks(n_tasks: int | None = None, min_runs: int = 1) -> st.SearchStrategy:
    """Scores of some tasks, or of ``n_tasks``."""
    task = st.lists(score, min_size=min_runs, max_size=6).map(np.array)
    low, high = (1, 4) if n_tasks is None else (n_tasks, n_tasks)
    return st.lists(task, min_size=low, max_size=high)


pairs = st.integers(1, 3).flatmap(lambda n: st.tuples(tasks(n), tasks(n)))


def is_percentile(exact: np.ndarray, share: float, n_drawn: int, end: float) -> bool:
    """Whether ``n_drawn`` of equally likely results can have this percentile.

    The share of them below the percentile is off by at most 4 standard errors.
    """
    error = 4 * math.sqrt(share * (1 - share) / n_drawn)
    below, above = np.quantile(exact, [share - error, share + error])
    return bool(below - 1e-9 <= end <= above + 1e-9)


def scores(*rows: list[float]) -> list[np.ndarray]:
    """One task per row."""
    return [np.array(row, dtype=float) for row in rows]
