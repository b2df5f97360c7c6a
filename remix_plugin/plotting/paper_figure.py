"""A figure as a paper prints it, all panels under one legend, or panel by panel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from remix_plugin.plotting.panels import MeanCurve
from remix_plugin.plotting.style import Style

# Inches: two columns of a page, in which two panels lie side by side, and heights
WIDTH = 7.0
COLUMNS = 2
PANEL_HEIGHT = 2.1
SINGLE_PANEL_HEIGHT = 2.6
# Points at the printed size
FONT_SIZE = 8.0
LINE_HEIGHT = 1.35 * FONT_SIZE / 72
# Characters of names that fit into a line of the legend, and that the line before a
# name takes
LEGEND_COLUMNS = 112
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
    """Panels of one figure, and what is said of them.

    Attributes:
        name (str): stem of its files, e.g. ``"figure_1_anneal_50k"``.
        title (str): what it shows, in a few words.
        caption (str): the text below it, in one line.
        headings (sequence of str): what stands above each panel.
        draw (Callable): draws the panel of a number, from 0, into axes.
        axis_names (tuple of str): of x and y.
        styles (mapping): look of each label in the legend; empty for no legend.
        names (mapping): names of labels in the legend.
        shared (tuple of bool): whether all panels have the same x axis, and y axis.
        curves (sequence of mapping): of each panel, of each label, the curve drawn;
            empty of figures that are not of curves.
    """

    name: str
    title: str
    caption: str
    headings: Sequence[str]
    draw: Callable[[Axes, int], None]
    axis_names: tuple[str, str]
    styles: Mapping[str, Style]
    names: Mapping[str, str]
    shared: tuple[bool, bool] = (False, True)
    curves: Sequence[Mapping[str, MeanCurve]] = ()

    @cached_property
    def figure(self) -> Figure:
        """All panels, in rows of which the last may be shorter, below one legend."""
        with paper_look():
            figure, axes = self._new_panels()
            for number, axis in enumerate(axis for row in axes for axis in row):
                self.draw(axis, number)
                axis.set_title(self.headings[number])
            self._name_axes(axes)
            if self.styles:
                self._add_legend(figure)
        return figure

    def panel(self, number: int) -> Figure:
        """One panel of half the width, with the same axes, for narrow screens."""
        with paper_look():
            figure = Figure(figsize=(WIDTH / 2, PANEL_HEIGHT), layout="constrained")
            axis = figure.subplots()
            self.draw(axis, number)
            shared = self.figure.axes[number]
            axis.set(xlim=shared.get_xlim(), ylim=shared.get_ylim())
            axis.set(title=self.headings[number], ylabel=self.axis_names[1])
            axis.set_xlabel(self.axis_names[0])
        return figure

    def _new_panels(self) -> tuple[Figure, list[list[Axes]]]:
        n_panels = len(self.headings)
        columns = min(COLUMNS, n_panels)
        rows = -(-n_panels // columns)
        legend_rows = -(-len(self.styles) // self._legend_columns)
        panel_height = PANEL_HEIGHT if n_panels > 1 else SINGLE_PANEL_HEIGHT
        height = rows * panel_height + (legend_rows + 1) * LINE_HEIGHT
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(
            rows, columns, squeeze=False, sharex=self.shared[0], sharey=self.shared[1]
        ).tolist()
        for _ in range(rows * columns - n_panels):
            axes[-1].pop().remove()
        return figure, axes

    def _name_axes(self, axes: Sequence[Sequence[Axes]]) -> None:
        """Name x below the lowest panel of each column, y beside each row."""
        for row, below in zip(axes, [*axes[1:], []], strict=True):
            row[0].set_ylabel(self.axis_names[1])
            for axis in row[len(below) :]:
                axis.set_xlabel(self.axis_names[0])
                axis.tick_params(labelbottom=True)

    @property
    def _legend_columns(self) -> int:
        """As many as the longest name leaves room for, at most 5."""
        longest = max((len(self.names.get(k, k)) for k in self.styles), default=0)
        fitting = LEGEND_COLUMNS // (longest + HANDLE_COLUMNS)
        return max(1, min(fitting, 5, len(self.styles)))

    def _add_legend(self, figure: Figure) -> None:
        """One legend for all panels, above them."""
        handles = [
            Line2D([], [], label=self.names.get(k, k), **line_options(k, style))
            for k, style in self.styles.items()
        ]
        figure.legend(
            handles=handles,
            loc="outside upper center",
            ncols=self._legend_columns,
            frameon=False,
            handlelength=3.2,
        )


@contextmanager
def paper_look() -> Iterator[None]:
    """Fonts, lines and file settings of all figures, until the context ends."""
    with matplotlib.rc_context(LOOK):
        yield


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
