"""What captions say of the runs in a figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from remix_plugin.plotting.panels import Panel
from remix_plugin.plotting.style import name_of
from remix_plugin.results.run_result import NO_BLOCK, RunResult

METRICS = {"return": "mean return", "win_rate": "win rate"}
ANNEALING = "experiment.exploration_anneal_frames="


def describe_runs(panels: Sequence[Panel], drawn: str = "curve") -> str:
    """Seeds, frames, evaluation episodes, schedule and commit, in sentences.

    Args:
        panels (sequence of Panel): at least one.
        drawn (str): what shows the runs of one label in one panel.
    """
    runs = [run for panel in panels for own in panel.runs.values() for run in own]
    episodes = [len(one) for run in runs for one in run.episodes["return"]]
    recorded = [run for run in runs if "commit" in run.record]
    schedules = (schedule_of(run) for run in sorted(runs, key=lambda r: r.name))
    parts = [
        f"{format_range(run.frames[-1] for run in runs)} frames",
        f"{format_range(episodes)} greedy episodes per evaluation",
        join_distinct(schedule for schedule in schedules if schedule),
        _describe_commits(recorded) if recorded else "",
    ]
    return (
        f"{describe_seeds(panels, drawn)} {'; '.join(part for part in parts if part)}."
    )


def describe_seeds(panels: Sequence[Panel], drawn: str = "curve") -> str:
    """How many seeds each label has, over panels, 0 where it is missing in one."""
    labels = dict.fromkeys(label for panel in panels for label in panel.runs)
    counts = {k: [len(panel.runs.get(k, ())) for panel in panels] for k in labels}
    extremes = [(min(own), max(own)) for own in counts.values()]
    usual = max(sorted(set(extremes), reverse=True), key=extremes.count)
    others = [
        f"{name_of(label)}: {format_range(own)}"
        for label, own in counts.items()
        if (min(own), max(own)) != usual
    ]
    words = f"{format_range(usual)} seed{'s' * (usual != (1, 1))} per {drawn}"
    if others:
        words += f", except {', '.join(others)}"
    if drawn == "curve":
        everything = {count for own in counts.values() for count in own}
        if 1 in everything:
            words += "; a curve of one seed has no band"
        if {2, 3} & everything:
            words += "; a band of two or three seeds is their range"
    return f"{words}."


def schedule_of(run: RunResult) -> str:
    """How exploration falls, as its record has it, else its block if it has one."""
    for override in reversed(run.record.get("overrides", ())):
        if override.startswith(ANNEALING):
            frames = override.removeprefix(ANNEALING)
            digits = frames.replace("_", "")
            if digits.isdecimal() and len(digits) < 20:
                frames = f"{int(digits):,}"
            return f"exploration falls over {frames} frames"
    return "" if run.block == NO_BLOCK else f"block {run.block}"


def commit_of(run: RunResult) -> str:
    """First characters of the commit it was run from, and whether that was changed."""
    commit, *changes = run.record["commit"].split(",")
    return ",".join([commit[:10], *changes])


def format_range(numbers: Iterable[int]) -> str:
    """``5``, or ``3 to 5`` if they differ."""
    values = sorted(set(numbers))
    return " to ".join(f"{n:,}" for n in dict.fromkeys((values[0], values[-1])))


def join_distinct(values: Iterable[str]) -> str:
    """The value all have, else the different ones, joined by "and"."""
    return " and ".join(dict.fromkeys(values))


def _describe_commits(runs: Sequence[RunResult]) -> str:
    commits = sorted({commit_of(run) for run in runs})
    if len(commits) == 1:
        return f"commit {commits[0]}"
    hashes = {commit.split(",")[0] for commit in commits}
    words = f"{len(hashes)} commits" if len(hashes) > 1 else f"commit {commits[0][:10]}"
    changed = any("," in commit for commit in commits)
    return f"{words}, some with changes" if changed else words
