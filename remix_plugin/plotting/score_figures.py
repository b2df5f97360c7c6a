"""Scores at the end of training: by task, and how many runs exceed a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from remix_plugin.plotting.captions import METRICS, describe_runs
from remix_plugin.plotting.panels import (
    Panel,
    block_words,
    blocks_of,
    comparisons,
    headings,
    is_other,
    shared_panels,
    without_variants,
)
from remix_plugin.plotting.paper_figure import PaperFigure, line_options
from remix_plugin.plotting.style import NAMES, Style, name_of
from remix_plugin.statistics.aggregates import mean
from remix_plugin.statistics.bootstrap import interval
from remix_plugin.statistics.comparison import performance_profile, profile_interval
from remix_plugin.statistics.scores import FloatArray

N_THRESHOLDS = 81


def draw_final_scores(
    panels: Sequence[Panel], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Mean and seeds of the last evaluation, a row per algorithm, a panel per task."""
    others = [panel for panel in without_variants(panels) if is_other(panel)]
    return [
        *(
            _draw_final(suffix, f", {words}", own, styles)
            for (suffix, words), own in comparisons(panels).items()
        ),
        *(
            _draw_final(
                f"returns_{block}",
                block_words(block),
                [panel for panel in others if panel.block == block],
                styles,
                same_units=False,
            )
            for block in blocks_of(others)
        ),
    ]


def draw_profiles(
    panels: Sequence[Panel], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Share of runs above each score, over the tasks that all algorithms have."""
    figures = []
    for names, own in comparisons(panels).items():
        shared = shared_panels(own)
        if shared and len(shared[0].runs) > 1:
            figures.append(_draw_profile(*names, shared, styles))
    return figures


def _draw_final(
    suffix: str,
    words: str,
    panels: Sequence[Panel],
    styles: Mapping[str, Style],
    *,
    same_units: bool = True,
) -> PaperFigure:
    labels = _labels(panels, styles)
    metric = panels[0].metric

    def draw(axis: Axes, number: int) -> None:
        panel = panels[number]
        for row, label in enumerate(labels):
            if label in panel.runs:
                draw_scores(axis, row, label, panel.final_scores(label), styles[label])
        axis.set_yticks(range(len(labels)), [name_of(label) for label in labels])
        axis.set_ylim(len(labels) - 0.4, -0.6)

    return PaperFigure(
        f"final_{suffix}",
        f"Scores at the end of training{words}",
        f"{METRICS[metric].capitalize()} of the last evaluation{words}: mean over "
        "seeds (marker), its 95% bootstrap interval (bar), and the seeds (ticks). "
        f"{describe_runs(panels, 'row')}",
        headings(panels),
        draw,
        (METRICS[metric], ""),
        styles={},
        names={},
        shared=(same_units, True),
    )


def draw_scores(
    axis: Axes, row: int, label: str, scores: FloatArray, style: Style
) -> None:
    """Seeds, mean and interval of the last evaluation in one row.

    Args:
        axis (Axes): of the panel.
        row (int): height of the row.
        label (str): of the runs.
        scores (FloatArray): of each seed ``[n_runs]``.
        style (Style): of the label.
    """
    axis.plot(
        scores,
        np.full(len(scores), row + 0.28),
        linestyle="",
        marker="|",
        color=style.color,
        markersize=4.5,
    )
    axis.plot(interval(mean, [scores]), [row, row], color=style.color, linewidth=2.0)
    options = {**line_options(label, style), "linestyle": "", "markersize": 5.5}
    axis.plot([mean([scores])], [row], label=label, **options)


def _draw_profile(
    suffix: str, words: str, panels: Sequence[Panel], styles: Mapping[str, Style]
) -> PaperFigure:
    labels = _labels(panels, styles)
    metric = METRICS[panels[0].metric]
    scores = {k: [panel.final_scores(k) for panel in panels] for k in labels}
    levels = _levels(np.concatenate([one for own in scores.values() for one in own]))

    def draw(axis: Axes, _: int) -> None:
        for number, label in enumerate(labels):
            axis.plot(
                levels,
                performance_profile(scores[label], levels),
                label=label,
                markevery=(number, 12),
                **line_options(label, styles[label]),
            )
            low, high = profile_interval(scores[label], levels)
            if not np.isnan(low).any():
                color = styles[label].color
                axis.fill_between(
                    levels, low, high, color=color, alpha=0.12, linewidth=0
                )

    return PaperFigure(
        f"profile_{suffix}",
        f"Share of runs above each score, {words}",
        f"Performance profiles, {words}: share of runs whose last evaluation has a "
        f"larger {metric}, every task weighing the same, with 95% bootstrap "
        "intervals unless an algorithm has a single seed of a task. Tasks: "
        f"{', '.join(headings(panels))}. {describe_runs(panels, 'algorithm and task')}",
        [""],
        draw,
        (f"{metric} of the last evaluation", "share of runs"),
        {label: styles[label] for label in labels},
        NAMES,
    )


def _levels(scores: FloatArray) -> FloatArray:
    """Thresholds over all scores and 0, at least 0.1 wide where all are equal."""
    lowest = min(0.0, scores.min())
    return np.linspace(lowest, max(scores.max(), lowest + 0.1), N_THRESHOLDS)


def _labels(panels: Sequence[Panel], styles: Mapping[str, Style]) -> list[str]:
    present = {label for panel in panels for label in panel.runs}
    return [label for label in styles if label in present]
