"""Bootstrap intervals against exact ones, rliable's, and the share that they cover."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student_t
from score_inputs import PROPERTY, RLIABLE_X, is_percentile, scores, tasks

from remix_plugin.statistics.aggregates import iqm, mean, median, seed_median
from remix_plugin.statistics.bootstrap import interval, mean_interval

pytestmark = pytest.mark.slow

AGGREGATES = [mean, median, iqm]


def all_resamples(by_task: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Every way to draw runs within each task, all equally likely."""
    of_tasks = [itertools.product(task, repeat=len(task)) for task in by_task]
    for drawn in itertools.product(*of_tasks):
        yield [np.array(task) for task in drawn]


def test_both_ends_by_hand() -> None:
    # The mean is 0, 0.5 or 1 with probability 1/4, 1/2, 1/4.
    assert interval(mean, scores([0, 1])) == (0.0, 1.0)
    # It is 0 with probability 0.9 ** 10 = 0.35, at most 0.3 with 0.987, 0.2 with 0.93.
    low, high = interval(mean, scores([0] * 9 + [1]))
    assert (low, high) == (0, pytest.approx(0.3))


def test_runs_are_drawn_within_their_task() -> None:
    # If runs were pooled, some resamples would be all 0 or all 1.
    assert interval(mean, scores([0, 0, 0], [1, 1, 1])) == (0.5, 0.5)


def test_tasks_are_drawn_independently() -> None:
    # All tasks of three are 0 with probability 1/64, less than a tail; drawn together,
    # they would be with 1/4.
    by_task = scores([0, 1], [0, 1], [0, 1])
    assert interval(mean, by_task) == pytest.approx((1 / 6, 5 / 6))


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_ends_are_percentiles_of_all_resamples(aggregate: Callable) -> None:
    by_task = scores([0.3, 1.7, 4.1], [0.9, 2.2, 7.3])
    exact = np.array([aggregate(drawn) for drawn in all_resamples(by_task)])
    assert len(exact) == 3**3 * 3**3
    low, high = interval(aggregate, by_task)
    assert is_percentile(exact, 0.025, 2000, low)
    assert is_percentile(exact, 0.975, 2000, high)


@pytest.mark.parametrize(
    ("aggregate", "ends"),
    [
        # get_interval_estimates, 50000 resamples, np.random.seed(0)
        (mean, (0.638, 0.8020166666666677)),
        (median, (0.6199999999999999, 0.8400000000000001)),
        (iqm, (0.6411111111111111, 0.8155555555555556)),
    ],
)
def test_intervals_agree_with_rliable(
    aggregate: Callable, ends: tuple[float, float]
) -> None:
    assert interval(aggregate, RLIABLE_X) == pytest.approx(ends, abs=0.006)


def test_ends_are_those_of_drawn_runs() -> None:
    # What the tables have always had: 2,000 resamples of seed 0, task by task
    for statistic, by_task in ((mean, RLIABLE_X), (seed_median, RLIABLE_X[:1])):
        generator = np.random.default_rng(0)
        drawn = [one[generator.integers(len(one), size=(2000, 5))] for one in by_task]
        expected = np.quantile(statistic(drawn), [0.025, 0.975])
        assert interval(statistic, by_task) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("by_task", [scores([1]), scores([1, 2], [3])])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_single_run_has_no_interval(
    aggregate: Callable, by_task: list[np.ndarray]
) -> None:
    assert np.isnan(interval(aggregate, by_task)).tolist() == [True, True]


def test_a_single_curve_has_no_interval() -> None:
    low, high = mean_interval(np.ones((1, 3)))
    assert np.isnan([low, high]).tolist() == [[True] * 3] * 2


def test_curves_have_the_interval_of_each_point() -> None:
    values = np.random.default_rng(0).exponential(size=(6, 4))
    low, high = mean_interval(values)
    for index in range(4):
        expected = interval(mean, [values[:, index]])
        assert (low[index], high[index]) == pytest.approx(expected, rel=1e-12)


def test_curves_draw_the_same_runs_at_all_points() -> None:
    runs = np.random.default_rng(0).normal(size=7)
    low, high = mean_interval(np.stack([runs, runs, runs + 2], axis=1))
    assert low[0] == low[1] and high[0] == high[1]
    assert [low[2], high[2]] == pytest.approx([low[0] + 2, high[0] + 2], rel=1e-12)


def covered(draw: Callable, truth: float, n_tasks: int, n_runs: int) -> float:
    """Share of 1000 studies whose 95 % interval of the mean holds the truth."""
    generator = np.random.default_rng(n_runs)
    count = 0
    for _ in range(1000):
        by_task = [draw(generator, n_runs) for _ in range(n_tasks)]
        low, high = interval(mean, by_task)
        count += low <= truth <= high
    return count / 1000


@pytest.mark.parametrize("n_runs", [5, 30])
@pytest.mark.parametrize("n_tasks", [1, 3])
def test_coverage_of_normal_scores_is_that_of_theory(n_tasks: int, n_runs: int) -> None:
    # Resampled means are close to normal, too narrow by sqrt((n - 1) / n), while the
    # error in units of the estimated spread follows Student's t. For one task of 5
    # and 30 runs that is 0.845 and 0.936, and for three 0.895 and 0.943.
    narrow = math.sqrt((n_runs - 1) / n_runs)
    reach = norm.ppf(0.975) * narrow
    theory = 1 - 2 * student_t.sf(reach, n_tasks * (n_runs - 1))
    share = covered(lambda g, n: g.normal(2.0, 0.5, size=n), 2.0, n_tasks, n_runs)
    assert share == pytest.approx(theory, abs=0.03)
    if n_runs == 30:
        assert 0.91 <= share <= 0.97


@PROPERTY
@given(by_task=tasks(min_runs=2), aggregate=st.sampled_from(AGGREGATES))
def test_property_ends_are_ordered_and_within_the_scores(
    by_task: list[np.ndarray], aggregate: Callable
) -> None:
    low, high = interval(aggregate, by_task)
    pooled = np.concatenate(by_task)
    assert pooled.min() - 1e-9 <= low <= high <= pooled.max() + 1e-9


@PROPERTY
@given(by_task=tasks(min_runs=2), shift=st.floats(-9, 9), scale=st.floats(0.1, 9))
def test_property_units_of_the_score_carry_over(
    by_task: list[np.ndarray], shift: float, scale: float
) -> None:
    low, high = interval(iqm, by_task)
    ends = interval(iqm, [task * scale + shift for task in by_task])
    expected = (low * scale + shift, high * scale + shift)
    assert ends == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_wrong_scores_are_refused() -> None:
    with pytest.raises(ValueError, match=r"scores\[0\]\[1\]=nan"):
        interval(mean, scores([1, np.nan]))
    with pytest.raises(ValueError, match=r"scores=\[\]"):
        interval(mean, [])
    with pytest.raises(ValueError, match=r"values of shape \(3,\) .* a 2-D"):
        mean_interval(np.ones(3))
    with pytest.raises(ValueError, match=r"values of shape \(2, 0\)"):
        mean_interval(np.ones((2, 0)))
    with pytest.raises(ValueError, match=r"values\[1, 0\]=nan"):
        mean_interval([[1.0, 2.0], [np.nan, 1.0]])
