"""Checks of configuration values, raised before anything is built."""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from typing import Any

# Units of a layer, heads, layers: sixty times and more what anyone has published here.
# A square matrix of so many takes a gigabyte.
MOST_UNITS = 16_384


def check_number(
    field: str,
    value: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    integer: bool = False,
    nullable: bool = False,
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
        nullable (bool): whether there may be none, ``null`` in YAML.

    Raises:
        TypeError: if ``value`` is not a number (a bool is not), or not an ``int``
            where ``integer`` is set.
        ValueError: if ``value`` is not finite or out of bounds.
    """
    if nullable and value is None:
        return
    kind = "an integer" if integer else "a number"
    bounds = [
        f"{sign} {bound}"
        for sign, bound in ((">=", low), (">", above), ("<=", high))
        if bound is not None
    ]
    allowed = " ".join([kind, " and ".join(bounds)]).strip()
    allowed = f"null or {allowed}" if nullable else allowed
    types = int if integer else (int, float)
    if isinstance(value, bool) or not isinstance(value, types):
        raise TypeError(f"{field}={value!r} is not allowed: it must be {allowed}.")
    if (
        not _is_finite(value)
        or (low is not None and value < low)
        or (above is not None and value <= above)
        or (high is not None and value > high)
    ):
        raise ValueError(f"{field}={value!r} is not allowed: it must be {allowed}.")


def _is_finite(value: float) -> bool:
    # A whole number too large for a float is finite still.
    return isinstance(value, int) or math.isfinite(value)


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


def check_size(field: str, value: Any) -> None:
    """Refuse what counts no units, heads or layers of a network that a memory holds.

    Raises:
        TypeError: if ``value`` is not an integer.
        ValueError: if it is below 1 or above ``MOST_UNITS``.
    """
    check_number(field, value, low=1, high=MOST_UNITS, integer=True)


def check_bytes(given: str, what: str, n_bytes: int) -> None:
    """Refuse options that ask for more memory than the machine has.

    Args:
        given (str): the options, as ``name=value``.
        what (str): what takes the memory.
        n_bytes (int): how much it takes, at least.

    Raises:
        ValueError: if it does not fit.
    """
    memory = machine_memory()
    if n_bytes > memory:
        raise ValueError(
            f"{given} is not allowed: {what} takes {n_bytes / 1e9:,.0f} GB of memory "
            f"or more, it must be at most the {memory / 1e9:,.0f} GB of this machine."
        )


def machine_memory() -> float:
    """Bytes of memory of this machine, infinite where the system does not tell."""
    names = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    if not set(names) <= set(getattr(os, "sysconf_names", ())):
        return math.inf
    page, n_pages = (os.sysconf(name) for name in names)
    return page * n_pages
