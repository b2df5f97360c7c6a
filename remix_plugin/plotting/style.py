"""How curves look, and what their algorithms are called, in all pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Okabe and Ito's palette, told apart by the color-blind, with gray for their yellow,
# which is too pale for a line on white.
BLACK, GRAY = "#000000", "#7F7F7F"
BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION, PURPLE = "#E69F00", "#D55E00", "#CC79A7"


@dataclass(frozen=True)
class Style:
    """Look of one curve.

    Attributes:
        color (str): of line, markers and band.
        marker (str): Matplotlib's.
        line (str): Matplotlib's line style.
        filled (bool): whether markers are, else they have a white face.
    """

    color: str
    marker: str
    line: str
    filled: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """What ``Axes.plot`` takes."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": self.color if self.filled else "white",
            "markeredgecolor": self.color,
        }


# In order of legends. No two have the same marker: they differ in gray as well.
STYLES = {
    "remix": Style(VERMILLION, "o", "-"),
    "owqmix": Style(BLUE, "s", "-"),
    "cwqmix": Style(SKY, "^", "--"),
    "qplex": Style(GREEN, "D", "-."),
    "qatten": Style(PURPLE, "v", "--"),
    "qtran": Style(ORANGE, "P", "-."),
    "tunedqmix": Style(BLACK, "s", "--", filled=False),
    "qmix": Style(GRAY, "o", "-", filled=False),
    "vdn": Style(BLACK, "X", ":"),
    "iql": Style(GREEN, "^", ":", filled=False),
    "mappo": Style(PURPLE, "D", "-.", filled=False),
    "vdac": Style(BLUE, "<", "-", filled=False),
    "vdacsum": Style(SKY, "X", "--", filled=False),
    "dop": Style(GREEN, "h", "-.", filled=False),
    "fop": Style(ORANGE, "*", "--", filled=False),
    "coma": Style(BLACK, "H", ":"),
    "discretemaddpg": Style(GRAY, "8", ":", filled=False),
    "remix_w_min_0_5": Style(BLUE, "<", "--"),
    "remix_w_min_0_8": Style(BLACK, ">", ":", filled=False),
    "remix_no_bellman_error": Style(BLUE, "v", "--", filled=False),
    "remix_no_value_underestimation": Style(GREEN, "p", "-."),
    "remix_no_mixer_gradient": Style(PURPLE, "d", ":", filled=False),
    "remix_no_on_policyness": Style(BLACK, "*", "--"),
    "remix_mean": Style(GREEN, ">", "--"),
    "remix_mean_positive": Style(PURPLE, "d", "-."),
    "remix_max": Style(ORANGE, "h", ":"),
    "remix_clipped_warm_up": Style(GRAY, "p", "--", filled=False),
}

# What curves of other algorithms are drawn with: marks that are free, in turn.
_MARKS = [(marker, filled) for filled in (True, False) for marker in "os^DvPX<>ph*d8H"]
_MARKS += [(marker, True) for marker in "+x1234"]
_TAKEN = {(style.marker, style.filled) for style in STYLES.values()}
SPARE_MARKS = [mark for mark in _MARKS if mark not in _TAKEN]
SPARE_COLORS = (BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY, BLACK)
SPARE_LINES = ("-", "--", ":")

NAMES = {
    "remix": "ReMIX",
    "owqmix": "OW-QMIX",
    "cwqmix": "CW-QMIX",
    "qplex": "QPLEX",
    "qatten": "Qatten",
    "qtran": "QTRAN",
    "tunedqmix": "tuned QMIX",
    "qmix": "QMIX (BenchMARL)",
    "vdn": "VDN (BenchMARL)",
    "iql": "IQL (BenchMARL)",
    "mappo": "MAPPO (BenchMARL)",
    "vdac": "VDAC-mix",
    "vdacsum": "VDAC-sum",
    "dop": "DOP",
    "fop": "FOP",
    "coma": "COMA",
    "discretemaddpg": "MADDPG, discrete",
    "remix_w_min_0_5": "ReMIX, smallest weight 0.5",
    "remix_w_min_0_8": "ReMIX, smallest weight 0.8",
    "remix_no_bellman_error": "ReMIX without Bellman error",
    "remix_no_value_underestimation": "ReMIX without value underestimation",
    "remix_no_mixer_gradient": "ReMIX without mixer gradient",
    "remix_no_on_policyness": "ReMIX without on-policyness",
    "remix_mean": "ReMIX, mean",
    "remix_mean_positive": "ReMIX, mean_positive",
    "remix_max": "ReMIX, max",
    "remix_clipped_warm_up": "ReMIX, clipped, warm-up",
}


def styles_of(labels: Iterable[str]) -> dict[str, Style]:
    """A style for each label: its own, or the next free one in order of labels.

    Those of ``STYLES`` never depend on which others there are.

    Args:
        labels (iterable of str): names of curves, in any order, repeated or not.

    Returns:
        dict: in order of legends: known labels first, then the others by name. No two
        look alike, unless there are more than a hundred of the others.
    """
    asked = set(labels)
    styles = {label: style for label, style in STYLES.items() if label in asked}
    for number, label in enumerate(sorted(asked - set(STYLES))):
        styles[label] = _spare_style(number)
    return styles


def name_of(label: str) -> str:
    """What readers know an algorithm as; the label itself of unknown ones."""
    return NAMES.get(label, label)


def _spare_style(number: int) -> Style:
    """The next one is of another color and has another mark."""
    marker, filled = SPARE_MARKS[number % len(SPARE_MARKS)]
    n_pairs = math.lcm(len(SPARE_COLORS), len(SPARE_MARKS))
    line = SPARE_LINES[number // n_pairs % len(SPARE_LINES)]
    return Style(SPARE_COLORS[number % len(SPARE_COLORS)], marker, line, filled)
