"""Figure 3 of the ReMIX paper: projection weights over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter

from remix_plugin.plotting.captions import describe_runs
from remix_plugin.plotting.panels import HARDEST, Panel, block_words
from remix_plugin.plotting.paper_figure import PaperFigure
from remix_plugin.plotting.style import Style, name_of
from remix_plugin.results.run_result import RunResult, WeightCounts
from remix_plugin.statistics.scores import FloatArray

GROUP = "agents"
LABELS = ("remix", "owqmix")
# Smaller ones are white.
SMALLEST_SHARE = 1e-4


def draw_weights(
    panels: Sequence[Panel], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 3, a picture per block: ReMIX beside OW-QMIX, summed over seeds."""
    kept = [_with_weights(panel) for panel in panels if panel.task == HARDEST]
    return [_draw(panel) for panel in kept if panel.runs]


def _with_weights(panel: Panel) -> Panel:
    """The runs whose weights are drawn."""
    own = {
        label: [run for run in panel.runs.get(label, ()) if GROUP in run.weights]
        for label in LABELS
    }
    return replace(panel, runs={label: runs for label, runs in own.items() if runs})


def _draw(panel: Panel) -> PaperFigure:
    counts = {label: sum_counts(own) for label, own in panel.runs.items()}
    caption = (
        "Figure 3. Projection weights of sampled transitions over training on "
        "Predator-Prey, punishment -2: share of each weight in each interval, summed "
        f"over seeds; white: less than {SMALLEST_SHARE:g}; dashed line: mean weight. "
        f"{_totals(counts)} {describe_runs([panel], 'panel')}"
    )
    title = "Projection weights over training at punishment -2"

    def draw(axis: Axes, number: int) -> None:
        mesh = draw_map(axis, [*counts.values()][number])
        bar = axis.figure.colorbar(mesh, ax=axis, aspect=14, pad=0.02)
        bar.set_label("share of transitions")
        bar.outline.set_linewidth(0.6)

    return PaperFigure(
        f"figure_3_{panel.block}",
        f"{title}{block_words(panel.block)}",
        caption,
        [name_of(label) for label in counts],
        draw,
        ("frames", "projection weight"),
        styles={},
        names={},
    )


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


def draw_map(axis: Axes, counts: WeightCounts) -> Any:
    """A cell per interval and bin, colored by share, and the mean weight.

    Weights beyond the last bin have a row above it if there are any.

    Returns:
        QuadMesh: with the shares, for a color bar.
    """
    table = shares(counts)
    centers = np.array(counts.centers)
    width = centers[1] - centers[0]
    if not table[-1].any():
        table = table[:-1]
    bottom = centers[0] - width / 2
    levels = bottom + width * np.arange(len(table) + 1)
    frames = [0, *counts.frames]
    mesh = axis.pcolormesh(
        frames,
        levels,
        np.ma.masked_less(table, SMALLEST_SHARE),
        norm=LogNorm(vmin=SMALLEST_SHARE, vmax=1),
        cmap="viridis_r",
        rasterized=True,
    )
    ends = [center for center in (*centers, levels[-1])][: len(table)]
    axis.plot(
        (np.array(frames[1:]) + frames[:-1]) / 2,
        np.array(ends) @ table,
        color="black",
        linestyle="--",
        linewidth=1.2,
        path_effects=[withStroke(linewidth=2.6, foreground="white")],
    )
    axis.grid(False)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    return mesh


def _totals(counts: Mapping[str, WeightCounts]) -> str:
    each = [f"{name_of(label)} {n_sampled(own):,}" for label, own in counts.items()]
    words = f"Transitions: {', '.join(each)}."
    missing = [name_of(label) for label in LABELS if label not in counts]
    return words + (f" There are no runs of {missing[0]} yet." if missing else "")
