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
from remix_plugin.plotting.panels import panels_of
from remix_plugin.plotting.paper_figure import save
from remix_plugin.plotting.tables import all_tables
from remix_plugin.results.reading import read_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the subcommand takes."""
    parser.add_argument(
        "results", type=Path, help="a folder of results, a json or an archive"
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
    with refusals(parser):
        results = read_results(args.results)
        if not results:
            parser.error(f"no run has ended well in {args.results}")
        panels = panels_of(results)
        figures = draw_figures(panels, args.only)
        tables = all_tables(panels)
        for figure in figures:
            for path in save(figure, args.out, ("png", "svg")):
                print(path)
            print(f"{figure.caption}\n")
    for line in without_data(figures, args.only):
        print(line)
    print(f"\n{tables}")
    return 0
