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

from remix_plugin.statistics.aggregates import BATCHED, iqm, mean, median
from remix_plugin.statistics.bootstrap import interval, mean_interval

AGGREGATES = [mean, median, iqm]


def all_resamples(by_task: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Every way to draw runs within each task, all equally likely."""
    of_tasks = [itertools.product(task, repeat=len(task)) for task in by_task]
    for drawn in itertools.product(*of_tasks):
        yield [np.array(task) for task in drawn]


def test_both_ends_by_hand() -> None:
    # The mean is 0, 0.5 or 1 with probability 1/4, 1/2, 1/4.
    two = scores([0, 1])
    assert interval(mean, two, confidence=0.4) == (0.5, 0.5)
    assert interval(mean, two, confidence=0.6) == (0.0, 1.0)
    assert interval(mean, two) == (0.0, 1.0)


def test_both_tails_are_equal() -> None:
    # The mean is 0 with probability 0.9 ** 10 = 0.35, and at most 0.2 with 0.93.
    one_in_ten = scores([0] * 9 + [1])
    assert interval(mean, one_in_ten, confidence=0.8) == pytest.approx((0, 0.2))


def test_runs_are_drawn_within_their_task() -> None:
    # If runs were pooled, some resamples would be all 0 or all 1.
    assert interval(mean, scores([0, 0, 0], [1, 1, 1])) == (0.5, 0.5)


def test_tasks_are_drawn_independently() -> None:
    # The mean is 0 with probability 1/16; drawn together, it would be with 1/4.
    by_task = scores([0, 1], [0, 1])
    assert interval(mean, by_task, confidence=0.8) == (0.25, 0.75)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_ends_are_percentiles_of_all_resamples(aggregate: Callable) -> None:
    by_task = scores([0.3, 1.7, 4.1], [0.9, 2.2, 7.3])
    exact = np.array([aggregate(drawn) for drawn in all_resamples(by_task)])
    assert len(exact) == 3**3 * 3**3
    for confidence in (0.5, 0.9, 0.95):
        ends = interval(aggregate, by_task, confidence=confidence, n_resamples=20000)
        tail = (1 - confidence) / 2
        assert is_percentile(exact, tail, 20000, ends[0])
        assert is_percentile(exact, 1 - tail, 20000, ends[1])


@pytest.mark.parametrize(
    ("aggregate", "low", "high", "tolerance"),
    [
        # get_interval_estimates, 50000 resamples, np.random.seed(0); between seeds
        # its ends differ by up to 0.0013, 0 and 0.
        (mean, 0.638, 0.8020166666666677, 0.002),
        (median, 0.6199999999999999, 0.8400000000000001, 0.002),
        (iqm, 0.6411111111111111, 0.8155555555555556, 0.002),
    ],
)
def test_intervals_agree_with_rliable(
    aggregate: Callable, low: float, high: float, tolerance: float
) -> None:
    ends = interval(aggregate, RLIABLE_X, n_resamples=50000)
    assert ends == pytest.approx((low, high), abs=tolerance)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_any_function_of_scores_is_called_once_per_resample(
    aggregate: Callable,
) -> None:
    calls = []

    def statistic(drawn: list[np.ndarray]) -> float:
        calls.append([len(task) for task in drawn])
        return aggregate(drawn)

    by_task = scores([0.3, 1.7, 4.1], [0.9, 2.2, 2.9, 7.3])
    ends = interval(statistic, by_task, n_resamples=100, seed=3)
    batched = interval(aggregate, by_task, n_resamples=100, seed=3)
    assert ends == pytest.approx(batched, rel=1e-12)
    assert calls == [[3, 4]] * 100


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_aggregates_are_evaluated_on_all_resamples_at_once(
    aggregate: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Called once per resample they are a hundred times slower.
    shapes = []

    def batched(drawn: list[np.ndarray]) -> np.ndarray:
        shapes.append([task.shape for task in drawn])
        return drawn[0].mean(-1)

    monkeypatch.setitem(BATCHED, aggregate, batched)
    interval(aggregate, scores([1, 2, 3], [1, 2]), n_resamples=40)
    assert shapes == [[(40, 3), (40, 2)]]


def test_the_seed_alone_decides() -> None:
    first, again, other = (interval(mean, RLIABLE_X, seed=s) for s in (0, 0, 1))
    assert first == again == interval(mean, RLIABLE_X)
    assert first != other


def test_the_numbers_of_resamples_and_points_are_as_told() -> None:
    # The percentiles of one resample are that resample.
    low, high = interval(mean, RLIABLE_X, n_resamples=1)
    assert low == high
    assert [end.shape for end in mean_interval(np.eye(3, 5))] == [(5,), (5,)]


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
    options = {"confidence": 0.8, "n_resamples": 300, "seed": 5}
    low, high = mean_interval(values, **options)
    for index in range(4):
        expected = interval(mean, [values[:, index]], **options)
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
    for study in range(1000):
        by_task = [draw(generator, n_runs) for _ in range(n_tasks)]
        low, high = interval(mean, by_task, n_resamples=500, seed=study)
        count += low <= truth <= high
    return count / 1000


@pytest.mark.parametrize("n_runs", [5, 10, 30])
@pytest.mark.parametrize("n_tasks", [1, 3])
def test_coverage_of_normal_scores_is_that_of_theory(n_tasks: int, n_runs: int) -> None:
    # Resampled means are close to normal, too narrow by sqrt((n - 1) / n), while the
    # error in units of the estimated spread follows Student's t. For one task of 5,
    # 10, 30 runs that is 0.845, 0.904, 0.936, and for three 0.895, 0.926, 0.943.
    narrow = math.sqrt((n_runs - 1) / n_runs)
    reach = norm.ppf(0.975) * narrow
    theory = 1 - 2 * student_t.sf(reach, n_tasks * (n_runs - 1))
    share = covered(lambda g, n: g.normal(2.0, 0.5, size=n), 2.0, n_tasks, n_runs)
    assert share == pytest.approx(theory, abs=0.03)
    if n_runs == 30:
        assert 0.91 <= share <= 0.97


@pytest.mark.parametrize(
    ("n_runs", "low", "high"), [(5, 0.83, 0.89), (10, 0.87, 0.93), (30, 0.91, 0.97)]
)
def test_coverage_of_skewed_scores_is_near_nominal_with_many_runs(
    n_runs: int, low: float, high: float
) -> None:
    # Measured with 2000 studies: 0.861, 0.906, 0.928. Five runs are too few.
    share = covered(lambda g, n: g.exponential(size=n), 1.0, 3, n_runs)
    assert low <= share <= high


@PROPERTY
@given(by_task=tasks(min_runs=2), aggregate=st.sampled_from(AGGREGATES))
def test_property_ends_are_ordered_and_within_the_scores(
    by_task: list[np.ndarray], aggregate: Callable
) -> None:
    low, high = interval(aggregate, by_task, n_resamples=50)
    pooled = np.concatenate(by_task)
    assert pooled.min() - 1e-9 <= low <= high <= pooled.max() + 1e-9


@PROPERTY
@given(by_task=tasks(min_runs=2), shift=st.floats(-9, 9), scale=st.floats(0.1, 9))
def test_property_units_of_the_score_carry_over(
    by_task: list[np.ndarray], shift: float, scale: float
) -> None:
    low, high = interval(iqm, by_task, n_resamples=50)
    ends = interval(iqm, [task * scale + shift for task in by_task], n_resamples=50)
    expected = (low * scale + shift, high * scale + shift)
    assert ends == pytest.approx(expected, rel=1e-6, abs=1e-6)


@PROPERTY
@given(by_task=tasks(min_runs=2), inner=st.floats(0.01, 0.98))
def test_property_more_confidence_is_a_wider_interval(
    by_task: list[np.ndarray], inner: float
) -> None:
    low, high = interval(mean, by_task, n_resamples=50, confidence=inner)
    outer = interval(mean, by_task, n_resamples=50, confidence=0.99)
    assert outer[0] - 1e-9 <= low <= high <= outer[1] + 1e-9


@pytest.mark.parametrize("curve", [False, True])
@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"confidence": 0}, ValueError, r"confidence=0 .* > 0 and < 1"),
        ({"confidence": 1}, ValueError, r"confidence=1 .* > 0 and < 1"),
        ({"confidence": 95}, ValueError, r"confidence=95 .* > 0 and < 1"),
        ({"confidence": math.nan}, ValueError, r"confidence=nan"),
        ({"confidence": "0.9"}, TypeError, r"confidence='0.9'"),
        ({"n_resamples": 0}, ValueError, r"n_resamples=0 .* an integer >= 1"),
        ({"n_resamples": 10.0}, TypeError, r"n_resamples=10.0"),
        ({"seed": -1}, ValueError, r"seed=-1 .* an integer >= 0"),
        ({"seed": None}, TypeError, r"seed=None"),
    ],
)
def test_wrong_options_are_refused(
    curve: bool, option: dict, error: type[Exception], message: str
) -> None:
    # Also where the interval would be NaN anyway.
    for n_runs in (1, 2):
        with pytest.raises(error, match=message):
            if curve:
                mean_interval(np.ones((n_runs, 3)), **option)
            else:
                interval(mean, [np.ones(n_runs)], **option)


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
