"""Options of the matrix game and their validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from remix_plugin.validation import check_number


@dataclass
class MatrixGameConfig:
    """Options of :class:`~.env.MatrixGameEnv`.

    Attributes:
        payoff (nested list of float): one level per agent, ``payoff[a_1][a_2]...``;
            at least two agents and two actions, the same number of actions for each.

    Raises:
        TypeError: if an entry is neither a list nor a number.
        ValueError: if the lists do not have the shape above.
    """

    payoff: list[Any]

    def __post_init__(self) -> None:
        """Validate the payoff."""
        if not isinstance(self.payoff, list):
            raise TypeError(
                f"payoff={self.payoff!r} is not allowed: it must be nested lists."
            )
        shape = _shape(self.payoff)
        if len(shape) < 2 or shape[0] < 2 or set(shape) != {shape[0]}:
            raise ValueError(
                f"payoff of shape {shape} is not allowed: it must have one dimension "
                "per agent, at least two, and the same number of actions, at least "
                "two, in each."
            )


def _shape(entry: Any) -> tuple[int, ...]:
    """Shape of nested lists of numbers."""
    if not isinstance(entry, list):
        check_number("payoff entry", entry)
        return ()
    shapes = {_shape(inner) for inner in entry}
    if len(shapes) != 1:
        raise ValueError(
            f"payoff row {entry!r} is not allowed: it must not be empty, and all "
            "lists of one level must have the same length."
        )
    return (len(entry), *shapes.pop())
