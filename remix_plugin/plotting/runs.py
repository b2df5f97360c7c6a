"""Which runs belong together, and what they have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from remix_plugin.plotting.style import styles_of
from remix_plugin.results.run_result import RunResult

BATTLES = {"smax": "SMAX", "smac": "SMAC", "smacv2": "SMACv2"}
PREDATOR_PREY = "predator_prey"
# Punishments in the order of Figure 1 of the ReMIX paper, then harder ones
PUNISHMENTS = (
    "punish_0",
    "punish_0_5",
    "punish_1_5",
    "punish_2",
    "punish_4",
    "punish_5",
)
PUNISHED = tuple(f"{PREDATOR_PREY}/{name}" for name in PUNISHMENTS)
# The paper's hardest
HARDEST = f"{PREDATOR_PREY}/punish_2"
# Of ReMIX, by what their labels begin with
SMALLEST_WEIGHTS = ("remix_w_min_",)
WITHOUT_TERMS = ("remix_no_",)
NORMALIZATIONS = ("remix_mean", "remix_max", "remix_clipped_warm_up")
VARIANTS = (*SMALLEST_WEIGHTS, *WITHOUT_TERMS, *NORMALIZATIONS)
# Algorithms whose agents draw their actions from policies
POLICY_BASED = (
    "mappo",
    "vdac",
    "vdacsum",
    "dop",
    "fop",
    "coma",
    "discretemaddpg",
)
ANNEALING = "experiment.exploration_anneal_frames="


def environment_of(run: RunResult) -> str:
    """The first part of its task's name."""
    return run.task.split("/")[0]


def is_variant(label: str) -> bool:
    """Whether it is ReMIX with something changed, for figures of their own."""
    return label.startswith(VARIANTS)


def algorithm_groups(
    runs: Sequence[RunResult],
) -> dict[tuple[str, str], list[RunResult]]:
    """Runs whose curves share a picture, as all of them would be too many for one.

    Returns:
        dict: runs of all algorithms that are not policy-based, and of those that are,
        with ReMIX beside them; each, if it has any, by a part of file names and a part
        of captions, which are empty where there are only the first.
    """
    others = [run for run in runs if run.label not in POLICY_BASED]
    policies = [run for run in runs if run.label in POLICY_BASED]
    if not policies:
        return {("", ""): others}
    beside = [run for run in others if run.label == "remix"]
    groups = {
        ("", ", value-based algorithms"): others,
        ("_policies", ", policy-based algorithms"): policies + beside,
    }
    return {words: own for words, own in groups.items() if own}


def metric_of(run: RunResult) -> str:
    """What its task is about: wins of battles, returns of all else."""
    return "win_rate" if environment_of(run) in BATTLES else "return"


def blocks_of(runs: Iterable[RunResult]) -> list[str]:
    """Their blocks, in alphabetical order."""
    return sorted({run.block for run in runs})


def tasks_of(runs: Iterable[RunResult]) -> list[str]:
    """Their tasks: Predator-Prey by punishment, then all others by name."""
    tasks = {run.task for run in runs}
    return [t for t in PUNISHED if t in tasks] + sorted(tasks - set(PUNISHED))


def by_label(runs: Iterable[RunResult]) -> dict[str, list[RunResult]]:
    """Runs of each label in order of their seeds, labels in order of legends."""
    chosen = sorted(runs, key=lambda run: run.name)
    labels = styles_of(run.label for run in chosen)
    groups = {label: [run for run in chosen if run.label == label] for label in labels}
    return {k: sorted(v, key=lambda run: run.seed) for k, v in groups.items()}


def panels_of(runs: Sequence[RunResult]) -> dict[str, dict[str, list[RunResult]]]:
    """Runs of each panel, by its title, and of each label: a panel per task.

    A task that several blocks have gets a panel for each of them.

    Raises:
        ValueError: if runs of one panel cannot be compared, see
            :func:`check_comparable`.
    """
    panels = {}
    for task in tasks_of(runs):
        blocks = blocks_of(run for run in runs if run.task == task)
        for block in blocks:
            own = [run for run in runs if (run.task, run.block) == (task, block)]
            check_comparable(own)
            title = title_of(task)
            panels[f"{title}, {block}" if len(blocks) > 1 else title] = by_label(own)
    return panels


