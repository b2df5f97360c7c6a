"""Probability of improvement and performance profiles, with their intervals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from score_inputs import (
    PROPERTY,
    RLIABLE_X,
    RLIABLE_Y,
    is_percentile,
    pairs,
    score,
    scores,
    tasks,
)

from remix_plugin.statistics.comparison import (
    improvement_interval,
    performance_profile,
    probability_of_improvement,
    profile_interval,
)

RLIABLE_THRESHOLDS = [0.2, 0.48, 0.7, 0.85, 1.1]


def slow_improvement(x: list, y: list) -> float:
    """Every pair of runs in turn."""
    of_tasks = []
    for ours, theirs in zip(x, y, strict=True):
        wins = [(a > b) + 0.5 * (a == b) for a in ours for b in theirs]
        of_tasks.append(sum(wins) / len(wins))
    return sum(of_tasks) / len(of_tasks)


def slow_profile(by_task: list, threshold: float) -> float:
    shares = [sum(run > threshold for run in task) / len(task) for task in by_task]
    return sum(shares) / len(shares)


def test_improvement_by_hand() -> None:
    # Of 6 pairs 3 wins and 1 tie; of 1 pair none.
    x, y = scores([1, 2, 3], [0]), scores([0, 3], [5])
    assert probability_of_improvement(x, y) == pytest.approx((3.5 / 6 + 0) / 2)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([2, 3], [0, 1], 1.0),
        ([0, 1], [2, 3], 0.0),
        ([1, 1], [1, 1, 1], 0.5),
        ([1, 2], [1, 2], 0.5),
    ],
)
def test_improvement_at_its_limits(x: list, y: list, expected: float) -> None:
    assert probability_of_improvement(scores(x), scores(y)) == expected


def test_improvement_of_published_examples() -> None:
    # Wikipedia, "Mann-Whitney U test", six tortoises and six hares in the order
    # T HHHHH TTTTT H: U is 11 for the tortoises and 25 for the hares.
    tortoises, hares = scores([12, 6, 5, 4, 3, 2]), scores([11, 10, 9, 8, 7, 1])
    assert probability_of_improvement(tortoises, hares) == pytest.approx(11 / 36)
    assert probability_of_improvement(hares, tortoises) == pytest.approx(25 / 36)
    # "Effect Sizes for the Mann-Whitney U Test: An Intuition" (2017): the first group
    # of runners is faster in 16 of 20 pairs.
    first, second = [9.9, 10.3, 11.5, 12.1, 23.3], [13.2, 14.5, 15.2, 16.6]
    assert probability_of_improvement(scores(second), scores(first)) == 0.8


def test_improvement_agrees_with_rliable() -> None:
    # google-research/rliable, tests/rliable/metrics_test.py, transposed.
    x, y = scores([1, 2, 1, 2], [2, 2, 1, 1]), scores([1, 2, 3], [1, 2, 3])
    assert probability_of_improvement(x, y) == pytest.approx(1 / 3, rel=1e-14)
    improvement = probability_of_improvement(RLIABLE_X, RLIABLE_Y)
    assert improvement == pytest.approx(0.6083333333333333, rel=1e-14)
    reverse = probability_of_improvement(RLIABLE_Y, RLIABLE_X)
    assert reverse == pytest.approx(0.39166666666666666, rel=1e-14)


def test_improvement_interval_agrees_with_rliable() -> None:
    # get_interval_estimates, 50000 resamples, np.random.seed(0). Results are multiples
    # of 1 / 120, and the ends of its seeds 1 and 2 lie one step higher.
    ends = improvement_interval(RLIABLE_X, RLIABLE_Y)
    assert ends == pytest.approx((0.375, 0.8166666666666668), abs=2.01 / 120)


def test_profile_agrees_with_rliable() -> None:
    # create_performance_profile; two thresholds are scores of runs.
    expected = [14 / 15, 11 / 15, 8 / 15, 5 / 15, 2 / 15]
    assert expected == pytest.approx(
        [
            0.9333333333333333,
            0.7333333333333333,
            0.5333333333333333,
            0.3333333333333333,
            0.13333333333333333,
        ],
        rel=1e-14,
    )
    profile = performance_profile(RLIABLE_X, RLIABLE_THRESHOLDS)
    assert profile == pytest.approx(expected, rel=1e-14)


def test_profile_interval_agrees_with_rliable() -> None:
    # create_performance_profile, 20000 resamples; the same with seeds 0 and 1.
    low, high = profile_interval(RLIABLE_X, RLIABLE_THRESHOLDS)
    assert low == pytest.approx(
        [0.8, 0.6666666666666666, 0.4, 0.2, 0.0], rel=1e-12, abs=1e-12
    )
    assert high == pytest.approx(
        [
            1.0,
            0.8666666666666667,
            0.6666666666666666,
            0.4666666666666667,
            0.26666666666666666,
        ],
        rel=1e-12,
    )


def test_improvement_interval_is_of_all_resamples_of_both() -> None:
    x, y = scores([1, 3, 4], [0, 5]), scores([2, 3], [4, 6])
    draws = [itertools.product(task, repeat=len(task)) for task in (*x, *y)]
    exact = np.array(
        [slow_improvement(drawn[:2], drawn[2:]) for drawn in itertools.product(*draws)]
    )
    assert len(exact) == 3**3 * 4**3
    low, high = improvement_interval(x, y)
    assert is_percentile(exact, 0.025, 2000, low)
    assert is_percentile(exact, 0.975, 2000, high)


def test_profile_interval_is_of_all_resamples() -> None:
    by_task = scores([1, 3, 4], [2, 3, 5, 6])
    draws = [itertools.product(task, repeat=len(task)) for task in by_task]
    thresholds = [0, 2, 3, 4.5, 6]
    exact = np.array(
        [
            [slow_profile(drawn, threshold) for threshold in thresholds]
            for drawn in itertools.product(*draws)
        ]
    )
    low, high = profile_interval(by_task, thresholds)
    for index in range(len(thresholds)):
        assert is_percentile(exact[:, index], 0.025, 2000, low[index])
        assert is_percentile(exact[:, index], 0.975, 2000, high[index])


def test_profile_is_strict_and_weighs_tasks_equally() -> None:
    # Above 1 are 0 of 1 and 3 of 4 runs.
    by_task = scores([1], [1, 2, 3, 4])
    expected = [1.0, 0.375, 0.125, 0.0]
    assert performance_profile(by_task, [0, 1, 3, 4]).tolist() == expected


def test_a_single_run_has_no_interval() -> None:
    one, two = scores([1, 2], [1]), scores([1, 2], [1, 2])
    for x, y in ((one, two), (two, one)):
        assert np.isnan(improvement_interval(x, y)).tolist() == [True, True]
    assert not np.isnan(improvement_interval(two, two)).any()
    assert np.isnan(profile_interval(one, [0, 1])).tolist() == [[True] * 2] * 2


@PROPERTY
@given(pair=pairs)
def test_property_improvement_equals_plain_loops_and_mann_whitney(pair: tuple) -> None:
    x, y = pair
    improvement = probability_of_improvement(x, y)
    assert improvement == pytest.approx(slow_improvement(x, y), abs=1e-12)
    shares = [
        mannwhitneyu(a, b, method="exact").statistic / (len(a) * len(b))
        for a, b in zip(x, y, strict=True)
    ]
    assert improvement == pytest.approx(np.mean(shares), abs=1e-12)


@PROPERTY
@given(pair=pairs, seed=st.integers(0, 99))
def test_property_improvement_of_both_sums_to_1_in_any_order(
    pair: tuple, seed: int
) -> None:
    x, y = pair
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(task) for task in y]
    total = probability_of_improvement(x, y) + probability_of_improvement(shuffled, x)
    assert total == pytest.approx(1.0, abs=1e-12)


@PROPERTY
@given(
    by_task=tasks(min_runs=2),
    thresholds=st.lists(score, min_size=1, max_size=8),
)
def test_property_profiles_fall_and_equal_plain_loops(
    by_task: list[np.ndarray], thresholds: list[float]
) -> None:
    profile = performance_profile(by_task, thresholds)
    expected = [slow_profile(by_task, threshold) for threshold in thresholds]
    assert profile == pytest.approx(expected, abs=1e-12)
    low, high = profile_interval(by_task, sorted(thresholds))
    for curve in (profile[np.argsort(thresholds)], low, high):
        assert (np.diff(curve) <= 1e-12).all()
        assert (curve >= -1e-12).all() and (curve <= 1 + 1e-12).all()
    assert (low <= high).all()


def test_what_has_no_comparison_is_refused() -> None:
    one, two = scores([1, 2]), scores([1, 2], [3, 4])
    for function in (probability_of_improvement, improvement_interval):
        with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter"):
            function(two, one)
    with pytest.raises(ValueError, match=r"scores\[1\]\[0\]=nan"):
        improvement_interval(one, scores([np.nan]))
    for function in (performance_profile, profile_interval):
        with pytest.raises(ValueError, match=r"thresholds of shape \(0,\)"):
            function(one, [])
        with pytest.raises(ValueError, match=r"thresholds\[1\]=inf"):
            function(one, [0, np.inf])
    with pytest.raises(ValueError, match=r"scores\[0\]\[0\]=nan"):
        profile_interval(scores([np.nan]), [0])
