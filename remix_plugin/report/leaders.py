"""Who wins on each task, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from remix_plugin.plotting.panels import Panel
from remix_plugin.plotting.style import name_of
from remix_plugin.plotting.table import format_statistic
from remix_plugin.statistics.aggregates import mean
from remix_plugin.statistics.bootstrap import interval
from remix_plugin.statistics.scores import FloatArray


def leaders_of(panels: Iterable[Panel]) -> dict[str, dict[str, str]]:
    """Who wins on each task that several labels have.

    Returns:
        dict: by task and block, the winners at the end and over training, in words.
    """
    return {panel.where: _leaders(panel) for panel in panels if len(panel.runs) > 1}


def describe_leader(scores: Mapping[str, FloatArray], digits: int) -> str:
    """The label with the largest mean, and those that it cannot be told from.

    Args:
        scores (mapping): of each label, one per seed ``[n_runs]``.
        digits (int): decimals of the scores.
    """
    best = max(scores, key=lambda label: float(mean([scores[label]])))
    words = f"{name_of(best)}, {format_statistic(mean, [scores[best]], digits)}"
    ends = {label: interval(mean, [own]) for label, own in scores.items()}
    # Of a single seed the ends are NaN, with which no comparison holds.
    near = [k for k in scores if k != best and not ends[k][1] < ends[best][0]]
    if not near:
        return f"{words}; no other interval reaches it."
    lone = [name_of(label) for label in (best, *near) if len(scores[label]) < 2]
    if lone:
        words += (
            f"; {', '.join(lone)} with a single seed, so that the order may be chance"
        )
    close = [label for label in near if len(scores[label]) > 1]
    if close and len(scores[best]) > 1:
        cells = [
            f"{name_of(k)}, {format_statistic(mean, [scores[k]], digits)}"
            for k in close
        ]
        words += f"; its interval overlaps with that of {'; '.join(cells)}"
    return f"{words}."


def _leaders(panel: Panel) -> dict[str, str]:
    digits = 1 if panel.metric == "return" else 2
    scores = {
        "At the end": {label: panel.final_scores(label) for label in panel.runs},
        "Over training": {k: a for k in panel.runs if len(a := panel.areas(k))},
    }
    return {when: describe_leader(own, digits) for when, own in scores.items() if own}
