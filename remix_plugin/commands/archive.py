"""Keep the results of a folder's finished runs in one small file.

Figures and tables are made of it as of the folder:

    remix archive results/paper results.json.gz
"""

from __future__ import annotations

import argparse

from remix_plugin.commands.arguments import folder, new_file, refusals
from remix_plugin.results.archive import write_archive
from remix_plugin.results.reading import read_results
from remix_plugin.results.tidy_csv import write_csv


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the subcommand takes."""
    parser.add_argument(
        "folder", type=folder, help="where a suite has left its results"
    )
    parser.add_argument(
        "file", type=new_file(".json.gz"), help="the archive, FILE.json.gz"
    )
    parser.add_argument(
        "--csv", type=new_file(".csv"), help="also write a row per run and evaluation"
    )


def main(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Read the folder and write the file."""
    with refusals(parser):
        results = read_results(args.folder)
        if not results:
            parser.error(f"no run has ended in {args.folder}")
        write_archive(args.file, results)
        if args.csv:
            write_csv(args.csv, results)
    print(f"{args.file}: {len(results)} runs, {args.file.stat().st_size:,} bytes")
    return 0
