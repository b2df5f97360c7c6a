"""A results folder as one self-contained HTML page."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, StrictUndefined

from remix_plugin.plotting.figures import draw_figures
from remix_plugin.plotting.panels import panels_of
from remix_plugin.plotting.paper_figure import LOOK, PaperFigure
from remix_plugin.plotting.table import Table
from remix_plugin.plotting.tables import COLUMNS, result_tables
from remix_plugin.report.folder import composed_config, unfinished_runs
from remix_plugin.results.reading import read_results
from remix_plugin.results.run_result import RunResult
from remix_plugin.whole_files import write_bytes


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure as the page holds it.

    Attributes:
        name (str): anchor within the page.
        title (str): heading.
        caption (str): what it shows; the picture has it below.
        svg (str): the picture, in base64.
    """

    name: str
    title: str
    caption: str
    svg: str


def write_report(folder: Path, path: Path) -> None:
    """Write the page of a results folder: what ran, figures, tables, failed runs.

    Args:
        folder (Path): with a folder per run.
        path (Path): the page, ``.html``. It needs no other file and no network.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if no run in it has been begun, or results are unreadable, see
            :func:`~remix_plugin.results.reading.read_results`.
    """
    results = read_results(folder)
    panels = panels_of(results)
    unfinished = unfinished_runs(folder)
    if not results and not unfinished:
        raise ValueError(f"No run was begun in {folder}: there is nothing to report.")
    template = files("remix_plugin.report").joinpath("report.html.jinja").read_text()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(template).render(
        title=f"Results in {folder.resolve().name}",
        summary=_summary(results),
        unfinished=unfinished,
        figures=[_embed(figure) for figure in draw_figures(panels)],
        about_tables=COLUMNS,
        tables=result_tables(panels),
        where=where_table(results),
        settings=_settings(folder, results),
        runs=_runs(results),
    )
    write_bytes(path, page.encode())


def _summary(results: Sequence[RunResult]) -> str:
    seeds = sorted({result.seed for result in results})
    hours = sum(result.record["seconds"] for result in results) / 3600
    return (
        f"{len(results)} runs of {len({r.label for r in results})} kinds on "
        f"{len({r.task for r in results})} tasks have ended well, with seeds "
        f"{', '.join(map(str, seeds)) or 'none'}; {hours:.1f} hours of training, one "
        "run after another."
    )


def where_table(results: Sequence[RunResult]) -> Table:
    """Commits, versions and machines, and how many runs have each."""
    rows: list[tuple[str, ...]] = []
    records = [result.record for result in results]
    rows += _counted("commit of the plugin", (r["commit"] for r in records))
    for name in dict.fromkeys(name for r in records for name in r["versions"]):
        rows += _counted(name, (r["versions"].get(name, "none") for r in records))
    rows += _counted("Python", (r["python"] for r in records))
    rows += _counted("hardware", (_machine(r["hardware"]) for r in records))
    return Table(
        "Runs that have ended well, by what they ran on",
        ("what", "value", "runs"),
        rows,
    )


def _counted(what: str, values: Iterable[str]) -> list[tuple[str, ...]]:
    return [(what, v, str(n)) for v, n in sorted(Counter(map(str, values)).items())]


def _machine(hardware: dict[str, Any]) -> str:
    accelerators = ", ".join(hardware["accelerators"]) or "no GPU"
    return (
        f"{hardware['processor']}, {hardware['cores']} cores, "
        f"{hardware['threads']} threads per run, {accelerators}"
    )


def _settings(folder: Path, results: Sequence[RunResult]) -> list[tuple[str, str]]:
    """The composed config of the first seed of each block, task and label."""
    first: dict[str, RunResult] = {}
    for result in results:
        first.setdefault(f"{result.block}, {result.task}, {result.label}", result)
    return [(name, composed_config(folder / r.name)) for name, r in first.items()]


def _runs(results: Sequence[RunResult]) -> Table:
    rows = [
        (
            result.block,
            result.task,
            result.label,
            str(result.seed),
            f"{result.frames[-1]:,}",
            f"{result.means('return')[-1]:.2f}",
            f"{result.record['seconds'] / 60:.1f}",
        )
        for result in results
    ]
    columns = ("block", "task", "label", "seed", "frames", "last return", "minutes")
    return Table("Runs that have ended well", columns, rows)


def _embed(figure: PaperFigure) -> EmbeddedFigure:
    """Its picture, which has letters as shapes: readers need not have the font."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({**LOOK, "svg.fonttype": "path"}):
        figure.figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = base64.b64encode(buffer.getvalue()).decode()
    return EmbeddedFigure(figure.name, figure.title, figure.caption, svg)
