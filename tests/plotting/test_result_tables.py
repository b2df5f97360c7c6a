"""Tables, cell by cell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from synthetic_results import a_run

from remix_plugin.plotting.panels import Panel, panels_of
from remix_plugin.plotting.table import Table, format_interval, format_number
from remix_plugin.plotting.tables import (
    COLUMNS,
    all_tables,
    improvement_table,
    result_tables,
    score_table,
)
from remix_plugin.results.run_result import RunResult
from remix_plugin.statistics.aggregates import iqm, mean, median
from remix_plugin.statistics.bootstrap import interval
from remix_plugin.statistics.comparison import improvement_interval

HALF = "predator_prey/punish_0_5"


def three_seeds() -> list[RunResult]:
    """Ends of 30, 36 and 39; 20 is reached at 300, 200 and 200 frames."""
    scores = [(0, 10, 30), (0, 20, 36), (0, 24, 39)]
    absolute = [(30, 34), (40,), ()]
    return [a_run("remix", s, scores[s], absolute=absolute[s]) for s in range(3)]


def panel(runs: list[RunResult]) -> Panel:
    (own,) = panels_of(runs)
    return own


def cells(table: Table, row: int) -> dict[str, str]:
    return dict(zip(table.columns, table.rows[row], strict=True))


def test_numbers_in_cells() -> None:
    assert format_number(1234.56, 1) == "1,234.6"
    assert format_number(-0.04, 1) == "0.0"
    assert format_number(math.nan, 1) == "-"
    assert format_interval(35.21, (33.1, 37), 1) == "35.2 [33.1, 37.0]"
    assert format_interval(35.21, (math.nan, math.nan), 2) == "35.21"


def test_scores_of_one_task() -> None:
    table = score_table(panel([*three_seeds(), a_run("qmix", scores=(0, 0, 0))]))
    ends = np.array([30.0, 36.0, 39.0])
    low, high = interval(mean, [ends])
    assert table.caption == "predator_prey/punish_2, block anneal_50k: mean return"
    assert cells(table, 0) == {
        "algorithm": "ReMIX",
        "seeds": "3",
        "final mean": f"35.0 [{low:.1f}, {high:.1f}]",
        "median": "36.0 [30.0, 39.0]",
        "IQM": f"35.0 [{low:.1f}, {high:.1f}]",
        # Means of 32 and 40, of the two runs that have it.
        "absolute metric": "36.0 [32.0, 40.0] (2 runs)",
        # (0 + 10) / 2, (10 + 30) / 2 and so on: 12.5, 19, 21.75.
        "area under curve": "17.8 [12.5, 21.8]",
        "frames to 20": "233 (3 of 3)",
        "final success rate": "0.50 [0.50, 0.50]",
    }
    assert cells(table, 1) == {
        "algorithm": "QMIX (BenchMARL)",
        "seeds": "1",
        "final mean": "0.0",
        "median": "0.0",
        "IQM": "0.0",
        "absolute metric": "-",
        "area under curve": "0.0",
        "frames to 20": "- (0 of 1)",
        "final success rate": "0.00",
    }
    assert table.numeric == list(range(1, 9))
    assert table.note.startswith("3 seeds per row, except QMIX (BenchMARL): 1. 300 fra")


def test_interquartile_mean_leaves_out_extremes() -> None:
    runs = [a_run(seed=s, scores=(0, 0, e)) for s, e in enumerate((-90, 1, 2, 3, 40))]
    row = cells(score_table(panel(runs)), 0)
    low, high = interval(iqm, [np.array([-90.0, 1, 2, 3, 40])])
    assert row["IQM"] == f"2.0 [{low:.1f}, {high:.1f}]"
    assert row["median"].startswith("2.0 [")
    assert row["final mean"].startswith("-8.8 [")


def test_battles_have_win_rates_and_returns() -> None:
    runs = [
        a_run(seed=s, scores=(0, e, e), task="smax/3m") for s, e in ((0, 0.25), (1, 1))
    ]
    row = cells(score_table(panel(runs)), 0)
    assert row["final mean"].startswith("0.62 [0.25, 1.00]")
    assert row["frames to 0.5"] == "200 (1 of 2)"
    assert row["final return"] == "0.6 [0.2, 1.0]"


def test_tasks_without_a_known_range_have_no_threshold() -> None:
    row = cells(score_table(panel([a_run(task="matrix_game/qtran")])), 0)
    assert row["frames to a score"] == "-"


def test_one_evaluation_has_no_area() -> None:
    row = cells(score_table(panel([a_run(frames=(100,), scores=(30,))])), 0)
    assert row["area under curve"] == "-"
    assert row["final mean"] == "30.0"
    assert row["frames to 20"] == "100 (1 of 1)"


def test_improvement_over_each_other_label() -> None:
    others = [a_run("qmix", s, (0, 0, e)) for s, e in enumerate((36, 20))]
    table = improvement_table(panel([*three_seeds(), *others]))
    low, high = improvement_interval([np.array([30, 36, 39])], [np.array([36, 20])])
    # Of six pairs ReMIX wins four, one is a tie.
    assert [list(row) for row in table.rows] == [
        ["QMIX (BenchMARL)", f"0.75 [{low:.2f}, {high:.2f}]"]
    ]
    assert table.note == "3 seeds per label, except QMIX (BenchMARL): 2."


def test_aggregates_over_tasks() -> None:
    ends = {"remix": [(30, 36), (10, 20)], "vdn": [(0, 6), (20, 30)]}
    runs = [
        a_run(label, seed, (0, 0, end), task=task)
        for label, tasks in ends.items()
        for task, seeds in zip(("predator_prey/punish_2", HALF), tasks, strict=True)
        for seed, end in enumerate(seeds)
    ]
    extra = a_run(task="predator_prey/punish_0", scores=(0, 0, -50))
    table = result_tables(panels_of([*runs, extra, a_run("remix_w_min_0_5")]))[-1]
    assert table.caption == (
        "Predator-Prey, block anneal_50k: mean return at the end over 2 tasks"
    )
    assert table.note.startswith("Tasks: punishment -0.5, punishment -2. 2 seeds per")
    tasks = [np.array([10.0, 20.0]), np.array([30.0, 36.0])]
    for name, statistic in (("mean", mean), ("median of tasks", median), ("IQM", iqm)):
        low, high = interval(statistic, tasks)
        value = {"mean": 24.0, "median of tasks": 24.0, "IQM": 25.0}[name]
        assert cells(table, 0)[name] == f"{value} [{low:.1f}, {high:.1f}]"
    assert cells(table, 0)["P(ReMIX ends better)"] == "-"
    # Always at -2; at -0.5 a tie in four pairs is all ReMIX has.
    assert cells(table, 1)["P(ReMIX ends better)"].startswith("0.56 [")


def test_all_tables_in_order_whatever_the_order_of_results() -> None:
    runs = [*three_seeds(), a_run("vdn"), a_run("vdn", task=HALF), a_run(block="a")]
    panels = panels_of(runs)
    tables = result_tables(panels)
    assert [table.caption.split(":")[0] for table in tables] == [
        "predator_prey/punish_2, block a",
        "predator_prey/punish_0_5, block anneal_50k",
        "predator_prey/punish_2, block anneal_50k",
        "predator_prey/punish_2, block anneal_50k",
    ]
    text = all_tables(panels)
    assert text == all_tables(panels_of(runs[::-1]))
    assert text.startswith(COLUMNS)
    assert text.count("| ReMIX | 3 |") == 1
    assert result_tables([]) == []


def test_markdown() -> None:
    table = Table("What", ("name", "score"), [("a", "1.0 [0, 2]"), ("b", "-")], "Note.")
    assert table.markdown == (
        "**What.** Note.\n\n| name | score |\n| --- | --: |\n"
        "| a | 1.0 [0, 2] |\n| b | - |"
    )
    with pytest.raises(
        ValueError, match=r"'What' has a row of 1 cells, \['a'\]: it must"
    ):
        Table("What", ("name", "score"), [("a",)])
