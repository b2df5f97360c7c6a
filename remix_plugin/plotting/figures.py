"""All figures that there are results for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from remix_plugin.plotting.curve_figures import (
    draw_normalizations,
    draw_other_returns,
    draw_returns,
    draw_smallest_weights,
    draw_terms,
    draw_win_rates,
)
from remix_plugin.plotting.panels import Panel
from remix_plugin.plotting.paper_figure import PaperFigure
from remix_plugin.plotting.score_figures import draw_final_scores, draw_profiles
from remix_plugin.plotting.style import Style, styles_of
from remix_plugin.plotting.weight_figure import draw_weights


@dataclass(frozen=True)
class Kind:
    """One figure of the paper, or one of ours: a picture per block.

    Attributes:
        draw (Callable): makes its pictures, none if it has no results, of panels of any
            tasks and labels and the style of each label.
        needs (str): which results it has none without.
    """

    draw: Callable[[Sequence[Panel], Mapping[str, Style]], list[PaperFigure]]
    needs: str


KINDS = {
    "figure_1": Kind(draw_returns, "runs on predator_prey/punish_*"),
    "figure_2": Kind(draw_win_rates, "runs on smax/*, smac/* or smacv2/*"),
    "figure_3": Kind(
        draw_weights, "runs of remix or owqmix on predator_prey/punish_2 with weights"
    ),
    "figure_4": Kind(draw_smallest_weights, "runs of remix_w_min_*"),
    "figure_5": Kind(draw_terms, "runs of remix_no_*"),
    "normalizations": Kind(
        draw_normalizations, "runs of remix_mean*, remix_max* or remix_clipped_warm_up*"
    ),
    "returns": Kind(
        draw_other_returns, "runs on tasks that are neither Predator-Prey nor battles"
    ),
    "final": Kind(draw_final_scores, "runs that are no variants of ReMIX"),
    "profile": Kind(
        draw_profiles,
        "runs of two or more algorithms on the same Predator-Prey or battles",
    ),
}


def draw_figures(
    panels: Sequence[Panel], only: Sequence[str] = tuple(KINDS)
) -> list[PaperFigure]:
    """Draw all figures that there are results for.

    An algorithm looks the same in all of them.

    Args:
        panels (sequence of Panel): see :func:`~.panels.panels_of`; of any blocks, tasks
            and labels, with few seeds or many: captions say how many there are.
        only (sequence of str): keys of ``KINDS`` to draw.

    Returns:
        list of PaperFigure: in order of ``KINDS``, then of blocks.

    Raises:
        ValueError: if ``only`` holds anything else.
    """
    for name in only:
        if name not in KINDS:
            raise ValueError(f"only holds {name!r}: it must be of {', '.join(KINDS)}.")
    styles = styles_of(label for panel in panels for label in panel.runs)
    kinds = [kind for name, kind in KINDS.items() if name in only]
    return [figure for kind in kinds for figure in kind.draw(panels, styles)]


def without_data(
    figures: Sequence[PaperFigure], only: Sequence[str] = tuple(KINDS)
) -> list[str]:
    """What to say of each figure that :func:`draw_figures` has not drawn."""
    return [
        f"{name}: no data, it needs {kind.needs}."
        for name, kind in KINDS.items()
        if name in only and not any(f.name.startswith(name) for f in figures)
    ]
