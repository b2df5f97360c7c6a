"""All figures that there are results for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from remix_plugin.plotting.curve_figures import (
    draw_normalizations,
    draw_returns,
    draw_smallest_weights,
    draw_terms,
    draw_win_rates,
)
from remix_plugin.plotting.paper_figure import PaperFigure
from remix_plugin.plotting.score_figures import draw_final_scores, draw_profiles
from remix_plugin.plotting.style import Style, styles_of
from remix_plugin.plotting.weight_figure import draw_weights
from remix_plugin.results.run_result import RunResult


@dataclass(frozen=True)
class Kind:
    """One figure of the paper, or one of ours: a picture per block.

    Attributes:
        draw (Callable): its pictures, none if it has no results.
        needs (str): which results it has none without.
    """

    draw: Callable[[Sequence[RunResult], Mapping[str, Style]], list[PaperFigure]]
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
    "final": Kind(draw_final_scores, "runs on Predator-Prey or battles"),
    "profile": Kind(draw_profiles, "runs of two or more algorithms on the same tasks"),
}


def draw_figures(
    results: Sequence[RunResult], only: Sequence[str] = tuple(KINDS)
) -> list[PaperFigure]:
    """Draw all figures that there are results for.

    An algorithm looks the same in all of them. The order of results does not matter.

    Args:
        results (sequence of RunResult): of any blocks, tasks and labels, finished or
            not: captions say how many seeds there are.
        only (sequence of str): keys of ``KINDS`` to draw.

    Returns:
        list of PaperFigure: in order of ``KINDS``, then of blocks.

    Raises:
        KeyError: if a battle has no win rates.
        ValueError: if ``only`` holds anything else, or runs of one block and task are
            there twice or were evaluated at different frames.
    """
    for name in only:
        if name not in KINDS:
            raise ValueError(f"only holds {name!r}: it must be of {', '.join(KINDS)}.")
    styles = styles_of(run.label for run in results)
    kinds = [kind for name, kind in KINDS.items() if name in only]
    return [figure for kind in kinds for figure in kind.draw(results, styles)]


def without_data(
    figures: Sequence[PaperFigure], only: Sequence[str] = tuple(KINDS)
) -> list[str]:
    """What to say of each figure that :func:`draw_figures` has not drawn."""
    return [
        f"{name}: no data, it needs {kind.needs}."
        for name, kind in KINDS.items()
        if name in only and not any(f.name.startswith(name) for f in figures)
    ]
