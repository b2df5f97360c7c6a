"""Writes one self-contained HTML page about a results folder.

Usage: python scripts/report.py RESULTS_FOLDER [--out report.html]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from remix_plugin.packages import exit_without

exit_without("matplotlib", "jinja2")

from remix_plugin.report.page import write_report  # noqa: E402


def main() -> None:
    """Write the page and say where, or what is wrong with the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where a suite has left its results")
    parser.add_argument("--out", type=Path, help="default: report.html in the folder")
    args = parser.parse_args()
    out = args.out or args.folder / "report.html"
    try:
        write_report(args.folder, out)
    except (FileNotFoundError, KeyError, ValueError) as error:
        parser.error(str(error))
    print(f"report: {out.resolve()}")


if __name__ == "__main__":
    main()
