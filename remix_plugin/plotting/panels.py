"""Panels: runs of one task that may be shown side by side, checked once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from remix_plugin.plotting.style import styles_of
from remix_plugin.results.run_result import NO_BLOCK, RunResult
from remix_plugin.statistics.bootstrap import mean_interval
from remix_plugin.statistics.efficiency import area_under_curve
from remix_plugin.statistics.scores import FloatArray

BATTLES = {"smax": "SMAX", "smac": "SMAC", "smacv2": "SMACv2"}
PREDATOR_PREY = "predator_prey"
# Punishments in the order of Figure 1 of the ReMIX paper, then harder ones
PUNISHMENTS = ("0", "0_5", "1_5", "2", "4", "5")
PUNISHED = tuple(f"{PREDATOR_PREY}/punish_{number}" for number in PUNISHMENTS)
# The paper's hardest
HARDEST = f"{PREDATOR_PREY}/punish_2"
# Of ReMIX, by what their labels begin with
SMALLEST_WEIGHTS = ("remix_w_min_",)
WITHOUT_TERMS = ("remix_no_",)
NORMALIZATIONS = ("remix_mean", "remix_max", "remix_clipped_warm_up")
VARIANTS = (*SMALLEST_WEIGHTS, *WITHOUT_TERMS, *NORMALIZATIONS)
# Algorithms whose agents draw their actions from policies
POLICY_BASED = (
    *("mappo", "vdac", "vdacsum", "dop", "fop", "coma"),
    "discretemaddpg",
)


@dataclass(frozen=True)
class MeanCurve:
    """Learning curve of one label on one task, over its seeds.

    Attributes:
        frames (FloatArray): of each evaluation ``[n_points]``.
        mean (FloatArray): over seeds, of the mean over episodes ``[n_points]``.
        low, high (FloatArray): ends of the 95% bootstrap interval of that mean over
            seeds ``[n_points]``; NaN if there is one seed.
    """

    frames: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class Panel:
    """Runs of one block and task that may be compared.

    Attributes:
        title (str): what to write above it.
        block (str): of all runs.
        task (str): of all runs.
        metric (str): ``"win_rate"`` of battles whose runs all have it, else
            ``"return"``.
        runs (mapping): of each label, in order of legends, its runs by seed.
    """

    title: str
    block: str
    task: str
    metric: str
    runs: Mapping[str, Sequence[RunResult]]

    @property
    def environment(self) -> str:
        """The first part of the task's name."""
        return self.task.split("/")[0]

    @property
    def where(self) -> str:
        """Task and block, as captions name them."""
        return f"{self.task}{block_words(self.block)}"

    def curve(self, label: str) -> MeanCurve:
        """The average over the seeds of a label."""
        runs = self.runs[label]
        values = np.array([run.means(self.metric) for run in runs])
        frames = np.array(runs[0].frames, dtype=np.float64)
        return MeanCurve(frames, values.mean(0), *mean_interval(values))

    def final_scores(self, label: str) -> FloatArray:
        """Mean over the episodes of the last evaluation of each seed ``[n_runs]``."""
        return np.array([run.means(self.metric)[-1] for run in self.runs[label]])

    def areas(self, label: str) -> FloatArray:
        """Mean height of each seed's curve ``[n_runs]``, none of one evaluation."""
        curves = [(run.frames, run.means(self.metric)) for run in self.runs[label]]
        return np.array([area_under_curve(*one) for one in curves if len(one[0]) > 1])


def panels_of(results: Iterable[RunResult]) -> list[Panel]:
    """Sort runs into panels, one per task and block, and check that they compare.

    Args:
        results (iterable of RunResult): of any blocks, tasks and labels.

    Returns:
        list of Panel: Predator-Prey by punishment, then all other tasks by name; those
        of one task by block. Seeds of a label that no suite has run are cut to the
        evaluations that all of them have.

    Raises:
        ValueError: if runs of one block and task cannot be compared, see
            :func:`check_comparable`.
    """
    groups: dict[tuple[str, str], list[RunResult]] = {}
    for run in sorted(results, key=lambda run: run.seed):
        groups.setdefault((run.task, run.block), []).append(run)
    order = {task: number for number, task in enumerate(PUNISHED)}
    tasks = sorted(groups, key=lambda key: (order.get(key[0], len(order)), *key))
    return [_panel(groups[key]) for key in tasks]


def check_comparable(runs: Sequence[RunResult]) -> None:
    """Refuse to show or average side by side what was not measured alike.

    Args:
        runs (sequence of RunResult): of one block and task.

    Raises:
        ValueError: if a run is there twice, has no evaluation, was evaluated at other
            frames than the others, as one with another budget is, but for the first
            evaluation of another label, or had other overrides than another seed of
            its label. Labels that no suite has run may have other budgets.
    """
    seen: set[str] = set()
    seeds: dict[str, RunResult] = {}
    for run in runs:
        if run.name in seen:
            raise ValueError(f"There are two runs {run.name}: give one of them.")
        seen.add(run.name)
        if not run.frames:
            raise ValueError(f"{run.name} has no evaluation: leave it out.")
        first, other = runs[0], seeds.setdefault(run.label, run)
        # The first evaluation follows the first iteration, which collects less with
        # on-policy algorithms. Seeds of one label are averaged point by point.
        is_alike = run.block == NO_BLOCK or run.frames[1:] == first.frames[1:]
        if run.frames != other.frames or not is_alike:
            beside = other if run.frames != other.frames else first
            raise ValueError(
                f"{beside.name} and {run.name} were evaluated at different frames, "
                f"{_describe_frames(beside)} and {_describe_frames(run)}: runs of one "
                "block and task must have the same budget and evaluation interval."
            )
        if settings_of(run) != settings_of(other):
            raise ValueError(
                f"{other.name} and {run.name} had different overrides, "
                f"{' '.join(settings_of(other))} and {' '.join(settings_of(run))}: "
                "seeds of one label must have the same."
            )


