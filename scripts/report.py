"""Writes one self-contained HTML page about a results folder.

Usage: python scripts/report.py RESULTS_FOLDER [--out report.html]
"""

from __future__ import annotations

import argparse

from arguments import folder, new_file, refusals

from remix_plugin.packages import exit_without

exit_without("matplotlib", "jinja2")

from remix_plugin.report.page import write_report  # noqa: E402


def main() -> None:
    """Write the page and say where, or what is wrong with the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=folder, help="where a suite has left its results"
    )
    parser.add_argument(
        "--out", type=new_file(".html"), help="default: report.html in the folder"
    )
    args = parser.parse_args()
    out = args.out or args.folder / "report.html"
    with refusals(parser):
        write_report(args.folder, out)
    print(f"report: {out.resolve()}")


if __name__ == "__main__":
    main()
