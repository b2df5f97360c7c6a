"""Checks of single values, each from both sides."""

from __future__ import annotations

import re
from typing import Any

import pytest

from remix_plugin.validation import check_choice, check_flag, check_number


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
