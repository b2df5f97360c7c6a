"""A figure as a paper prints it: panels, one legend above, a caption below."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from remix_plugin.plotting.style import Style

# Inches: two columns of a page, in which two panels lie side by side, and heights
WIDTH = 7.0
COLUMNS = 2
PANEL_HEIGHT = 2.1
SINGLE_PANEL_HEIGHT = 2.6
# Points at the printed size
FONT_SIZE = 8.0
LINE_HEIGHT = 1.35 * FONT_SIZE / 72
# Characters of a caption that fit into a line
CAPTION_COLUMNS = 112
# and that the line before a name in a legend takes
HANDLE_COLUMNS = 6

LOOK = {
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE + 1,
    "axes.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE,
    "ytick.labelsize": FONT_SIZE,
    "legend.fontsize": FONT_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "lines.markeredgewidth": 0.9,
    # The same wherever it is looked at, and the same file whenever it is written
    "svg.fonttype": "path",
    "svg.hashsalt": "remix_plugin",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class PaperFigure:
    """A figure and what is said of it.

    Attributes:
        name (str): stem of its files, e.g. ``"figure_1_anneal_50k"``.
        title (str): what it shows, in a few words.
        caption (str): the text below it, in one line.
        figure (Figure): with the caption drawn.
    """

    name: str
    title: str
    caption: str
    figure: Figure


@contextmanager
def paper_look() -> Iterator[None]:
    """Fonts, lines and file settings of all figures, until the context ends."""
    with matplotlib.rc_context(LOOK):
        yield


def new_panels(
    n_panels: int,
    caption: str,
    *,
    names: Sequence[str] = (),
    sharex: bool = False,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of the printed width with its caption; to call within ``paper_look``.

    Args:
        n_panels (int): at least one.
        caption (str): drawn below, broken into lines.

    Keyword Args:
        names (sequence of str): what :func:`add_legend` is to be left room for.
        sharex (bool): whether all panels have the same x axis, as they have the same y.

    Returns:
        tuple: the figure, and its panels in rows, of which the last may be shorter.
    """
    columns = min(COLUMNS, n_panels)
    rows = -(-n_panels // columns)
    lines = textwrap.wrap(caption, CAPTION_COLUMNS)
    legend_rows = -(-len(names) // legend_columns(names)) if names else 0
    panel_height = PANEL_HEIGHT if n_panels > 1 else SINGLE_PANEL_HEIGHT
    height = rows * panel_height + (len(lines) + legend_rows + 2) * LINE_HEIGHT
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(
        rows, columns, squeeze=False, sharex=sharex, sharey=True
    ).tolist()
    while rows * columns > n_panels:
        axes[-1].pop().remove()
        n_panels += 1
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=FONT_SIZE)
    return figure, axes


def label_axes(axes: Sequence[Sequence[Axes]], x: str, y: str) -> None:
    """Name x below the lowest panel of each column, y beside the first of each row."""
    for row, below in zip(axes, [*axes[1:], []], strict=True):
        row[0].set_ylabel(y)
        for axis in row[len(below) :]:
            axis.set_xlabel(x)
            axis.tick_params(labelbottom=True)


def legend_columns(names: Sequence[str]) -> int:
    """As many as the longest name leaves room for, at most 5."""
    longest = max(len(name) for name in names) + HANDLE_COLUMNS
    return min(max(CAPTION_COLUMNS // longest, 1), 5, len(names))


def add_legend(
    figure: Figure, styles: Mapping[str, Style], names: Sequence[str]
) -> None:
    """One legend for all panels, above them, apart from the lines that were drawn."""
    handles = [
        Line2D([], [], label=name, **line_options(label, style))
        for (label, style), name in zip(styles.items(), names, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=legend_columns(names),
        frameon=False,
        handlelength=3.2,
    )


def line_options(label: str, style: Style) -> dict[str, Any]:
    """What ``Axes.plot`` takes; ReMIX is thicker and above the others."""
    if label == "remix":
        return {**style.options, "linewidth": 2.0, "zorder": 4}
    return {**style.options, "zorder": 3}


def save(paper_figure: PaperFigure, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write its files; the same figure always gives the same bytes.

    Args:
        paper_figure (PaperFigure): the figure.
        folder (Path): made if it is not there.
        formats (sequence of str): ``"png"`` (200 dots per inch), ``"svg"``, ``"pdf"``.

    Returns:
        list of Path: the files.

    Raises:
        ValueError: if a format is none of these.
    """
    dates = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix in formats:
        if suffix not in dates:
            raise ValueError(
                f"formats holds {suffix!r}: it must be of {', '.join(dates)}."
            )
        path = folder / f"{paper_figure.name}.{suffix}"
        with paper_look():
            paper_figure.figure.savefig(path, dpi=200, metadata=dates[suffix])
        paths.append(path)
    return paths
