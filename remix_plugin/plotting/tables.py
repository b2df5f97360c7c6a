"""Scores of all runs as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from remix_plugin.plotting.captions import METRICS, Panels, facts, seeds
from remix_plugin.plotting.run_scores import final_scores, interval_of
from remix_plugin.plotting.runs import (
    blocks_of,
    by_label,
    check_comparable,
    comparisons,
    environment_of,
    metric_of,
    shared_panels,
    tasks_of,
)
from remix_plugin.plotting.style import name_of
from remix_plugin.plotting.table import NOTHING, Table, number, with_interval
from remix_plugin.results.run_result import RunResult
from remix_plugin.statistics.aggregates import Statistic, iqm, mean, median, seed_median
from remix_plugin.statistics.bootstrap import interval
from remix_plugin.statistics.comparison import (
    improvement_interval,
    probability_of_improvement,
)
from remix_plugin.statistics.efficiency import area_under_curve, frames_to_reach
from remix_plugin.statistics.scores import FloatArray

# Half of the largest return (four catches of 10 on Predator-Prey) or win rate
THRESHOLDS = {"predator_prey": 20, "smax": 0.5, "smac": 0.5, "smacv2": 0.5}
OURS = "remix"
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


def all_tables(results: Sequence[RunResult]) -> str:
    """What their columns are, and all of :func:`result_tables`, in markdown."""
    texts = [COLUMNS, *(one.markdown for one in result_tables(results))]
    return "\n\n".join(texts)


def result_tables(results: Sequence[RunResult]) -> list[Table]:
    """Every table there are results for: by block and task, then over all tasks.

    Args:
        results (sequence of RunResult): of any blocks, tasks and labels.

    Raises:
        KeyError: if a battle has no win rates.
        ValueError: if runs of one block and task cannot be compared, see
            ``runs.check_comparable``.
    """
    tables = []
    for block in blocks_of(results):
        in_block = [run for run in results if run.block == block]
        for task in tasks_of(in_block):
            own = [run for run in in_block if run.task == task]
            tables.append(score_table(own))
            labels = {run.label for run in own}
            if OURS in labels and len(labels) > 1:
                tables.append(improvement_table(own))
    for (_, words), runs in comparisons(results).items():
        shared = shared_panels(runs)
        if len(shared) > 1:
            tables.append(aggregate_table(words, shared))
    return tables


def score_table(runs: Sequence[RunResult]) -> Table:
    """How each label did on one task of one block.

    ``COLUMNS`` says what its columns are.

    Args:
        runs (sequence of RunResult): at least one, all of one block and task.

    Raises:
        ValueError: if runs cannot be compared, see ``runs.check_comparable``.
    """
    check_comparable(runs)
    metric = metric_of(runs[0])
    digits, other, other_digits = 1, "success rate", 2
    if metric == "win_rate":
        digits, other, other_digits = 2, "return", 1
    threshold = THRESHOLDS.get(environment_of(runs[0]))
    columns = ["algorithm", "seeds", "final mean", "median", "IQM", "absolute metric"]
    columns += ["area under curve", f"frames to {threshold or 'a score'}"]
    columns.append(f"final {other}")
    rows = []
    for label, own in by_label(runs).items():
        final = final_scores(own)
        rows.append(
            [
                name_of(label),
                str(len(own)),
                _cell(mean, final, digits),
                _cell(seed_median, final, digits),
                _cell(iqm, final, digits),
                _optional([_mean_of(run.absolute.get(metric)) for run in own], digits),
                _optional([_area(run, metric) for run in own], digits),
                _reached(own, metric, threshold),
                _optional([_last(run, other) for run in own], other_digits),
            ]
        )
    caption = f"{runs[0].task}, block {runs[0].block}: {METRICS[metric]}"
    return Table(caption, columns, rows, facts({"": by_label(runs)}, "row"))


def improvement_table(runs: Sequence[RunResult]) -> Table:
    """How likely a run of ReMIX ends better than one of each other label.

    Args:
        runs (sequence of RunResult): all of one block and task.

    Raises:
        ValueError: if there is no run of ReMIX, or runs cannot be compared, see
            ``runs.check_comparable``.
    """
    check_comparable(runs)
    scores = {label: [final_scores(own)] for label, own in by_label(runs).items()}
    if OURS not in scores:
        known = ", ".join(scores)
        raise ValueError(f"There is no run of {OURS!r}: there are runs of {known}.")
    rows = [
        [name_of(label), _improvement(scores, label)]
        for label in scores
        if label != OURS
    ]
    where = f"{runs[0].task}, block {runs[0].block}"
    caption = f"{where}: probability that a run of ReMIX ends better"
    note = seeds({"": by_label(runs)}, "label")
    return Table(caption, ["than one of", "probability"], rows, note)


def aggregate_table(words: str, panels: Panels) -> Table:
    """Final scores over several tasks, and how likely ReMIX is better.

    Args:
        words (str): what runs they are.
        panels (mapping): of each task, of each label, its runs; each task has all
            labels, and all tasks the same units.
    """
    groups = list(panels.values())
    scores = {k: [final_scores(own[k]) for own in groups] for k in groups[0]}
    metric = metric_of(groups[0][next(iter(scores))][0])
    digits = 1 if metric == "return" else 2
    columns = ["algorithm", "mean", "median of tasks", "IQM"]
    better = OURS in scores
    rows = []
    for label, own in scores.items():
        cells = [
            with_interval(statistic(own), interval(statistic, own), digits)
            for statistic in (mean, median, iqm)
        ]
        last = [_improvement(scores, label)] if better else []
        rows.append([name_of(label), *cells, *last])
    caption = f"{words}: {METRICS[metric]} at the end over {len(panels)} tasks"
    note = f"Tasks: {', '.join(panels)}. {facts(panels, 'row and task')}"
    columns += ["P(ReMIX ends better)"] * better
    return Table(caption, columns, rows, note)


def _improvement(scores: Mapping[str, Sequence[FloatArray]], label: str) -> str:
    """Probability that ReMIX is better than another label, nothing than itself."""
    if label == OURS:
        return NOTHING
    pair = scores[OURS], scores[label]
    return with_interval(
        probability_of_improvement(*pair), improvement_interval(*pair), 2
    )


def _cell(statistic: Statistic, scores: FloatArray, digits: int) -> str:
    return with_interval(statistic([scores]), interval_of(statistic, scores), digits)


def _optional(scores: Sequence[float | None], digits: int) -> str:
    """Mean over the runs that have such a score, saying how many if not all have."""
    known = [score for score in scores if score is not None]
    if not known:
        return NOTHING
    cell = _cell(mean, np.array(known), digits)
    return cell if len(known) == len(scores) else f"{cell} ({len(known)} runs)"


def _mean_of(episodes: Sequence[float] | None) -> float | None:
    return sum(episodes) / len(episodes) if episodes else None


def _last(run: RunResult, metric: str) -> float | None:
    """Mean of the last evaluation, None if it has no such metric."""
    evaluations = run.episodes.get(metric.replace(" ", "_"))
    return _mean_of(evaluations[-1]) if evaluations else None


def _area(run: RunResult, metric: str) -> float | None:
    """Mean height of its curve, None if that is a single point."""
    if len(run.frames) < 2:
        return None
    return area_under_curve(run.frames, run.means(metric))


def _reached(runs: Sequence[RunResult], metric: str, threshold: float | None) -> str:
    """Mean over the seeds that reach it, and how many do."""
    if threshold is None:
        return NOTHING
    frames = [frames_to_reach(r.frames, r.means(metric), threshold) for r in runs]
    reached = [f for f in frames if f is not None]
    average = number(float(np.mean(reached)), 0) if reached else NOTHING
    return f"{average} ({len(reached)} of {len(runs)})"
