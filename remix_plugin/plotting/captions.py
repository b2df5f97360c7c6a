"""What captions say of the runs in a figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from remix_plugin.plotting.runs import commit_of, same, schedule_of
from remix_plugin.plotting.style import name_of
from remix_plugin.results.run_result import RunResult

METRICS = {"return": "mean return", "win_rate": "win rate"}

Panels = Mapping[str, Mapping[str, Sequence[RunResult]]]


def facts(panels: Panels, drawn: str = "curve") -> str:
    """Seeds, frames, evaluation episodes, schedule and commit, in sentences.

    Args:
        panels (mapping): of each panel, of each label, its runs; at least one.
        drawn (str): what shows the runs of one label in one panel.
    """
    runs = [run for labels in panels.values() for own in labels.values() for run in own]
    episodes = [len(one) for run in runs for one in run.episodes["return"]]
    parts = [
        f"{count_range(run.frames[-1] for run in runs)} frames",
        f"{count_range(episodes)} greedy episodes per evaluation",
        same(schedule_of(run) for run in sorted(runs, key=lambda r: r.name)),
        _commits(runs),
    ]
    return f"{seeds(panels, drawn)} {'; '.join(parts)}."


def seeds(panels: Panels, drawn: str = "curve") -> str:
    """How many seeds each label has, over panels, 0 where it is missing in one."""
    labels = dict.fromkeys(label for own in panels.values() for label in own)
    counts = {k: [len(own.get(k, ())) for own in panels.values()] for k in labels}
    extremes = [(min(own), max(own)) for own in counts.values()]
    usual = max(sorted(set(extremes), reverse=True), key=extremes.count)
    others = [
        f"{name_of(label)}: {count_range(own)}"
        for label, own in counts.items()
        if (min(own), max(own)) != usual
    ]
    words = f"{count_range(usual)} seed{'s' * (usual != (1, 1))} per {drawn}"
    if others:
        words += f", except {', '.join(others)}"
    if drawn == "curve":
        everything = {count for own in counts.values() for count in own}
        if 1 in everything:
            words += "; a curve of one seed has no band"
        if {2, 3} & everything:
            words += "; a band of two or three seeds is their range"
    return f"{words}."


def count_range(numbers: Iterable[int]) -> str:
    """``5``, or ``3 to 5`` if they differ."""
    values = sorted(set(numbers))
    return " to ".join(f"{n:,}" for n in dict.fromkeys((values[0], values[-1])))


def _commits(runs: Sequence[RunResult]) -> str:
    commits = sorted({commit_of(run) for run in runs})
    if len(commits) == 1:
        return f"commit {commits[0]}"
    hashes = {commit.split(",")[0] for commit in commits}
    words = f"{len(hashes)} commits" if len(hashes) > 1 else f"commit {commits[0][:10]}"
    changed = any("," in commit for commit in commits)
    return f"{words}, some with changes" if changed else words
