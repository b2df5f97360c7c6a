"""Checks of single values, each from both sides."""

from __future__ import annotations

import re
from typing import Any

import pytest

from remix_plugin.validation import (
    check_bytes,
    check_choice,
    check_flag,
    check_number,
    check_size,
    machine_memory,
)


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (0, {"low": 0}),
        (0.0, {"low": 0}),
        (1, {"high": 1}),
        (1.0, {"high": 1}),
        (1e-12, {"above": 0}),
        (-5, {}),
        (0.5, {"low": 0, "high": 1}),
        (1, {"above": 0, "high": 1}),
        (7, {"integer": True}),
        (1, {"low": 1, "high": 1, "integer": True}),
    ],
)
def test_number_within_bounds_is_accepted(value: Any, bounds: dict[str, Any]) -> None:
    check_number("size", value, **bounds)


@pytest.mark.parametrize(
    ("value", "bounds", "allowed"),
    [
        (-0.1, {"low": 0}, "a number >= 0"),
        (0, {"above": 0}, "a number > 0"),
        (1.1, {"high": 1}, "a number <= 1"),
        (2, {"low": 0, "high": 1}, "a number >= 0 and <= 1"),
        (2, {"above": 0, "high": 1}, "a number > 0 and <= 1"),
        (0, {"low": 1, "integer": True}, "an integer >= 1"),
        (float("nan"), {}, "a number"),
        (float("inf"), {"low": 0}, "a number >= 0"),
        (float("-inf"), {"high": 0}, "a number <= 0"),
    ],
)
def test_number_out_of_bounds_is_refused(
    value: Any, bounds: dict[str, Any], allowed: str
) -> None:
    message = f"size={value!r} is not allowed: it must be {allowed}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_number("size", value, **bounds)


@pytest.mark.parametrize(
    ("value", "integer", "kind"),
    [
        ("1", False, "a number"),
        (None, False, "a number"),
        (True, False, "a number"),
        ([1], False, "a number"),
        (1.0, True, "an integer"),
        (False, True, "an integer"),
        ("3", True, "an integer"),
    ],
)
def test_value_that_is_no_number_is_refused(
    value: Any, integer: bool, kind: str
) -> None:
    message = f"size={value!r} is not allowed: it must be {kind}."
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        check_number("size", value, integer=integer)


def test_nullable_number_may_be_none() -> None:
    check_number("size", None, low=1, nullable=True)
    message = "size=0 is not allowed: it must be null or an integer >= 1."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_number("size", 0, low=1, integer=True, nullable=True)


def test_whole_number_beyond_floats_is_finite() -> None:
    check_number("size", 10**400, low=1, integer=True)
    with pytest.raises(ValueError, match=r"^size=1000.* <= 5\.$"):
        check_number("size", 10**400, high=5, integer=True)


@pytest.mark.parametrize("value", [1, 16_384])
def test_size_is_accepted(value: int) -> None:
    check_size("units", value)


@pytest.mark.parametrize("value", [0, -1, 16_385, 10**9])
def test_size_out_of_bounds_is_refused(value: int) -> None:
    message = f"units={value} is not allowed: it must be an integer >= 1 and <= 16384."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_size("units", value)


def test_bytes_are_held_to_the_memory_of_the_machine() -> None:
    memory = int(machine_memory())
    assert memory > 10**8
    check_bytes("size=1", "a thing", memory)
    message = r"^size=1 is not allowed: a thing takes [\d,]+ GB of memory or more"
    with pytest.raises(ValueError, match=message):
        check_bytes("size=1", "a thing", memory + 1)


@pytest.mark.parametrize("value", [True, False])
def test_flag_is_accepted(value: bool) -> None:
    check_flag("switch", value)


@pytest.mark.parametrize("value", [0, 1, "true", None, []])
def test_value_that_is_no_flag_is_refused(value: Any) -> None:
    message = f"switch={value!r} is not allowed: it must be true or false."
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        check_flag("switch", value)


@pytest.mark.parametrize("value", ["l1", "l2"])
def test_choice_is_accepted(value: str) -> None:
    check_choice("loss", value, ("l1", "l2"))


@pytest.mark.parametrize("value", ["l3", "", None, 1, ["l1"], {}])
def test_value_that_is_no_choice_is_refused(value: Any) -> None:
    message = f"loss={value!r} is not allowed: it must be one of 'l1', 'l2'."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_choice("loss", value, ("l1", "l2"))


@pytest.mark.parametrize("value", [True, 1.0])
def test_choice_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"layers={value!r}"):
        check_choice("layers", value, (1, 2))
