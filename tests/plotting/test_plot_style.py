"""Curves are told apart, in colour and in grey, and keep their looks."""

from __future__ import annotations

from itertools import combinations

import pytest
import yaml
from matplotlib.colors import to_rgb

from remix_plugin.configs import config_path
from remix_plugin.plotting.paper_figure import line_options
from remix_plugin.plotting.style import NAMES, STYLES, name_of, styles_of

COMPARED = "remix owqmix cwqmix qplex qatten qtran tunedqmix qmix vdn".split()
TERMS = [label for label in STYLES if label.startswith("remix_no_")]
WEIGHTS = [label for label in STYLES if label.startswith("remix_w_min_")]


def luminance(color: str) -> float:
    """As a grey printer has it, 0 is black."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in to_rgb(color)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_known_labels_have_markers_of_their_own_and_names() -> None:
    marks = {(style.marker, style.filled) for style in STYLES.values()}
    assert len(marks) == len(STYLES) == 17
    assert list(NAMES) == list(STYLES)
    assert len(set(NAMES.values())) == len(NAMES)
    assert name_of("tunedqmix") == "tuned QMIX"
    assert name_of("new") == "new"


@pytest.mark.parametrize("number", [1, 3, 4, 5])
def test_what_the_papers_suites_run_has_a_style(number: int) -> None:
    suite = yaml.safe_load(config_path("suites", f"figure_{number}").read_text())
    labels = {label for b in suite["blocks"].values() for label in b["algorithms"]}
    assert labels <= set(STYLES)


def test_lines_within_a_figure_differ_in_colour_and_line_or_grey() -> None:
    for labels in (COMPARED, ["remix", *TERMS], ["remix", *WEIGHTS]):
        for first, second in combinations([STYLES[label] for label in labels], 2):
            assert (first.color, first.line) != (second.color, second.line)
    greys = [luminance(style.color) for style in STYLES.values()]
    assert max(greys) < 0.45  # legible on white paper


def test_styles_do_not_depend_on_what_else_is_there() -> None:
    alone = styles_of(["owqmix"])["owqmix"]
    crowd = styles_of(["zeta", "owqmix", "remix", "alpha", "owqmix"])
    assert crowd["owqmix"] == alone == STYLES["owqmix"]
    assert list(crowd) == ["remix", "owqmix", "alpha", "zeta"]
    assert crowd == styles_of(["alpha", "remix", "owqmix", "zeta"])


def test_unknown_labels_get_styles_that_nobody_has() -> None:
    labels = [f"label_{number:03}" for number in range(120)]
    styles = styles_of([*STYLES, *labels])
    assert len(set(styles.values())) == len(styles) == 137
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
