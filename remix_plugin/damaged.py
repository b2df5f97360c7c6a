"""Files that are read whole, or named with what is wrong with them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import reprlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

# Beyond what a float32 holds, which returns are; sums of such numbers stay finite.
LARGEST = 3.5e38
LARGEST_WHOLE = 2**63 - 1
# Characters of what is said of a file, which may quote all that is in it
LONGEST = 500
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


class DamagedFileError(ValueError):
    """A file is not what it must be, or cannot be read at all.

    Args:
        path (Path): the file.
        what (str): what is wrong with it; the message is one line with both.
    """

    def __init__(self, path: Path, what: str) -> None:
        line = one_line(f"{path} cannot be read: {what}")
        end = len(str(path)) + LONGEST
        super().__init__(line if len(line) < end else f"{line[:end]}...")
        self.path = path


def one_line(text: object) -> str:
    """A text without breaks of lines, for messages."""
    return " ".join(str(text).split())


def shown(value: object) -> str:
    """A value as messages show it: not longer than a line, however large it is."""
    return _SHORT.repr(value)


def require(holds: bool, path: Path, what: str) -> None:
    """Name a file unless something holds of it.

    Raises:
        DamagedFileError: if it does not.
    """
    if not holds:
        raise DamagedFileError(path, what)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DamagedFileError: if it is missing, a folder or any other than a plain file, or
            may not be read.
    """
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
        content = path.read_bytes() if is_file else b""
    except OSError as error:
        raise DamagedFileError(path, _reason(error)) from error
    require(is_file, path, "it is a folder or another thing that is no file")
    return content


def read_text(path: Path) -> str:
    """The text of a file, line ends as they are.

    Raises:
        DamagedFileError: see :func:`read_bytes`; also if it is not UTF-8.
    """
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise DamagedFileError(path, f"it is not UTF-8 text, {error}") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DamagedFileError: see :func:`read_text` and :func:`parse_json`.
    """
    return parse_json(path, read_text(path))


def parse_json(path: Path, text: str) -> Any:
    """What a JSON file's text says.

    Raises:
        DamagedFileError: if it is not JSON, has a key twice, or a number that is not
            finite.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_without_twins,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(path, f"it is not whole JSON, {error}") from error


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        DamagedFileError: see :func:`read_text`; also if it is not YAML, or has a key
            twice.
    """
    text = read_text(path)
    try:
        return yaml.load(text, _Loader)
    # All that PyYAML raises where a value does not fit the tag before it.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as e:
        raise DamagedFileError(path, f"it is not YAML, {e}") from e
    except RecursionError as error:
        raise DamagedFileError(path, "it is nested too deeply") from error


def read_rows(path: Path) -> list[list[str]]:
    """The cells of a csv file.

    Raises:
        DamagedFileError: see :func:`read_text`; also if it is empty, is cut off within
            a line, or has lines of different lengths.
    """
    text = read_text(path)
    require(bool(text), path, "it is empty")
    require(text.endswith("\n"), path, "its last line is cut off")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise DamagedFileError(path, f"it is not csv, {error}") from error
    for number, row in enumerate(rows, 1):
        require(
            len(row) == len(rows[0]) > 0,
            path,
            f"line {number} has {len(row)} cells, the first has {len(rows[0])}",
        )
    return rows


def parse_number(path: Path, name: str, cell: str) -> float:
    """A number of a csv file, as Python writes it.

    Raises:
        DamagedFileError: if the cell is anything else, or not finite.
    """
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    is_whole = repr(value) == cell and is_number(value)
    require(is_whole, path, f"{name} is {shown(cell)}, it must be a number")
    return value


def parse_count(path: Path, name: str, cell: str) -> int:
    """A whole number from 0 on of a csv file, as Python writes it.

    Raises:
        DamagedFileError: if the cell is anything else.
    """
    is_count = cell.isascii() and cell.isdigit() and len(cell) < 20
    is_count = is_count and str(int(cell)) == cell and is_whole_number(int(cell))
    require(is_count, path, f"{name} is {shown(cell)}, it must be a whole number")
    return int(cell)


def is_number(value: object) -> bool:
    """Whether it is a finite number of a size that results can have; a bool is not."""
    return type(value) in (int, float) and abs(value) <= LARGEST  # type: ignore[arg-type]


def is_whole_number(value: object) -> bool:
    """Whether it is a whole number from 0 on that 64 bits hold."""
    return type(value) is int and 0 <= value <= LARGEST_WHOLE


def files_below(folder: Path, ending: str) -> Iterator[Path]:
    """What lies below a folder and is named so, in order; nothing of hidden folders.

    Args:
        folder (Path): searched at any depth.
        ending (str): how names end.

    Raises:
        DamagedFileError: if a folder may not be read, what is in it would be missed.
    """

    def fail(error: OSError) -> None:
        raise DamagedFileError(Path(error.filename), _reason(error)) from error

    for root, folders, files in os.walk(folder, onerror=fail):
        found = sorted(n for n in (*files, *folders) if n.endswith(ending))
        yield from (Path(root, name) for name in found)
        folders[:] = sorted(name for name in folders if not name.startswith("."))


class _Loader(yaml.SafeLoader):
    """Refuses what PyYAML drops in silence: all but the last of equal keys."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        own = [key for key, _ in node.value if not key.tag.endswith(":merge")]
        keys = [self.construct_object(key, deep=True) for key in own]
        twins = [key for key in keys if keys.count(key) > 1]
        if twins:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {shown(twins[0])} is there twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twin)} is there twice")
    return content


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {shown(text)} is not finite")
    return value


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
