"""Draw figures from results, and print captions and tables.

Results are a folder of runs, or an archive of them:

    remix figures results/paper --out figures
    remix figures docs/results/predator_prey.json.gz --only figure_1
"""

from __future__ import annotations

import argparse
from pathlib import Path

from remix_plugin.commands.arguments import new_folder, refusals
from remix_plugin.plotting.figures import KINDS, draw_figures, without_data
from remix_plugin.plotting.paper_figure import save
from remix_plugin.plotting.tables import all_tables
from remix_plugin.results.archive import read_archive
from remix_plugin.results.reading import read_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the subcommand takes."""
    parser.add_argument(
        "results", type=Path, help="a suite's results folder, or an archive (.json.gz)"
    )
    parser.add_argument(
        "--out",
        type=new_folder,
        default=Path("figures"),
        help="folder to write them into",
    )
    parser.add_argument(
        "--only", nargs="+", choices=KINDS, default=list(KINDS), help="what to draw"
    )


def main(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write each figure as png and svg, and say which have no data."""
    is_archive = args.results.name.endswith(".json.gz")
    with refusals(parser):
        results = (read_archive if is_archive else read_results)(args.results)
        if not results:
            parser.error(f"no run has ended well in {args.results}")
        figures = draw_figures(results, args.only)
        tables = all_tables(results)
        for figure in figures:
            for path in save(figure, args.out, ("png", "svg")):
                print(path)
            print(f"{figure.caption}\n")
    for line in without_data(figures, args.only):
        print(line)
    print(f"\n{tables}")
    return 0
