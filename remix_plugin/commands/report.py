"""Write one self-contained HTML page about a results folder.

It has what ran, figures and tables, and what failed:

    remix report results/paper
"""

from __future__ import annotations

import argparse

from remix_plugin.commands.arguments import folder, new_file, refusals
from remix_plugin.report.page import write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the subcommand takes."""
    parser.add_argument(
        "folder", type=folder, help="where a suite has left its results"
    )
    parser.add_argument(
        "--out", type=new_file(".html"), help="default: report.html in the folder"
    )


def main(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write the page and say where, or what is wrong with the results."""
    out = args.out or args.folder / "report.html"
    with refusals(parser):
        write_report(args.folder, out)
    print(f"report: {out.resolve()}")
    return 0
