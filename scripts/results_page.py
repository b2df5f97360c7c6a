"""Writes the numbers of docs/RESULTS.md anew, from the results kept in docs/results.

Usage: python scripts/results_page.py [--check]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from remix_plugin.commands.arguments import refusals
from remix_plugin.damaged import DamagedFileError, read_text
from remix_plugin.packages import exit_without

exit_without("matplotlib", "jinja2")

from remix_plugin.plotting.panels import panels_of  # noqa: E402
from remix_plugin.plotting.tables import all_tables  # noqa: E402
from remix_plugin.report.page import where_table  # noqa: E402
from remix_plugin.results.archive import read_archive  # noqa: E402

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "RESULTS.md"
# The page has a place for the tables of each, named as the archive.
ARCHIVES = {
    path.name.removesuffix(".json.gz"): path
    for path in sorted((DOCS / "results").glob("*.json.gz"))
}

PLACE = re.compile(
    r"<!-- (?P<name>\w+): generated -->\n(?P<text>.*?)<!-- end -->", re.DOTALL
)


def main() -> None:
    """Write the page, or with --check say whether it is as it would be written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if it differs"
    )
    args = parser.parse_args()
    with refusals(parser):
        kept = {name: read_archive(path) for name, path in ARCHIVES.items()}
        runs = [run for results in kept.values() for run in results]
        # A run that two archives have is counted once.
        results = list({run.name: run for run in runs}.values())
        texts = {name: all_tables(panels_of(own)) for name, own in kept.items()}
        texts["where"] = where_table(results).markdown
        before = read_text(PAGE)
        try:
            page = fill(before, texts)
        except ValueError as error:
            raise DamagedFileError(PAGE, str(error)) from error
    if page == before:
        print(f"{PAGE} is as its results have it: {len(results)} runs")
    elif args.check:
        sys.exit(f"{PAGE} differs from its results: run {Path(__file__).name}")
    else:
        PAGE.write_text(page)
        print(f"{PAGE}: written from {len(results)} runs")


def fill(page: str, texts: Mapping[str, str]) -> str:
    """Put texts into their places, whatever stood there before.

    A place begins with the line ``<!-- NAME: generated -->`` and ends with
    ``<!-- end -->``.

    Args:
        page (str): markdown.
        texts (mapping): what to put into each place, by name.

    Raises:
        ValueError: if the page has no place of a text, or a place without a text.
    """
    places = [match["name"] for match in PLACE.finditer(page)]
    if sorted(places) != sorted(texts):
        raise ValueError(
            f"The page has places for {', '.join(places) or 'nothing'}: it must have "
            f"one for each of {', '.join(texts)}."
        )

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- {name}: generated -->\n\n{texts[name]}\n\n<!-- end -->"

    return PLACE.sub(replace, page)


if __name__ == "__main__":
    main()
