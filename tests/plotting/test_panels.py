"""Panels, their averages, the axis they are drawn on, and which runs are refused."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_results import a_run

from remix_plugin.plotting.captions import commit_of, schedule_of
from remix_plugin.plotting.panels import (
    check_comparable,
    comparisons,
    headings,
    panels_of,
    title_of,
    without_variants,
)
from remix_plugin.plotting.return_axis import forward, inverse, is_bent
from remix_plugin.statistics.bootstrap import mean_interval


def test_mean_and_interval_over_seeds() -> None:
    runs = [a_run(seed=s, scores=v) for s, v in enumerate([(0, 2, 6), (4, 2, 9)])]
    curve = panels_of(runs)[0].curve("remix")
    assert curve.frames.tolist() == [100, 200, 300]
    assert curve.mean.tolist() == [2, 2, 7.5]
    low, high = mean_interval([[0, 2, 6], [4, 2, 9]])
    assert curve.low.tolist() == low.tolist() == [0, 2, 6]
    assert curve.high.tolist() == high.tolist() == [4, 2, 9]


def test_one_seed_has_no_interval() -> None:
    curve = panels_of([a_run(scores=(1, 2, 3))])[0].curve("remix")
    assert curve.mean.tolist() == [1, 2, 3]
    assert np.isnan([curve.low, curve.high]).all()


def test_win_rates_are_means_over_episodes() -> None:
    runs = [
        a_run(seed=s, scores=(0, 0.5, w), task="smax/3m") for s, w in ((0, 1), (1, 0))
    ]
    (panel,) = panels_of(runs)
    assert panel.metric == "win_rate"
    assert panel.curve("remix").mean.tolist() == [0, 0.5, 0.5]


def test_runs_of_other_budgets_are_refused() -> None:
    short = a_run(seed=1, frames=(100, 200), scores=(0, 1))
    message = (
        r"remix/seed_0 and .*remix/seed_1 were evaluated at different frames, 3 times "
        r"from 100 to 300 and 2 times from 100 to 200: .* must have the same budget"
    )
    with pytest.raises(ValueError, match=message):
        check_comparable([a_run(), short])
    with pytest.raises(ValueError, match="different frames"):
        panels_of([a_run("qmix"), a_run(frames=(100, 200, 301))])
    # Other tasks and blocks may have other budgets.
    other = a_run(frames=(1, 2), scores=(3, 4), task="predator_prey/punish_0")
    assert len(panels_of([a_run(), other])) == 2


def test_algorithms_may_differ_in_their_first_evaluation_only() -> None:
    early = a_run(label="vdac", frames=(20, 200, 300))
    check_comparable([a_run(), early])
    with pytest.raises(ValueError, match=r"remix/seed_0 and .*vdac/seed_0 .*differ"):
        check_comparable([a_run(), a_run(label="vdac", frames=(100, 220, 300))])
    with pytest.raises(ValueError, match=r"vdac/seed_0 and .*vdac/seed_1 .*differ"):
        check_comparable([a_run(), early, a_run(label="vdac", seed=1)])


def test_runs_that_are_there_twice_or_not_evaluated_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two runs anneal_50k/.*/remix/seed_0: give"):
        check_comparable([a_run(), a_run(scores=(1, 2, 3))])
    with pytest.raises(ValueError, match=r"remix/seed_0 has no evaluation"):
        check_comparable([a_run(frames=(), scores=())])


def test_seeds_of_other_settings_are_refused() -> None:
    other = a_run(seed=1, overrides=["task=predator_prey/punish_2", "seed=1", "lr=1"])
    message = (
        r"remix/seed_0 and .*remix/seed_1 had different overrides, \S*=50_000 task=\S+ "
        r"and task=\S+ lr=1: seeds of one label must have the same"
    )
    with pytest.raises(ValueError, match=message):
        check_comparable([a_run(), other])
    # What algorithms differ in is their label's affair.
    check_comparable([a_run("qmix"), other])


def test_panels_are_tasks_in_the_papers_order() -> None:
    tasks = [f"predator_prey/punish_{n}" for n in ("2", "0_5", "0", "1_5")]
    runs = [a_run(task=t) for t in ["smax/3m", *tasks, "balance/balance"]]
    assert headings(panels_of(runs)) == [
        "punishment 0",
        "punishment -0.5",
        "punishment -1.5",
        "punishment -2",
        "balance/balance",
        "SMAX 3m",
    ]
    assert title_of("smacv2/terran_5_vs_5") == "SMACv2 terran_5_vs_5"


def test_a_task_of_two_blocks_has_two_panels() -> None:
    panels = panels_of([a_run(block="b"), a_run(block="a"), a_run("qmix", block="a")])
    assert headings(panels) == ["punishment -2, a", "punishment -2, b"]
    assert [list(panel.runs) for panel in panels] == [["remix", "qmix"], ["remix"]]


def test_runs_are_ordered_by_label_and_seed() -> None:
    (panel,) = panels_of([a_run("vdn", 10), a_run("vdn", 9), a_run("remix", 3)])
    assert list(panel.runs) == ["remix", "vdn"]
    assert [run.seed for run in panel.runs["vdn"]] == [9, 10]


def test_variants_are_not_compared_with_other_algorithms() -> None:
    battle = a_run(task="smacv2/zerg_5_vs_5", block="z")
    panels = panels_of([a_run(), a_run("remix_no_x"), a_run(block="late"), battle])
    assert list(without_variants(panels)[0].runs) == ["remix"]
    groups = comparisons(panels).items()
    found = {suffix: [panel.where for panel in own] for (suffix, _), own in groups}
    assert found == {
        "predator_prey_anneal_50k": ["predator_prey/punish_2, block anneal_50k"],
        "predator_prey_late": ["predator_prey/punish_2, block late"],
        "battles": ["smacv2/zerg_5_vs_5, block z"],
    }


def test_schedule_and_commit_come_from_the_record() -> None:
    assert schedule_of(a_run()) == "exploration falls over 50,000 frames"
    assert schedule_of(a_run(overrides=[])) == "block anneal_50k"
    derived = a_run(overrides=["experiment.exploration_anneal_frames=${frames}"])
    assert schedule_of(derived) == "exploration falls over ${frames} frames"
    assert commit_of(a_run()) == "0123456789"
    changed = a_run(commit="0123456789abcdef, with changes")
    assert commit_of(changed) == "0123456789, with changes"


def test_returns_below_zero_are_compressed() -> None:
    assert is_bent(-10.1) and not is_bent(-10.0)
    returns = np.array([-1000.0, -10.0, -0.001, 0.0, 5.0, 40.0])
    places = forward(returns)
    assert places[3:].tolist() == [0, 5, 40]
    assert places[1] == pytest.approx(-10 * np.log(2))
    assert places[2] == pytest.approx(-0.001, rel=1e-3)
    assert -50 < places[0] < places[1]
    assert inverse(places) == pytest.approx(returns)