def shared_panels(runs: Sequence[RunResult]) -> dict[str, dict[str, list[RunResult]]]:
    """Those of :func:`panels_of` in which all labels have runs."""
    labels = {run.label for run in runs}
    return {k: own for k, own in panels_of(runs).items() if set(own) == labels}


def comparisons(
    results: Sequence[RunResult],
) -> dict[tuple[str, str], list[RunResult]]:
    """Runs whose scores may be shown together, without variants of ReMIX.

    Returns:
        dict: runs of a block on Predator-Prey, and all battles, if there are any; each
        by a part of file names and a part of titles.
    """
    plain = [run for run in results if not is_variant(run.label)]
    hunts = [run for run in plain if run.task in PUNISHED]
    groups = {
        (f"predator_prey_{block}", f"Predator-Prey, block {block}"): [
            run for run in hunts if run.block == block
        ]
        for block in blocks_of(hunts)
    }
    battles = [run for run in plain if environment_of(run) in BATTLES]
    return {**groups, ("battles", "battles"): battles} if battles else groups


def check_comparable(runs: Sequence[RunResult]) -> None:
    """Refuse to show or average side by side what was not measured alike.

    Args:
        runs (sequence of RunResult): of one block and task.

    Raises:
        ValueError: if a run is of another block or task, is there twice, has no
            evaluation, was evaluated at other frames than the others, as one with
            another budget is, but for the first evaluation of another label, or had
            other overrides than another seed of its label.
    """
    seen: set[str] = set()
    seeds: dict[str, RunResult] = {}
    for run in runs:
        if run.name in seen:
            raise ValueError(f"There are two runs {run.name}: give one of them.")
        seen.add(run.name)
        if not run.frames:
            raise ValueError(f"{run.name} has no evaluation: leave it out.")
        first = runs[0]
        if (run.block, run.task) != (first.block, first.task):
            raise ValueError(
                f"{first.name} and {run.name} are not of the same block and task: "
                "give runs of one."
            )
        other = seeds.setdefault(run.label, run)
        # The first evaluation follows the first iteration, which collects less with
        # on-policy algorithms. Seeds of one label are averaged point by point.
        if run.frames != other.frames or run.frames[1:] != first.frames[1:]:
            beside = other if run.frames != other.frames else first
            raise ValueError(
                f"{beside.name} and {run.name} were evaluated at different frames, "
                f"{_words(beside.frames)} and {_words(run.frames)}: runs of one block "
                "and task must have the same budget and evaluation interval."
            )
        if settings_of(run) != settings_of(other):
            raise ValueError(
                f"{other.name} and {run.name} had different overrides, "
                f"{' '.join(settings_of(other))} and {' '.join(settings_of(run))}: "
                "seeds of one label must have the same."
            )


def _words(frames: tuple[int, ...]) -> str:
    return f"{len(frames)} times from {frames[0]:,} to {frames[-1]:,}"


def settings_of(run: RunResult) -> list[str]:
    """Its overrides, but for the seed."""
    overrides = run.record.get("overrides", ())
    return [one for one in overrides if not one.startswith("seed=")]


def schedule_of(run: RunResult) -> str:
    """How exploration falls, as its record has it, else its block."""
    for override in reversed(run.record.get("overrides", ())):
        if override.startswith(ANNEALING):
            frames = override.removeprefix(ANNEALING)
            digits = frames.replace("_", "")
            if digits.isdecimal() and len(digits) < 20:
                frames = f"{int(digits):,}"
            return f"exploration falls over {frames} frames"
    return f"block {run.block}"


def commit_of(run: RunResult) -> str:
    """First characters of the commit it was run from, and whether that was changed."""
    commit, *changes = run.record.get("commit", "unknown").split(",")
    return ",".join([commit[:10], *changes])


def title_of(task: str) -> str:
    """What to write above a panel."""
    environment, _, name = task.partition("/")
    if environment == PREDATOR_PREY and name.startswith("punish_"):
        number = name.removeprefix("punish_").replace("_", ".")
        return f"punishment {'-' * (number != '0')}{number}"
    return f"{BATTLES[environment]} {name}" if environment in BATTLES else task


def same(values: Iterable[str]) -> str:
    """The value all have, else the different ones, joined."""
    return " and ".join(dict.fromkeys(values))
