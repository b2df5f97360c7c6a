"""Counts of projection weights, summed over runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remix_plugin.results.run_result import RunResult, WeightCounts
from remix_plugin.statistics.scores import FloatArray

GROUP = "agents"


def sum_counts(runs: Sequence[RunResult], group: str = GROUP) -> WeightCounts:
    """Add up how the weights of several runs were distributed.

    Args:
        runs (sequence of RunResult): at least one.
        group (str): of agents.

    Raises:
        KeyError: if a run has no counts of the group.
        ValueError: if runs have other bins or intervals than the first.
    """
    for run in runs:
        if group not in run.weights:
            known = ", ".join(run.weights) or "none"
            raise KeyError(f"{run.name} has no weights of {group!r}: it has {known}.")
    first = runs[0].weights[group]
    for run in runs:
        own = run.weights[group]
        for field in ("centers", "frames"):
            ours, theirs = getattr(first, field), getattr(own, field)
            if ours != theirs:
                raise ValueError(
                    f"{runs[0].name} and {run.name} have counts of weights with "
                    f"different {field}, {ours} and {theirs}: they must have the same."
                )
    counts = sum(np.array(run.weights[group].counts, dtype=np.int64) for run in runs)
    rows = tuple(tuple(row) for row in np.asarray(counts).tolist())
    return WeightCounts(first.centers, first.frames, rows)


def n_sampled(counts: WeightCounts) -> int:
    """Transitions that were sampled in all intervals, those beyond the bins too."""
    return sum(sum(row) for row in counts.counts)


def shares(counts: WeightCounts) -> FloatArray:
    """Of the transitions of each interval, the share in each bin.

    Returns:
        FloatArray: ``[n_bins + 1, n_intervals]``, the last row those beyond all bins;
        each column adds up to 1.

    Raises:
        ValueError: if there is an interval without a transition.
    """
    table = np.array(counts.counts, dtype=np.float64).T
    totals = table.sum(0)
    if not totals.all():
        frames = counts.frames[int(np.argmin(totals))]
        raise ValueError(f"No transition was sampled in the interval up to {frames}.")
    return np.asarray(table / totals)
