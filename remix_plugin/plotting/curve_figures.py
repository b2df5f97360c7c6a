"""Figures 1, 2, 4 and 5 of the ReMIX paper: learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from remix_plugin.plotting.captions import METRICS, Panels, facts
from remix_plugin.plotting.mean_curves import MeanCurve, mean_curve
from remix_plugin.plotting.paper_figure import (
    PaperFigure,
    add_legend,
    label_axes,
    line_options,
    new_panels,
    paper_look,
)
from remix_plugin.plotting.return_axis import bend, is_bent
from remix_plugin.plotting.runs import (
    BATTLES,
    HARDEST,
    PUNISHED,
    blocks_of,
    environment_of,
    is_variant,
    metric_of,
    panels_of,
)
from remix_plugin.plotting.style import NAMES, Style
from remix_plugin.results.run_result import RunResult

MARKERS_PER_CURVE = 7
BANDS = "Lines: mean over seeds; bands: its 95% bootstrap interval."


def draw_returns(
    results: Sequence[RunResult], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 1: returns on Predator-Prey, a picture per block, a panel per punishment.

    Args:
        results (sequence of RunResult): of any tasks; variants of ReMIX are left out.
        styles (mapping): of each label.
    """
    own = [run for run in results if run.task in PUNISHED and not is_variant(run.label)]
    return [
        _draw(
            f"figure_1_{block}",
            f"Returns on Predator-Prey, block {block}",
            "Figure 1. Mean return of greedy episodes on Predator-Prey.",
            panels_of([run for run in own if run.block == block]),
            styles,
        )
        for block in blocks_of(own)
    ]


def draw_win_rates(
    results: Sequence[RunResult], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 2: win rates of battles, a panel per map, and block if it has several.

    Args:
        results (sequence of RunResult): of any tasks; variants of ReMIX are left out.
        styles (mapping): of each label.
    """
    own = [
        run
        for run in results
        if environment_of(run) in BATTLES and not is_variant(run.label)
    ]
    if not own:
        return []
    title = "Win rates of battles"
    text = "Figure 2. Share of greedy episodes that were won in battles."
    return [_draw("figure_2", title, text, panels_of(own), styles)]


def draw_smallest_weights(
    results: Sequence[RunResult], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 4: ReMIX with other smallest weights, at the largest punishment.

    Args:
        results (sequence of RunResult): of any tasks and labels.
        styles (mapping): of each label.
    """
    return _draw_variants(
        4,
        "ReMIX with other smallest projection weights",
        "remix_w_min_",
        {
            "remix": "ReMIX, smallest weight 0.1",
            "remix_w_min_0_5": "smallest weight 0.5",
            "remix_w_min_0_8": "smallest weight 0.8",
        },
        results,
        styles,
    )


def draw_terms(
    results: Sequence[RunResult], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 5: ReMIX without one of its terms, at the largest punishment.

    Args:
        results (sequence of RunResult): of any tasks and labels.
        styles (mapping): of each label.
    """
    return _draw_variants(
        5,
        "ReMIX without one of the four terms of its weight",
        "remix_no_",
        {
            "remix": "ReMIX, all four terms",
            "remix_no_bellman_error": "without Bellman error",
            "remix_no_value_underestimation": "without value underestimation",
            "remix_no_mixer_gradient": "without mixer gradient",
            "remix_no_on_policyness": "without on-policyness",
        },
        results,
        styles,
    )


def _draw_variants(
    number: int,
    title: str,
    prefix: str,
    names: Mapping[str, str],
    results: Sequence[RunResult],
    styles: Mapping[str, Style],
) -> list[PaperFigure]:
    hardest = [run for run in results if run.task == HARDEST]
    figures = []
    for block in blocks_of(run for run in hardest if run.label.startswith(prefix)):
        chosen = [
            run
            for run in hardest
            if run.block == block
            and (run.label == "remix" or run.label.startswith(prefix))
        ]
        text = f"Figure {number}. {title}: mean return of greedy episodes."
        name = f"figure_{number}_{block}"
        full = f"{title}, block {block}"
        figures.append(_draw(name, full, text, panels_of(chosen), styles, names))
    return figures


def _draw(
    name: str,
    title: str,
    text: str,
    panels: Panels,
    styles: Mapping[str, Style],
    names: Mapping[str, str] = NAMES,
) -> PaperFigure:
    labels = {label for own in panels.values() for label in own}
    shown = {label: style for label, style in styles.items() if label in labels}
    words = [names.get(label, label) for label in shown]
    metric = metric_of(next(iter(next(iter(panels.values())).values()))[0])
    curves = {
        heading: {label: mean_curve(runs, metric) for label, runs in own.items()}
        for heading, own in panels.items()
    }
    lowest, highest = _range(curves)
    bent = metric == "return" and is_bent(lowest)
    axis_words = " Below 0 the axis is logarithmic." if bent else ""
    caption = f"{text} {BANDS}{axis_words} {facts(panels)}"
    with paper_look():
        figure, axes = new_panels(len(panels), caption, names=words)
        each = [axis for row in axes for axis in row]
        for axis, (heading, own) in zip(each, curves.items(), strict=True):
            _draw_panel(axis, own, shown)
            axis.set_title(heading)
        if bent:
            bend(each[0], lowest, highest)
        label_axes(axes, "frames", METRICS[metric])
        add_legend(figure, shown, words)
    return PaperFigure(name, title, caption, figure)


def _draw_panel(
    axis: Axes, curves: Mapping[str, MeanCurve], styles: Mapping[str, Style]
) -> None:
    for number, (label, style) in enumerate(styles.items()):
        if label not in curves:
            continue
        curve = curves[label]
        step = max(1, len(curve.frames) // MARKERS_PER_CURVE)
        axis.plot(
            curve.frames,
            curve.mean,
            label=label,
            markevery=(number % step, step),
            **line_options(label, style),
        )
        if not np.isnan(curve.low).any():
            axis.fill_between(
                curve.frames,
                curve.low,
                curve.high,
                color=style.color,
                alpha=0.14,
                linewidth=0,
            )
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.margins(x=0.02)


def _range(curves: Mapping[str, Mapping[str, MeanCurve]]) -> tuple[float, float]:
    """Lowest and highest of all that is drawn."""
    each = [curve for own in curves.values() for curve in own.values()]
    drawn = np.concatenate([line for c in each for line in (c.mean, c.low, c.high)])
    return float(np.nanmin(drawn)), float(np.nanmax(drawn))