def settings_of(run: RunResult) -> list[str]:
    """Its overrides, but for the seed."""
    overrides = run.record.get("overrides", ())
    return [one for one in overrides if not one.startswith("seed=")]


def select(panels: Iterable[Panel], keep: Callable[[str], bool]) -> list[Panel]:
    """Panels with those labels alone; without panels that have none of them."""
    chosen = [
        replace(panel, runs={k: own for k, own in panel.runs.items() if keep(k)})
        for panel in panels
    ]
    return [panel for panel in chosen if panel.runs]


def without_variants(panels: Iterable[Panel]) -> list[Panel]:
    """Panels without variants of ReMIX, which have figures of their own."""
    return select(panels, lambda label: not label.startswith(VARIANTS))


def shared_panels(panels: Sequence[Panel]) -> list[Panel]:
    """The panels that have runs of every label."""
    labels = {label for panel in panels for label in panel.runs}
    return [panel for panel in panels if set(panel.runs) == labels]


def blocks_of(panels: Iterable[Panel]) -> list[str]:
    """Their blocks, in alphabetical order."""
    return sorted({panel.block for panel in panels})


def is_other(panel: Panel) -> bool:
    """Whether it is in none of the paper's figures: its returns are drawn apart."""
    return panel.task not in PUNISHED and panel.metric == "return"


def headings(panels: Sequence[Panel]) -> list[str]:
    """Titles of panels in one figure, with blocks where two have the same."""
    titles = [panel.title for panel in panels]
    return [
        f"{one.title}, {one.block}" if titles.count(one.title) > 1 else one.title
        for one in panels
    ]


def block_words(block: str) -> str:
    """What titles add for runs of a suite."""
    return "" if block == NO_BLOCK else f", block {block}"


def algorithm_groups(
    panels: Sequence[Panel], n_readable: int = 0
) -> dict[tuple[str, str], list[Panel]]:
    """Panels whose curves share a picture, as all of them would be too many for one.

    Args:
        panels (sequence of Panel): of any labels.
        n_readable (int): labels that one picture has room for, whatever they are.

    Returns:
        dict: those of all algorithms that are not policy-based, and of those that are,
        with ReMIX beside them; each, if it has any, by a part of file names and a part
        of captions, which are empty where there are only the first.
    """
    if panels and len({label for one in panels for label in one.runs}) <= n_readable:
        return {("", ""): list(panels)}
    others = select(panels, lambda label: not _has_policies(label))
    if not select(panels, _has_policies):
        return {("", ""): others}
    beside = select(panels, lambda label: _has_policies(label) or label == "remix")
    groups = {
        ("", ", value-based algorithms"): others,
        ("_policies", ", policy-based algorithms"): beside,
    }
    return {words: own for words, own in groups.items() if own}


def _has_policies(label: str) -> bool:
    """Whether a label is that of a policy-based algorithm, or of a variant of one."""
    return label.partition("_")[0] in POLICY_BASED


def comparisons(panels: Iterable[Panel]) -> dict[tuple[str, str], list[Panel]]:
    """Panels of the same units, whose scores may be averaged; without variants.

    Returns:
        dict: those of a block on Predator-Prey, and all battles, if there are any; each
        by a part of file names and a part of titles.
    """
    plain = without_variants(panels)
    hunts = [panel for panel in plain if panel.task in PUNISHED]
    groups = {
        (f"predator_prey_{block}", f"Predator-Prey{block_words(block)}"): [
            panel for panel in hunts if panel.block == block
        ]
        for block in blocks_of(hunts)
    }
    battles = [panel for panel in plain if panel.metric == "win_rate"]
    return {**groups, ("battles", "battles"): battles} if battles else groups


def title_of(task: str) -> str:
    """What to write above a panel."""
    environment, _, name = task.partition("/")
    if environment == PREDATOR_PREY and name.startswith("punish_"):
        number = name.removeprefix("punish_").replace("_", ".")
        return f"punishment {'-' * (number != '0')}{number}"
    return f"{BATTLES[environment]} {name}" if environment in BATTLES else task


def _panel(runs: Sequence[RunResult]) -> Panel:
    """A panel of all runs of one block and task, in order of their seeds."""
    by_label = {
        label: [run for run in runs if run.label == label]
        for label in styles_of(run.label for run in runs)
    }
    if runs[0].block == NO_BLOCK:
        by_label = {label: _aligned(own) for label, own in by_label.items()}
    check_comparable([run for own in by_label.values() for run in own])
    task = runs[0].task
    is_won = all("win_rate" in run.episodes for run in runs)
    is_battle = task.split("/")[0] in BATTLES and is_won
    metric = "win_rate" if is_battle else "return"
    return Panel(title_of(task), runs[0].block, task, metric, by_label)


def _aligned(runs: Sequence[RunResult]) -> list[RunResult]:
    """Seeds of one label, at the frames at which all of them were evaluated."""
    shared = set.intersection(*(set(run.frames) for run in runs))
    return [run.at(shared) if shared else run for run in runs]


def _describe_frames(run: RunResult) -> str:
    frames = run.frames
    return f"{len(frames)} times from {frames[0]:,} to {frames[-1]:,}"
