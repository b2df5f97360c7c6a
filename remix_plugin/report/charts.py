"""Figures as the page holds them: a picture per panel, and what it reads out."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure
from numpy import isnan, round

from remix_plugin.plotting.panels import MeanCurve
from remix_plugin.plotting.paper_figure import LOOK, PaperFigure
from remix_plugin.statistics.scores import FloatArray

# Of Matplotlib's line styles, in CSS
BORDERS = {"-": "solid", "--": "dashed", "-.": "dashed", ":": "dotted"}
# What HTML does not need, and addresses that the page would seem to need
NOT_IN_HTML = re.compile(r"<metadata>.*?</metadata>|\sxmlns(:xlink)?=\"[^\"]*\"", re.S)


@dataclass(frozen=True)
class Picture:
    """A panel.

    Attributes:
        svg (str): an ``svg`` element.
        curves (str): for the pointer, in JSON: where the x axis lies in the picture and
            which frames it spans, and the curves; empty of panels without curves.
    """

    svg: str
    curves: str


def pictures_of(figure: PaperFigure) -> list[Picture]:
    """The panels of a figure, one by one, so that they fit any screen."""
    return [_picture(figure, number) for number in range(len(figure.headings))]


def _picture(paper_figure: PaperFigure, number: int) -> Picture:
    figure = paper_figure.panel(number)
    # Letters stay text, in whatever font the reader has.
    with matplotlib.rc_context({**LOOK, "svg.fonttype": "none"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    svg = NOT_IN_HTML.sub("", text[text.index("<svg") :])
    curves = ""
    if paper_figure.curves:
        names = paper_figure.names
        curves = _curves(figure, paper_figure.curves[number], names)
    return Picture(svg, curves)


def _curves(
    figure: Figure, curves: Mapping[str, MeanCurve], names: Mapping[str, str]
) -> str:
    (axis,) = figure.axes
    points = 72 / figure.dpi
    read = [
        {
            "label": label,
            "name": names.get(label, label),
            "frames": curve.frames.tolist(),
            "mean": _rounded(curve.mean),
            "low": _rounded(curve.low),
            "high": _rounded(curve.high),
        }
        for label, curve in curves.items()
    ]
    ends = [axis.bbox.x0 * points, axis.bbox.x1 * points]
    return json.dumps({"x": ends, "frames": axis.get_xlim(), "curves": read})


def _rounded(values: FloatArray) -> list[float | None]:
    return [None if isnan(value) else float(round(value, 3)) for value in values]
