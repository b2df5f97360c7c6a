"""A results folder as one self-contained HTML page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from remix_plugin.plotting.figures import draw_figures
from remix_plugin.plotting.panels import panels_of
from remix_plugin.plotting.table import Table
from remix_plugin.plotting.tables import COLUMNS, result_tables
from remix_plugin.report.charts import BORDERS, pictures_of
from remix_plugin.report.folder import composed_config, files_of, unfinished_runs
from remix_plugin.report.leaders import leaders_of
from remix_plugin.results.reading import read_results
from remix_plugin.results.run_result import RunResult
from remix_plugin.whole_files import write_bytes


def write_report(folder: Path, path: Path) -> None:
    """Write a page about results: who wins, figures, tables, failed runs, what ran.

    Args:
        folder (Path): with runs of suites or of BenchMARL's own commands, see
            :func:`~remix_plugin.results.reading.read_results`.
        path (Path): the page, ``.html``. It needs no other file and no network; links
            to files of runs hold where it is written.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if no run in it has been begun, or results are unreadable.
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
        leaders=leaders_of(panels),
        charts=[(one, pictures_of(one)) for one in draw_figures(panels)],
        borders=BORDERS,
        about_tables=COLUMNS,
        tables=result_tables(panels),
        where=where_table(results),
        settings=_settings(results),
        runs=_runs(results),
        links=[_links(result, path) for result in results],
    )
    write_bytes(path, page.encode())


def _summary(results: Sequence[RunResult]) -> str:
    seeds = sorted({result.seed for result in results})
    hours = sum(result.record.get("seconds", 0) for result in results) / 3600
    sizes = (
        ("runs", len(results)),
        ("algorithms or variants", len({result.label for result in results})),
        ("tasks", len({result.task for result in results})),
        ("hours of training, one run after another", f"{hours:.1f}"),
    )
    counts = "; ".join(f"{what}: {size}" for what, size in sizes)
    return f"{counts}; seeds: {', '.join(map(str, seeds)) or 'none'}.".capitalize()


def where_table(results: Sequence[RunResult]) -> Table:
    """Commits, versions and machines, and how many runs have each."""
    rows: list[tuple[str, ...]] = []
    records = [result.record for result in results if "commit" in result.record]
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


def _settings(results: Sequence[RunResult]) -> list[tuple[str, str]]:
    """The composed config of the first seed of each block, task and label."""
    first: dict[str, RunResult] = {}
    for result in results:
        first.setdefault(f"{result.block}, {result.task}, {result.label}", result)
    found = {name: composed_config(r.folder) for name, r in first.items() if r.folder}
    return [(name, text) for name, text in found.items() if text]


def _runs(results: Sequence[RunResult]) -> Table:
    rows = []
    for result in results:
        seconds = result.record.get("seconds")
        rows.append(
            (
                result.block,
                result.task,
                result.label,
                str(result.seed),
                f"{result.frames[-1]:,}",
                f"{result.means('return')[-1]:.2f}",
                "-" if seconds is None else f"{seconds / 60:.1f}",
            )
        )
    columns = ("block", "task", "label", "seed", "frames", "last return", "minutes")
    return Table("Runs, with what each has left", columns, rows)


def _links(run: RunResult, page: Path) -> list[tuple[str, str]]:
    """Names and addresses of a run's files, as seen from the page."""
    start = page.absolute().parent
    found = {k: os.path.relpath(p.absolute(), start) for k, p in files_of(run).items()}
    return [(name, quote(target)) for name, target in found.items()]
