"""Curves are told apart, in color and in gray, and keep their looks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import yaml
from matplotlib.colors import to_rgb

from remix_plugin.configs import config_path
from remix_plugin.plotting.panels import POLICY_BASED
from remix_plugin.plotting.paper_figure import line_options
from remix_plugin.plotting.style import NAMES, STYLES, name_of, styles_of

COMPARED = "remix owqmix cwqmix qplex qatten qtran tunedqmix qmix vdn".split()
POLICIES = ["remix", *POLICY_BASED]
TERMS = [label for label in STYLES if label.startswith("remix_no_")]
WEIGHTS = [label for label in STYLES if label.startswith("remix_w_min_")]


def linear(color: str) -> np.ndarray:
    """Linear red, green and blue of a color in sRGB."""
    srgb = np.array(to_rgb(color))
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def luminance(color: str) -> float:
    """As a gray printer has it, 0 is black."""
    return float(linear(color) @ [0.2126, 0.7152, 0.0722])


def test_known_labels_have_markers_of_their_own_and_names() -> None:
    marks = {(style.marker, style.filled) for style in STYLES.values()}
    assert len(marks) == len(STYLES) == 27
    assert list(NAMES) == list(STYLES)
    assert len(set(NAMES.values())) == len(NAMES)
    assert name_of("tunedqmix") == "tuned QMIX"
    assert name_of("new") == "new"


@pytest.mark.parametrize("number", [1, 3, 4, 5])
def test_what_the_papers_suites_run_has_a_style(number: int) -> None:
    suite = yaml.safe_load(config_path("suites", f"figure_{number}").read_text())
    labels = {label for b in suite["blocks"].values() for label in b["algorithms"]}
    assert labels <= set(STYLES)


# How those see linear red, green and blue who lack one kind of cone: Machado, Oliveira
# and Fernandes (2009), severity 1
COLOR_BLIND = {
    "nobody": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def lab(color: str, seen: np.ndarray) -> np.ndarray:
    """CIELAB coordinates of a color, as somebody sees it."""
    xyz = TO_XYZ @ np.clip(seen @ linear(color), 0, 1)
    x, y, z = np.cbrt(np.maximum(xyz / TO_XYZ.sum(1), 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("who", COLOR_BLIND)
@pytest.mark.parametrize(
    "labels", [COMPARED, POLICIES, ["remix", *TERMS], ["remix", *WEIGHTS]], ids=len
)
def test_lines_within_a_figure_differ_in_color_or_line(
    labels: list[str], who: str
) -> None:
    for first, second in combinations([STYLES[label] for label in labels], 2):
        if first.line == second.line:
            colors = [lab(style.color, COLOR_BLIND[who]) for style in (first, second)]
            # Colors that are 10 apart are told from each other at a glance.
            assert np.linalg.norm(colors[0] - colors[1]) > 10, (first, second)


def test_lines_are_legible_on_white_paper() -> None:
    assert max(luminance(style.color) for style in STYLES.values()) < 0.45


def test_styles_do_not_depend_on_what_else_is_there() -> None:
    alone = styles_of(["owqmix"])["owqmix"]
    crowd = styles_of(["zeta", "owqmix", "remix", "alpha", "owqmix"])
    assert crowd["owqmix"] == alone == STYLES["owqmix"]
    assert list(crowd) == ["remix", "owqmix", "alpha", "zeta"]
    assert crowd == styles_of(["alpha", "remix", "owqmix", "zeta"])


def test_unknown_labels_get_styles_that_nobody_has() -> None:
    labels = [f"label_{number:03}" for number in range(120)]
    styles = styles_of([*STYLES, *labels])
    assert len(set(styles.values())) == len(styles) == 147
    assert list(styles) == [*STYLES, *labels]
    assert styles_of(labels[::-1])[labels[7]] == styles[labels[7]]
    free = {(styles[label].marker, styles[label].filled) for label in labels}
    taken = {(style.marker, style.filled) for style in STYLES.values()}
    assert not free & taken


def test_remix_is_above_the_others_and_hollow_markers_are_white() -> None:
    ours = line_options("remix", STYLES["remix"])
    theirs = line_options("qmix", STYLES["qmix"])
    assert ours["linewidth"] == 2.0
    assert ours["zorder"] > theirs["zorder"]
    assert ours["markerfacecolor"] == STYLES["remix"].color
    assert theirs["markerfacecolor"] == "white"
