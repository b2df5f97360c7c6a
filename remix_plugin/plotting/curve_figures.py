"""Learning curves: figures 1, 2, 4, 5 of the ReMIX paper, and of any other task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from remix_plugin.plotting.captions import METRICS, describe_runs
from remix_plugin.plotting.panels import (
    NORMALIZATIONS,
    PUNISHED,
    SMALLEST_WEIGHTS,
    WITHOUT_TERMS,
    MeanCurve,
    Panel,
    algorithm_groups,
    block_words,
    blocks_of,
    headings,
    is_other,
    select,
    without_variants,
)
from remix_plugin.plotting.paper_figure import PaperFigure, line_options
from remix_plugin.plotting.return_axis import bend, is_bent
from remix_plugin.plotting.style import NAMES, Style

MARKERS_PER_CURVE = 7
# Of a picture of any task, before it is divided
MOST_CURVES = 9
BANDS = "Lines: mean over seeds; bands: its 95% bootstrap interval."


def draw_returns(
    panels: Sequence[Panel], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 1: returns on Predator-Prey, a panel per punishment.

    A picture per block and kind of algorithms, see :func:`~.panels.algorithm_groups`.
    """
    return _draw_blocks(
        [panel for panel in without_variants(panels) if panel.task in PUNISHED],
        "figure_1",
        "Returns on Predator-Prey",
        "Figure 1. Mean return of greedy episodes on Predator-Prey",
        styles,
    )


