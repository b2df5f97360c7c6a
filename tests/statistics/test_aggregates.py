"""Mean, median and interquartile mean, against numbers worked elsewhere and by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_inputs import PROPERTY, RLIABLE_X, RLIABLE_Y, scores, tasks

from remix_plugin.statistics.aggregates import iqm, mean, median, seed_median

AGGREGATES = [mean, median, iqm]


def slow_mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def slow(name: str, rows: list[list[float]]) -> float:
    """Aggregates in plain Python."""
    if name == "iqm":
        pooled = sorted(number for row in rows for number in row)
        cut = len(pooled) // 4
        return slow_mean(pooled[cut : len(pooled) - cut])
    means = sorted(slow_mean(row) for row in rows)
    half = len(means) // 2
    if name == "mean":
        return slow_mean(means)
    return means[half] if len(means) % 2 else (means[half - 1] + means[half]) / 2


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        # Means of the tasks: 2, 4, 12. Middle half of the 8 runs: 2, 3, 6, 12.
        (mean, 6.0),
        (median, 4.0),
        (iqm, 5.75),
    ],
)
def test_aggregates_by_hand(aggregate: Callable, expected: float) -> None:
    by_task = scores([1, 3], [2, 6], [12, 12, 22, 2])
    assert aggregate(by_task) == pytest.approx(expected, rel=1e-12)


def test_the_median_of_an_even_number_of_tasks_lies_halfway() -> None:
    assert median(scores([1], [10], [4], [2])) == 3.0


def test_of_one_task_mean_and_median_are_its_mean() -> None:
    # Not the median of its runs, which is 2.
    assert mean(scores([1, 2, 9])) == median(scores([1, 2, 9])) == 4.0


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([7], 7.0),
        ([1, 2, 9], 4.0),
        ([1, 2, 4, 9], 3.0),
        ([1, 2, 4, 6, 99], 4.0),
        ([1, 2, 3, 5, 8, 13, 99], 6.2),
    ],
)
def test_iqm_cuts_whole_runs_only(runs: list[float], expected: float) -> None:
    assert iqm(scores(runs)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        # Teflpedia, "Interquartile mean".
        ([42, 54, 60, 66, 67, 73, 75, 76, 92, 95], 69.5),
        # Wikipedia, "Interquartile mean", the size divisible by four.
        ([5, 8, 4, 38, 8, 6, 9, 7, 7, 3, 1, 6], 6.5),
    ],
)
def test_iqm_of_published_examples(runs: list[float], expected: float) -> None:
    assert iqm(scores(runs)) == expected


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_aggregates_of_rliables_own_test(aggregate: Callable) -> None:
    # google-research/rliable, tests/rliable/metrics_test.py, transposed.
    assert aggregate(scores([1, 2, 1, 2], [2, 2, 1, 1])) == 1.5
    assert aggregate(scores([1, 2, 3], [1, 2, 3])) == 2.0


@pytest.mark.parametrize(
    ("aggregate", "of_x", "of_y"),
    [
        (mean, 0.7186666666666667, 0.6541666666666667),
        (median, 0.7300000000000001, 0.6475),
        (iqm, 0.73, 0.6583333333333333),
    ],
)
def test_aggregates_agree_with_rliable(
    aggregate: Callable, of_x: float, of_y: float
) -> None:
    assert aggregate(RLIABLE_X) == pytest.approx(of_x, rel=1e-14)
    assert aggregate(RLIABLE_Y) == pytest.approx(of_y, rel=1e-14)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_resamples_have_a_result_each_and_the_scores_stay(aggregate: Callable) -> None:
    drawn = [np.array([[3.0, 1, 2], [9, 9, 9]]), np.array([[9.0, 7], [1, 2]])]
    before = [task.copy() for task in drawn]
    each = [float(aggregate([task[row] for task in drawn])) for row in (0, 1)]
    assert aggregate(drawn).tolist() == pytest.approx(each)
    assert all(np.array_equal(*pair) for pair in zip(drawn, before, strict=True))


def test_median_over_seeds_is_of_one_task() -> None:
    assert seed_median(scores([1, 2, 9])) == 2


@PROPERTY
@given(by_task=tasks(), name=st.sampled_from(["mean", "median", "iqm"]))
def test_property_aggregates_equal_plain_loops(
    by_task: list[np.ndarray], name: str
) -> None:
    aggregate = {"mean": mean, "median": median, "iqm": iqm}[name]
    expected = slow(name, [task.tolist() for task in by_task])
    assert aggregate(by_task) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@PROPERTY
@given(by_task=tasks(), aggregate=st.sampled_from(AGGREGATES), seed=st.integers(0, 99))
def test_property_the_order_of_runs_and_tasks_is_nothing(
    by_task: list[np.ndarray], aggregate: Callable, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(by_task))
    shuffled = [generator.permutation(by_task[index]) for index in order]
    expected = aggregate(by_task)
    assert aggregate(shuffled) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@PROPERTY
@given(by_task=tasks(), aggregate=st.sampled_from(AGGREGATES))
def test_property_aggregates_lie_within_the_scores(
    by_task: list[np.ndarray], aggregate: Callable
) -> None:
    pooled = np.concatenate(by_task)
    assert pooled.min() - 1e-9 <= aggregate(by_task) <= pooled.max() + 1e-9
