"""Markdown pages whose tables come from results."""

from __future__ import annotations

import re
from collections.abc import Mapping

PLACE = re.compile(
    r"<!-- (?P<name>\w+): generated -->\n(?P<text>.*?)<!-- end -->", re.DOTALL
)


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
