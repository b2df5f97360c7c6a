"""Areas under curves and frames until a score, by hand and by plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_inputs import PROPERTY

from remix_plugin.statistics.efficiency import area_under_curve, frames_to_reach


@st.composite
def curves(draw: st.DrawFn, min_size: int = 2) -> tuple[list[int], list[float]]:
    """Frames that increase, and values."""
    steps = draw(st.lists(st.integers(1, 10**6), min_size=min_size, max_size=8))
    values = st.lists(st.floats(-1e3, 1e3), min_size=len(steps), max_size=len(steps))
    return np.cumsum(steps).tolist(), draw(values)


def test_area_by_hand() -> None:
    # From 100 to 200 a mean height of 1, from 200 to 500 of 3.
    assert area_under_curve([100, 200, 500], [0, 2, 4]) == pytest.approx(1000 / 400)


def test_frames_to_reach_by_hand() -> None:
    frames, values = [10, 20, 30, 40], [0.1, 0.5, 0.4, 0.9]
    assert frames_to_reach(frames, values, 0.0) == 10
    assert frames_to_reach(frames, values, 0.45) == 20
    assert frames_to_reach(frames, values, 0.5) == 20
    assert frames_to_reach(frames, values, 0.51) == 40
    assert frames_to_reach(frames, values, 0.91) is None


def test_results_are_plain_numbers() -> None:
    frames = np.array([10_000_000_000, 20_000_000_000])
    reached = frames_to_reach(frames, np.array([0.0, 1.0]), 0.5)
    assert type(reached) is int and reached == 20_000_000_000
    assert type(area_under_curve(frames, np.array([0.0, 1.0]))) is float


def test_one_evaluation_can_reach_a_score() -> None:
    assert frames_to_reach([7], [1.0], 1.0) == 7


@PROPERTY
@given(curve=curves())
def test_property_area_equals_a_plain_loop(curve: tuple) -> None:
    frames, values = curve
    total = 0.0
    for index in range(1, len(frames)):
        width = frames[index] - frames[index - 1]
        total += width * (values[index] + values[index - 1]) / 2
    expected = total / (frames[-1] - frames[0])
    area = area_under_curve(frames, values)
    assert area == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert min(values) - 1e-9 <= area <= max(values) + 1e-9


@PROPERTY
@given(curve=curves(), level=st.floats(-1e3, 1e3))
def test_property_a_constant_curve_has_its_height(curve: tuple, level: float) -> None:
    frames, _ = curve
    area = area_under_curve(frames, [level] * len(frames))
    assert area == pytest.approx(level, rel=1e-9, abs=1e-9)


@PROPERTY
@given(curve=curves(min_size=1), threshold=st.floats(-1e3, 1e3))
def test_property_frames_to_reach_equals_a_plain_loop(
    curve: tuple, threshold: float
) -> None:
    expected = None
    for frame, value in zip(*curve, strict=True):
        if value >= threshold:
            expected = frame
            break
    assert frames_to_reach(*curve, threshold) == expected


@pytest.mark.parametrize(
    ("frames", "values", "message"),
    [
        ([1, 2], [0.0], "cannot reshape"),
        ([1, np.nan], [0, 0], r"frames\[1\]=nan"),
        ([1, 2], [0, np.nan], r"values\[1\]=nan"),
        ([1, 2], [[0, 1], [0, 1]], r"values of shape \(2, 2\)"),
    ],
)
def test_wrong_curves_are_refused(frames: list, values: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        area_under_curve(frames, values)


def test_an_area_needs_two_evaluations() -> None:
    with pytest.raises(ValueError, match=r"frames=\[7.0\] .* at least two"):
        area_under_curve([7], [1.0])
