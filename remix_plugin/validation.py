"""Checks of configuration values, raised before anything is built."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any


def check_number(
    field: str,
    value: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    integer: bool = False,
) -> None:
    """Refuse a value that is not a finite number within bounds.

    Args:
        field (str): name of the option, for the message.
        value: what the user gave.

    Keyword Args:
        low (float, optional): smallest value allowed.
        high (float, optional): largest value allowed.
        above (float, optional): the value must be strictly greater than this.
        integer (bool): whether only whole numbers are allowed.

    Raises:
        TypeError: if ``value`` is not a number (a bool is not), or not an ``int``
            where ``integer`` is set.
        ValueError: if ``value`` is not finite or out of bounds.
    """
    kind = "an integer" if integer else "a number"
    bounds = [
        f"{sign} {bound}"
        for sign, bound in ((">=", low), (">", above), ("<=", high))
        if bound is not None
    ]
    allowed = " ".join([kind, " and ".join(bounds)]).strip()
    types = int if integer else (int, float)
    if isinstance(value, bool) or not isinstance(value, types):
        raise TypeError(f"{field}={value!r} is not allowed: it must be {allowed}.")
    if (
        not math.isfinite(value)
        or (low is not None and value < low)
        or (above is not None and value <= above)
        or (high is not None and value > high)
    ):
        raise ValueError(f"{field}={value!r} is not allowed: it must be {allowed}.")


def check_flag(field: str, value: Any) -> None:
    """Refuse a value that is not a bool.

    Raises:
        TypeError: if ``value`` is not a bool.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{field}={value!r} is not allowed: it must be true or false.")


def check_choice(field: str, value: Any, choices: Collection[Any]) -> None:
    """Refuse a value outside a fixed set.

    Raises:
        ValueError: if ``value`` is not one of ``choices``, in value and type.
    """
    if not any(type(value) is type(c) and value == c for c in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(
            f"{field}={value!r} is not allowed: it must be one of {listed}."
        )
