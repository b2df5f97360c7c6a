"""Scores of all runs as tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remix_plugin.plotting.captions import METRICS, describe_runs, describe_seeds
from remix_plugin.plotting.panels import Panel, comparisons, headings, shared_panels
from remix_plugin.plotting.style import name_of
from remix_plugin.plotting.table import (
    NOTHING,
    Table,
    format_interval,
    format_number,
    format_statistic,
)
from remix_plugin.results.run_result import RunResult
from remix_plugin.statistics.aggregates import iqm, mean, median, seed_median
from remix_plugin.statistics.comparison import (
    improvement_interval,
    probability_of_improvement,
)
from remix_plugin.statistics.efficiency import frames_to_reach
from remix_plugin.statistics.scores import FloatArray

# Half of the largest return (four catches of 10 on Predator-Prey) or win rate
THRESHOLDS = {"predator_prey": 20, "smax": 0.5, "smac": 0.5, "smacv2": 0.5}
OURS = "remix"
STATISTICS = (mean, seed_median, iqm)
COLUMNS = """\
Final scores are means over the episodes of the last evaluation, and their mean, median
and interquartile mean (IQM) are over seeds. The absolute metric is the score, on ten
times the episodes, of the policy whose evaluation had the best mean return. The area
under the curve is the mean score over the frames from the first evaluation to the last.
Frames to a score are those of the first evaluation that reaches it, averaged over the
seeds that do; brackets say how many do. Square brackets hold 95% bootstrap intervals
over seeds, left out where there is one seed. Of two or three seeds of one task they are
no more than the lowest and the highest, which have the true mean between them in about
one half or three quarters of studies."""


def all_tables(panels: Sequence[Panel]) -> str:
    """What their columns are, and all of :func:`result_tables`, in markdown."""
    texts = [COLUMNS, *(one.markdown for one in result_tables(panels))]
    return "\n\n".join(texts)


def result_tables(panels: Sequence[Panel]) -> list[Table]:
    """Every table there are results for: by block and task, then over all tasks.

    Args:
        panels (sequence of Panel): see :func:`~.panels.panels_of`.
    """
    tables = []
    for panel in sorted(panels, key=lambda panel: panel.block):
        tables.append(score_table(panel))
        if OURS in panel.runs and len(panel.runs) > 1:
            tables.append(improvement_table(panel))
    for (_, words), group in comparisons(panels).items():
        shared = shared_panels(group)
        if len(shared) > 1:
            tables.append(aggregate_table(words, shared))
    return tables


def score_table(panel: Panel) -> Table:
    """How each label did on one task; ``COLUMNS`` says what its columns are."""
    metric = panel.metric
    digits, other, other_digits = 1, "success_rate", 2
    if metric == "win_rate":
        digits, other, other_digits = 2, "return", 1
    threshold = THRESHOLDS.get(panel.environment)
    columns = ["algorithm", "seeds", "final mean", "median", "IQM", "absolute metric"]
    columns += ["area under curve", f"frames to {threshold or 'a score'}"]
    columns.append(f"final {other.replace('_', ' ')}")
    rows = []
    for label, runs in panel.runs.items():
        final = [panel.final_scores(label)]
        absolute = [run.absolute.get(metric, ()) for run in runs]
        last = [run.episodes.get(other, ((),))[-1] for run in runs]
        rows.append(
            [
                name_of(label),
                str(len(runs)),
                *(format_statistic(one, final, digits) for one in STATISTICS),
                _known(_means(absolute), len(runs), digits),
                _known(panel.areas(label), len(runs), digits),
                _reached(runs, metric, threshold),
                _known(_means(last), len(runs), other_digits),
            ]
        )
    caption = f"{panel.where}: {METRICS[metric]}"
    return Table(caption, columns, rows, describe_runs([panel], "row"))


def improvement_table(panel: Panel) -> Table:
    """How likely a run of ReMIX, of which there must be some, ends better."""
    others = [label for label in panel.runs if label != OURS]
    rows = [[name_of(label), _improvement([panel], label)] for label in others]
    caption = f"{panel.where}: probability that a run of ReMIX ends better"
    note = describe_seeds([panel], "label")
    return Table(caption, ["than one of", "probability"], rows, note)


def aggregate_table(words: str, panels: Sequence[Panel]) -> Table:
    """Final scores over several tasks, and how likely ReMIX is better.

    Args:
        words (str): what runs they are.
        panels (sequence of Panel): of the same labels and units.
    """
    metric = panels[0].metric
    digits = 1 if metric == "return" else 2
    columns = ["algorithm", "mean", "median of tasks", "IQM"]
    better = OURS in panels[0].runs
    columns += ["P(ReMIX ends better)"] * better
    rows = []
    for label in panels[0].runs:
        scores = [panel.final_scores(label) for panel in panels]
        cells = [format_statistic(one, scores, digits) for one in (mean, median, iqm)]
        last = [_improvement(panels, label)] if better else []
        rows.append([name_of(label), *cells, *last])
    caption = f"{words}: {METRICS[metric]} at the end over {len(panels)} tasks"
    tasks = ", ".join(headings(panels))
    note = f"Tasks: {tasks}. {describe_runs(panels, 'row and task')}"
    return Table(caption, columns, rows, note)


def _improvement(panels: Sequence[Panel], label: str) -> str:
    """Probability that ReMIX is better than another label, nothing than itself."""
    if label == OURS:
        return NOTHING
    ours, theirs = ([p.final_scores(k) for p in panels] for k in (OURS, label))
    probability = probability_of_improvement(ours, theirs)
    return format_interval(probability, improvement_interval(ours, theirs), 2)


def _means(episodes: Sequence[Sequence[float]]) -> FloatArray:
    """Mean of each run that has any such episode."""
    return np.array([sum(one) / len(one) for one in episodes if one])


def _known(scores: FloatArray, n_runs: int, digits: int) -> str:
    """Mean over the runs that have such a score, saying how many if not all have."""
    if not len(scores):
        return NOTHING
    cell = format_statistic(mean, [scores], digits)
    return cell if len(scores) == n_runs else f"{cell} ({len(scores)} runs)"


def _reached(runs: Sequence[RunResult], metric: str, threshold: float | None) -> str:
    """Mean over the seeds that reach it, and how many do."""
    if threshold is None:
        return NOTHING
    frames = [frames_to_reach(r.frames, r.means(metric), threshold) for r in runs]
    reached = [f for f in frames if f is not None]
    average = format_number(float(np.mean(reached)), 0) if reached else NOTHING
    return f"{average} ({len(reached)} of {len(runs)})"
