"""Ways in which a file can be damaged, and what reading it then gives."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from remix_plugin.damaged import DamagedFileError

NUMBER = re.compile(rb"\d+(\.\d+)?")
FOREIGN = (
    b"null\n",
    b"[]\n",
    b"{}\n",
    b"a: 1\n",
    b'{"a": {"b": {"c": {"seed_0": {"absolute_metrics": {}}}}}}\n',
    b"a,b\n1,2\n",
    b"a sentence that is none of these.\n",
    b"[" * 100_000,
)
# What may stand in place of a number
NUMBERS = {
    "NaN": b"NaN",
    "infinite": b"1e999",
    "large": b"1e300",
    "long": b"9" * 5000,
    "text": b'"x"',
    "null": b"null",
    "negative": b"-7",
}
GARBAGE = (b"\0\1\2\xff\xfe" * 40, b"\xff\n")


def damages(content: bytes, seed: int, n_flips: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of damaged files, the same ones for a seed."""
    for name, damaged in _variants(content, random.Random(seed), n_flips):
        if damaged != content:
            yield name, damaged


def _variants(
    content: bytes, draw: random.Random, n_flips: int
) -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    for share in (0.25, 0.5, 0.75):
        yield f"cut at {share}", content[: int(len(content) * share)]
    yield "cut by one", content[:-1]
    lines = content.splitlines(keepends=True)
    for name, kept in (("first line", lines[:1]), ("but the last line", lines[:-1])):
        yield name, b"".join(kept)
    for number in range(n_flips):
        yield f"flip {number}", flip(content, draw.randrange(8 * len(content)))
    yield "foreign bytes", GARBAGE[0]
    yield "no UTF-8", content[:-1] + GARBAGE[1]
    for number, foreign in enumerate(FOREIGN):
        yield f"foreign {number}", foreign
    for name, cell in NUMBERS.items():
        numbers = list(NUMBER.finditer(content))
        if numbers:
            first, last = draw.choice(numbers).span()
            yield name, content[:first] + cell + content[last:]


def flip(content: bytes, bit: int) -> bytes:
    """The content with one bit changed."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def outcome(path: Path, read: Callable[[], Any], before: Any) -> str:
    """Whether a damaged file is named, in a line, or read, and as what it was.

    Raises whatever else reading raises.
    """
    try:
        after = read()
    except DamagedFileError as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < 1_500
        assert path.name in message
        return "named"
    return "harmless" if after == before else "other numbers"
