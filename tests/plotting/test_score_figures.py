"""Pictures of scores at the end of training."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from synthetic_results import a_run, draw

from remix_plugin.plotting.panels import panels_of
from remix_plugin.results.run_result import RunResult
from remix_plugin.statistics.aggregates import mean
from remix_plugin.statistics.bootstrap import interval
from remix_plugin.statistics.comparison import performance_profile, profile_interval

ENDS = {"remix": (36, 30, 33), "qmix": (0, 3, 12)}


def runs(task: str = "predator_prey/punish_2") -> list[RunResult]:
    return [
        a_run(label, seed, (0, 0, end), task=task)
        for label, ends in ENDS.items()
        for seed, end in enumerate(ends)
    ]


def points(axis: Axes) -> list[tuple[list[float], list[float]]]:
    return [(list(x.get_xdata()), list(x.get_ydata())) for x in axis.get_lines()]


def test_final_scores_are_of_the_last_evaluation() -> None:
    (panel,) = panels_of(runs())
    scores = {label: panel.final_scores(label).tolist() for label in panel.runs}
    assert scores == {"remix": [36, 30, 33], "qmix": [0, 3, 12]}


def test_each_row_has_seeds_mean_and_interval() -> None:
    (drawn,) = draw([*runs(), a_run("remix_w_min_0_5")], ["final"])
    assert drawn.name == "final_predator_prey_anneal_50k"
    (axis,) = drawn.figure.axes
    names = [text.get_text() for text in axis.get_yticklabels()]
    assert names == ["ReMIX", "QMIX (BenchMARL)"]
    seeds, bar, marker = points(axis)[:3]
    assert seeds[0] == [36, 30, 33]
    assert bar == (list(interval(mean, [np.array([36.0, 30, 33])])), [0, 0])
    assert bar[0][0] < 33 < bar[0][1]
    assert marker == ([33], [0])
    assert points(axis)[5] == ([5], [1])
    assert axis.get_ylim() == (1.6, -0.6)
    assert "3 seeds per row. 300 frames" in drawn.caption


def test_all_tasks_have_the_same_axis() -> None:
    other = a_run(task="predator_prey/punish_0", scores=(0, 0, -40))
    (drawn,) = draw([*runs(), other], ["final"])
    first, second = (axis.get_xlim() for axis in drawn.figure.axes)
    assert first == second
    assert first[0] < -40 and first[1] > 36


def test_profiles_are_shares_of_runs_above_a_score() -> None:
    tasks = ("predator_prey/punish_2", "predator_prey/punish_0")
    results = [run for task in tasks for run in runs(task)]
    (drawn,) = draw([*results, a_run("remix_no_on_policyness")], ["profile"])
    (axis,) = drawn.figure.axes
    ours, theirs = axis.get_lines()
    levels = np.linspace(0, 36, 81)
    assert list(ours.get_xdata()) == levels.tolist()
    expected = performance_profile([np.array(ENDS["remix"])] * 2, levels)
    assert list(ours.get_ydata()) == expected.tolist()
    assert ours.get_ydata()[0] == 1
    # Two of three seeds of each task end above 0, none above 12.
    assert theirs.get_ydata()[0] == 2 / 3
    assert not np.any(theirs.get_ydata()[levels >= 12])
    low, high = profile_interval([np.array(ENDS["remix"])] * 2, levels)
    band = {(x, y) for x, y in axis.collections[0].get_paths()[0].vertices.tolist()}
    middle = int(np.argmax(high > low))
    assert {(levels[middle], low[middle]), (levels[middle], high[middle])} <= band
    assert "Tasks: punishment 0, punishment -2. 3 seeds per algorithm" in drawn.caption


def test_profiles_of_equal_scores_have_a_width() -> None:
    zeros = [a_run(label, scores=(0, 0, 0)) for label in ("remix", "qmix")]
    (drawn,) = draw(zeros, ["profile"])
    for line in drawn.figure.axes[0].get_lines():
        assert line.get_xdata()[[0, -1]].tolist() == [0, 0.1]
        assert not line.get_ydata().any()


def test_profiles_leave_out_tasks_that_an_algorithm_lacks() -> None:
    extra = a_run(task="predator_prey/punish_0", scores=(0, 0, -40))
    (drawn,) = draw([*runs(), extra], ["profile"])
    assert "Tasks: punishment -2. 3 seeds" in drawn.caption
    assert drawn.figure.axes[0].get_lines()[0].get_xdata()[0] == 0
    lone = a_run("vdn", task="predator_prey/punish_0")
    assert draw([*runs(), lone], ["profile"]) == []


def test_profiles_of_one_seed_have_no_band() -> None:
    (drawn,) = draw([a_run(), a_run("qmix")], ["profile"])
    assert not drawn.figure.axes[0].collections
    lines = drawn.figure.axes[0].get_lines()
    # From 0 on, although both end at 30.
    assert [line.get_xdata()[0] for line in lines] == [0, 0]
