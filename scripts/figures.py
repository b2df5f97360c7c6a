"""Draws the ReMIX paper's figures from results, and prints captions and tables.

Usage: python scripts/figures.py RESULTS [--out FOLDER] [--only FIGURE ...]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from arguments import new_folder, refusals

from remix_plugin.packages import exit_without

exit_without("matplotlib")

from remix_plugin.plotting.figures import KINDS, draw_figures, without_data  # noqa: E402
from remix_plugin.plotting.panels import panels_of  # noqa: E402
from remix_plugin.plotting.paper_figure import save  # noqa: E402
from remix_plugin.plotting.tables import all_tables  # noqa: E402
from remix_plugin.results.reading import read_results  # noqa: E402


def main() -> None:
    """Write each figure as png and svg, and say which have no data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    args = parser.parse_args()
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


if __name__ == "__main__":
    main()
