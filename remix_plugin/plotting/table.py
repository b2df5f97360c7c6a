"""A table to be read, and numbers in its cells."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from remix_plugin.statistics.aggregates import Statistic
from remix_plugin.statistics.bootstrap import interval
from remix_plugin.statistics.scores import FloatArray

NOTHING = "-"


@dataclass(frozen=True)
class Table:
    """A table for a page.

    Attributes:
        caption (str): what it shows.
        columns (sequence of str): their names.
        rows (sequence of sequence of str): a cell per column each.
        note (str): what else there is to say, may be empty.

    Raises:
        ValueError: if a row has another number of cells than there are columns.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __post_init__(self) -> None:
        """Check the number of cells."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.caption!r} has a row of {len(row)} cells, {list(row)}: it "
                    f"must have {len(self.columns)}."
                )

    @property
    def numeric(self) -> list[int]:
        """Columns of which all cells begin with a number or hold nothing."""
        starts = re.compile(r"-?\d|-( |$)")
        return [
            index
            for index in range(len(self.columns))
            if all(starts.match(row[index]) for row in self.rows)
        ]

    @property
    def markdown(self) -> str:
        """Caption, note and table, without a newline at the end."""
        rules = ["---"] * len(self.columns)
        for index in self.numeric:
            rules[index] = "--:"
        lines = [
            f"| {' | '.join(cells)} |" for cells in (self.columns, rules, *self.rows)
        ]
        text = f"**{self.caption}.** {self.note}".strip()
        return "\n".join([text, "", *lines])


def format_number(value: float | FloatArray, digits: int) -> str:
    """With so many decimals and thousands marked; a dash for NaN."""
    if math.isnan(value):
        return NOTHING
    # Adding 0 makes -0.0 a plain 0.
    return f"{round(float(value), digits) + 0.0:,.{digits}f}"


def format_interval(
    value: float | FloatArray, ends: tuple[FloatArray, FloatArray], digits: int
) -> str:
    """``35.2 [33.1, 37.0]``; the value alone where the ends are NaN."""
    if any(math.isnan(end) for end in ends):
        return format_number(value, digits)
    low, high = (format_number(end, digits) for end in ends)
    return f"{format_number(value, digits)} [{low}, {high}]"


def format_statistic(
    statistic: Statistic, scores: Sequence[FloatArray], digits: int
) -> str:
    """A statistic of runs ``[n_runs]`` per task, with its 95% interval if known."""
    return format_interval(statistic(scores), interval(statistic, scores), digits)