def draw_other_returns(
    panels: Sequence[Panel], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Returns on tasks that the paper has no figure of, a panel per task.

    A picture per block and kind of algorithms; each panel has a y axis of its own.
    """
    return _draw_blocks(
        [panel for panel in without_variants(panels) if is_other(panel)],
        "returns",
        "Returns by frames",
        "Mean return of greedy episodes by frames",
        styles,
        same_units=False,
    )


def draw_win_rates(
    panels: Sequence[Panel], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 2: win rates of battles, a panel per map, and block if it has several.

    A picture per kind of algorithms, see :func:`~.panels.algorithm_groups`.
    """
    own = [one for one in without_variants(panels) if one.metric == "win_rate"]
    text = "Figure 2. Share of greedy episodes that were won in battles"
    return [
        draw_panels(
            f"figure_2{suffix}",
            f"Win rates of battles{kind}",
            f"{text}{kind}.",
            shown,
            styles,
        )
        for (suffix, kind), shown in algorithm_groups(own).items()
        if shown
    ]


def draw_smallest_weights(
    panels: Sequence[Panel], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 4: ReMIX with other smallest weights, a panel per task that has any."""
    names = {
        "remix": "ReMIX, smallest weight 0.1",
        "remix_w_min_0_5": "smallest weight 0.5",
        "remix_w_min_0_8": "smallest weight 0.8",
    }
    title = "ReMIX with other smallest projection weights"
    own = _variants(panels, SMALLEST_WEIGHTS)
    return _draw_variants("figure_4", "Figure 4. ", title, own, styles, names)


def draw_terms(
    panels: Sequence[Panel], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """Figure 5: ReMIX without one of its terms, a panel per task that has any."""
    names = {
        "remix": "ReMIX, all four terms",
        "remix_no_bellman_error": "without Bellman error",
        "remix_no_value_underestimation": "without value underestimation",
        "remix_no_mixer_gradient": "without mixer gradient",
        "remix_no_on_policyness": "without on-policyness",
    }
    title = "ReMIX without one of the four terms of its weight"
    own = _variants(panels, WITHOUT_TERMS)
    return _draw_variants("figure_5", "Figure 5. ", title, own, styles, names)


def draw_normalizations(
    panels: Sequence[Panel], styles: Mapping[str, Style]
) -> list[PaperFigure]:
    """ReMIX with other normalizations of its weight, beside OW-QMIX and CW-QMIX."""
    own = _variants(panels, NORMALIZATIONS, ("remix", "owqmix", "cwqmix"))
    title = "ReMIX with other normalizations of its weight"
    names = NAMES | {"remix": "ReMIX, clipped"}
    return _draw_variants("normalizations", "", title, own, styles, names)


def _variants(
    panels: Sequence[Panel],
    prefixes: tuple[str, ...],
    beside: Sequence[str] = ("remix",),
) -> list[Panel]:
    """Variants of ReMIX, and what of their panels they are compared with."""
    own = [
        panel
        for panel in panels
        if any(label.startswith(prefixes) for label in panel.runs)
    ]
    return select(own, lambda k: k in beside or k.startswith(prefixes))


def _draw_blocks(
    panels: Sequence[Panel],
    name: str,
    title: str,
    text: str,
    styles: Mapping[str, Style],
    *,
    same_units: bool = True,
) -> list[PaperFigure]:
    """A picture per block and kind of algorithms."""
    return [
        draw_panels(
            f"{name}_{block}{suffix}",
            f"{title}{block_words(block)}{kind}",
            f"{text}{kind}.",
            shown,
            styles,
            same_units=same_units,
        )
        for block in blocks_of(panels)
        for (suffix, kind), shown in algorithm_groups(
            [panel for panel in panels if panel.block == block],
            0 if same_units else MOST_CURVES,
        ).items()
    ]


def _draw_variants(
    name: str,
    number: str,
    title: str,
    panels: Sequence[Panel],
    styles: Mapping[str, Style],
    names: Mapping[str, str],
) -> list[PaperFigure]:
    """A picture per block, and per metric where a block has tasks of several."""
    figures = []
    for block in blocks_of(panels):
        own = [panel for panel in panels if panel.block == block]
        metrics = sorted({panel.metric for panel in own})
        for metric in metrics:
            kind = f"_{metric}" if len(metrics) > 1 else ""
            shown = [panel for panel in own if panel.metric == metric]
            text = f"{number}{title}: {METRICS[metric]} of greedy episodes."
            full = f"{title}{block_words(block)}"
            figures.append(
                draw_panels(f"{name}_{block}{kind}", full, text, shown, styles, names)
            )
    return figures


def draw_panels(
    name: str,
    title: str,
    text: str,
    panels: Sequence[Panel],
    styles: Mapping[str, Style],
    names: Mapping[str, str] = NAMES,
    *,
    same_units: bool = True,
) -> PaperFigure:
    """Learning curves of panels of one metric.

    Args:
        name (str): stem of files.
        title (str): what they show, in a few words.
        text (str): how the caption begins.
        panels (sequence of Panel): at least one.
        styles (mapping): look of each label, of these and others.
        names (mapping): names of labels in the legend.

    Keyword Args:
        same_units (bool): whether panels have the same y axis.
    """
    labels = {label for panel in panels for label in panel.runs}
    shown = {label: style for label, style in styles.items() if label in labels}
    curves = [{label: one.curve(label) for label in one.runs} for one in panels]
    metric = panels[0].metric
    lowest, highest = _range(curves)
    bent = metric == "return" and same_units and is_bent(lowest)
    axis_words = " Below 0 the axis is logarithmic." if bent else ""

    def draw(axis: Axes, number: int) -> None:
        draw_curves(axis, curves[number], shown)
        if bent:
            bend(axis, lowest, highest)

    return PaperFigure(
        name,
        title,
        f"{text} {BANDS}{axis_words} {describe_runs(panels)}",
        headings(panels),
        draw,
        ("frames", METRICS[metric]),
        shown,
        names,
        shared=(False, same_units),
        curves=curves,
    )


def draw_curves(
    axis: Axes, curves: Mapping[str, MeanCurve], styles: Mapping[str, Style]
) -> None:
    """Draw means as lines and intervals as bands, each named after its label.

    Args:
        axis (Axes): of the panel.
        curves (mapping): of some labels.
        styles (mapping): of these and others, which their markers leave room for.
    """
    for number, (label, style) in enumerate(styles.items()):
        if label not in curves:
            continue
        curve = curves[label]
        step = max(1, len(curve.frames) // MARKERS_PER_CURVE)
        axis.plot(
            curve.frames,
            curve.mean,
            label=label,
            gid=f"curve-{label}",
            markevery=(number % step, step),
            **line_options(label, style),
        )
        if not np.isnan(curve.low).any():
            axis.fill_between(
                curve.frames,
                curve.low,
                curve.high,
                gid=f"curve-{label}",
                color=style.color,
                alpha=0.14,
                linewidth=0,
            )
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.margins(x=0.02)


def _range(curves: Sequence[Mapping[str, MeanCurve]]) -> tuple[float, float]:
    """Lowest and highest of all that is drawn."""
    each = [curve for own in curves for curve in own.values()]
    drawn = np.concatenate([line for c in each for line in (c.mean, c.low, c.high)])
    return float(np.nanmin(drawn)), float(np.nanmax(drawn))
