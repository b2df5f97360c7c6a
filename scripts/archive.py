"""Keeps the results of a folder's finished runs in one small file.

Usage: python scripts/archive.py RESULTS_FOLDER FILE.json.gz [--csv FILE.csv]
"""

from __future__ import annotations

import argparse

from arguments import folder, new_file, refusals

from remix_plugin.results.archive import write_archive
from remix_plugin.results.reading import read_results
from remix_plugin.results.tidy_csv import write_csv


def main() -> None:
    """Read the folder and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=folder, help="where a suite has left its results"
    )
    parser.add_argument(
        "file", type=new_file(".json.gz"), help="the archive, FILE.json.gz"
    )
    parser.add_argument(
        "--csv", type=new_file(".csv"), help="also write a row per run and evaluation"
    )
    args = parser.parse_args()
    with refusals(parser):
        results = read_results(args.folder)
        if not results:
            parser.error(f"no run has ended in {args.folder}")
        write_archive(args.file, results)
        if args.csv:
            write_csv(args.csv, results)
    print(f"{args.file}: {len(results)} runs, {args.file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
