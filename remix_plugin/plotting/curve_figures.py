"""Figures 1, 2, 4 and 5 of the ReMIX paper, and normalizations: learning curves."""

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
    NORMALIZATIONS,
    PUNISHED,
    SMALLEST_WEIGHTS,
    WITHOUT_TERMS,
    algorithm_groups,
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
    """Figure 1: returns on Predator-Prey, a panel per punishment.

    A picture per block and kind of algorithms, see :func:`~.runs.algorithm_groups`.

    Args:
        results (sequence of RunResult): of any tasks; variants of ReMIX are left out.
        styles (mapping): of each label.
    """
    own = [run for run in results if run.task in PUNISHED and not is_variant(run.label)]
    return [
        _draw(
            f"figure_1_{block}{suffix}",
            f"Returns on Predator-Prey, block {block}{kind}",
            f"Figure 1. Mean return of greedy episodes on Predator-Prey{kind}.",
            panels_of(shown),
            styles,
        )
        for block in blocks_of(own)
        for (suffix, kind), shown in algorithm_groups(
            [run for run in own if run.block == block]
        ).items()
    ]


def draw_win_rates(
    results: Sequence[RunResult], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 2: win rates of battles, a panel per map, and block if it has several.

    A picture per kind of algorithms, see :func:`~.runs.algorithm_groups`.

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
    text = "Figure 2. Share of greedy episodes that were won in battles"
    return [
        _draw(
            f"figure_2{suffix}",
            f"Win rates of battles{kind}",
            f"{text}{kind}.",
            panels_of(shown),
            styles,
        )
        for (suffix, kind), shown in algorithm_groups(own).items()
    ]


def draw_smallest_weights(
    results: Sequence[RunResult], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 4: ReMIX with other smallest weights, a panel per task that has any.

    Args:
        results (sequence of RunResult): of any tasks and labels.
        styles (mapping): of each label.
    """
    names = {
        "remix": "ReMIX, smallest weight 0.1",
        "remix_w_min_0_5": "smallest weight 0.5",
        "remix_w_min_0_8": "smallest weight 0.8",
    }
    title = "ReMIX with other smallest projection weights"
    own = _variants(results, SMALLEST_WEIGHTS)
    return _draw_variants("figure_4", "Figure 4. ", title, own, styles, names)


def draw_terms(
    results: Sequence[RunResult], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 5: ReMIX without one of its terms, a panel per task that has any.

    Args:
        results (sequence of RunResult): of any tasks and labels.
        styles (mapping): of each label.
    """
    names = {
        "remix": "ReMIX, all four terms",
        "remix_no_bellman_error": "without Bellman error",
        "remix_no_value_underestimation": "without value underestimation",
        "remix_no_mixer_gradient": "without mixer gradient",
        "remix_no_on_policyness": "without on-policyness",
    }
    title = "ReMIX without one of the four terms of its weight"
    own = _variants(results, WITHOUT_TERMS)
    return _draw_variants("figure_5", "Figure 5. ", title, own, styles, names)


def draw_normalizations(
    results: Sequence[RunResult], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """ReMIX with other normalizations of its weight, beside OW-QMIX and CW-QMIX.

    Args:
        results (sequence of RunResult): of any tasks and labels.
        styles (mapping): of each label.
    """
    own = _variants(results, NORMALIZATIONS, ("remix", "owqmix", "cwqmix"))
    title = "ReMIX with other normalizations of its weight"
    names = NAMES | {"remix": "ReMIX, clipped"}
    return _draw_variants("normalizations", "", title, own, styles, names)


def _variants(
    results: Sequence[RunResult],
    prefixes: tuple[str, ...],
    beside: Sequence[str] = ("remix",),
) -> list[RunResult]:
    """Variants of ReMIX, and what of their blocks and tasks they are compared with."""
    own = [run for run in results if run.label.startswith(prefixes)]
    panels = {(run.block, run.task) for run in own}
    others = [
        run
        for run in results
        if run.label in beside and (run.block, run.task) in panels
    ]
    return own + others


def _draw_variants(
    name: str,
    number: str,
    title: str,
    runs: Sequence[RunResult],
    styles: Mapping[str, Style],
    names: Mapping[str, str],
) -> list[PaperFigure]:
    """A picture per block, and per metric where a block has tasks of several."""
    figures = []
    for block in blocks_of(runs):
        own = [run for run in runs if run.block == block]
        metrics = sorted({metric_of(run) for run in own})
        for metric in metrics:
            kind = f"_{metric}" if len(metrics) > 1 else ""
            panels = panels_of([run for run in own if metric_of(run) == metric])
            text = f"{number}{title}: {METRICS[metric]} of greedy episodes."
            full = f"{title}, block {block}"
            figures.append(
                _draw(f"{name}_{block}{kind}", full, text, panels, styles, names)
            )
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
