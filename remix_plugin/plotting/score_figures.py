"""Scores at the end of training: by task, and how many runs exceed a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from remix_plugin.plotting.captions import METRICS, Panels, facts
from remix_plugin.plotting.paper_figure import (
    PaperFigure,
    add_legend,
    label_axes,
    line_options,
    new_panels,
    paper_look,
)
from remix_plugin.plotting.run_scores import final_scores, interval_of
from remix_plugin.plotting.runs import comparisons, metric_of, panels_of, shared_panels
from remix_plugin.plotting.style import Style, name_of
from remix_plugin.results.run_result import RunResult
from remix_plugin.statistics.aggregates import mean
from remix_plugin.statistics.comparison import performance_profile, profile_interval

N_THRESHOLDS = 81


def draw_final_scores(
    results: Sequence[RunResult], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Mean and seeds of the last evaluation, a row per algorithm, a panel per task.

    Args:
        results (sequence of RunResult): of any tasks; variants of ReMIX are left out.
        styles (mapping): of each label.
    """
    return [
        _draw_final(suffix, words, panels_of(runs), styles)
        for (suffix, words), runs in comparisons(results).items()
    ]


def draw_profiles(
    results: Sequence[RunResult], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Share of runs above each score, over the tasks that all algorithms have.

    Args:
        results (sequence of RunResult): of any tasks; variants of ReMIX are left out.
        styles (mapping): of each label.
    """
    figures = []
    for (suffix, words), runs in comparisons(results).items():
        shared = shared_panels(runs)
        if shared and len({run.label for run in runs}) > 1:
            figures.append(_draw_profile(suffix, words, shared, styles))
    return figures


def _draw_final(
    suffix: str, words: str, panels: Panels, styles: Mapping[str, Style]
) -> PaperFigure:
    labels = _labels(panels, styles)
    metric = _metric(panels)
    title = f"Scores at the end of training, {words}"
    caption = (
        f"{METRICS[metric].capitalize()} of the last evaluation, {words}: mean over "
        "seeds (marker), its 95% bootstrap interval (bar), and the seeds (ticks). "
        f"{facts(panels, 'row')}"
    )
    with paper_look():
        figure, axes = new_panels(len(panels), caption, sharex=True)
        each = [axis for row in axes for axis in row]
        for axis, (heading, own) in zip(each, panels.items(), strict=True):
            axis.set_title(heading)
            for number, label in enumerate(labels):
                if label in own:
                    draw_scores(axis, number, label, own[label], styles[label])
            names = [name_of(label) for label in labels]
            axis.set_yticks(range(len(labels)), names)
            axis.set_ylim(len(labels) - 0.4, -0.6)
        label_axes(axes, METRICS[metric], "")
    return PaperFigure(f"final_{suffix}", title, caption, figure)


def draw_scores(
    axis: Axes, row: int, label: str, runs: Sequence[RunResult], style: Style
) -> None:
    """Seeds, mean and interval of the last evaluation in one row."""
    scores = final_scores(runs)
    axis.plot(
        scores,
        np.full(len(scores), row + 0.28),
        linestyle="",
        marker="|",
        color=style.color,
        markersize=4.5,
    )
    low, high = interval_of(mean, scores)
    axis.plot([low, high], [row, row], color=style.color, linewidth=2.0)
    options = {**line_options(label, style), "linestyle": "", "markersize": 5.5}
    axis.plot([mean([scores])], [row], label=label, **options)


def _draw_profile(
    suffix: str, words: str, panels: Panels, styles: Mapping[str, Style]
) -> PaperFigure:
    labels = _labels(panels, styles)
    metric = _metric(panels)
    scores = {k: [final_scores(own[k]) for own in panels.values()] for k in labels}
    everything = np.concatenate([task for tasks in scores.values() for task in tasks])
    lowest = min(0.0, everything.min())
    # At least so wide where all scores are equal
    highest = max(everything.max(), lowest + 0.1)
    levels = np.linspace(lowest, highest, N_THRESHOLDS)
    title = f"Share of runs above each score, {words}"
    caption = (
        f"Performance profiles, {words}: share of runs whose last evaluation has a "
        f"larger {METRICS[metric]}, every task weighing the same, with 95% bootstrap "
        "intervals unless an algorithm has a single seed of a task. Tasks: "
        f"{', '.join(panels)}. {facts(panels, 'algorithm and task')}"
    )
    names = [name_of(label) for label in labels]
    with paper_look():
        figure, axes = new_panels(1, caption, names=names)
        axis = axes[0][0]
        for number, label in enumerate(labels):
            style = styles[label]
            axis.plot(
                levels,
                performance_profile(scores[label], levels),
                label=label,
                markevery=(number, 12),
                **line_options(label, style),
            )
            low, high = profile_interval(scores[label], levels)
            if not np.isnan(low).any():
                axis.fill_between(
                    levels, low, high, color=style.color, alpha=0.12, linewidth=0
                )
        label_axes(axes, f"{METRICS[metric]} of the last evaluation", "share of runs")
        add_legend(figure, {label: styles[label] for label in labels}, names)
    return PaperFigure(f"profile_{suffix}", title, caption, figure)


def _labels(panels: Panels, styles: Mapping[str, Style]) -> list[str]:
    present = {label for own in panels.values() for label in own}
    return [label for label in styles if label in present]


def _metric(panels: Panels) -> str:
    return metric_of(next(iter(next(iter(panels.values())).values()))[0])
