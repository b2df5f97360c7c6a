"""What arguments of commands may be, said before anything is done."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from remix_plugin.damaged import LONGEST, one_line, shown

LARGEST_SEED = 2**32 - 1


@contextmanager
def refusals(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Say in one line what is wrong with files or values, and exit with 2."""
    try:
        yield
    except KeyError as error:
        parser.error(one_line(error.args[0]))
    except (OSError, ValueError) as error:
        parser.error(one_line(error))


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """A type of arguments: whole numbers from ``low`` on, to ``high`` if given."""
    bounds = f">= {low}" if high is None else f"from {low} to {high}"

    def parse(text: str) -> int:
        digits = text.replace("_", "")
        value = int(digits) if digits.isdecimal() and len(digits) < 20 else -1
        if value < low or (high is not None and value > high):
            _refuse(text, f"a whole number {bounds}")
        return value

    return parse


def number(text: str) -> float:
    """A type of arguments: finite numbers."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        _refuse(text, "a finite number")
    return value


def device(text: str) -> str:
    """A type of arguments: devices of torch that this machine has."""
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError, ValueError) as error:
        _refuse(text, f"a device of this machine ({one_line(error)[:80]})")
    return text


def folder(text: str) -> Path:
    """A type of arguments: folders that are there."""
    path = Path(text)
    if not _is(path, Path.is_dir):
        kind = "a file" if _is(path, os.path.lexists) else "missing"
        _refuse(text, f"a folder, but it is {kind}")
    return path


def file(text: str) -> Path:
    """A type of arguments: files that are there."""
    path = Path(text)
    if not _is(path, Path.is_file):
        kind = "no file" if _is(path, os.path.lexists) else "missing"
        _refuse(text, f"a file, but it is {kind}")
    return path


def new_file(ending: str) -> Callable[[str], Path]:
    """A type of arguments: files to write, in a folder that is there."""

    def parse(text: str) -> Path:
        path = Path(text)
        if not path.name.endswith(ending) or path.name == ending:
            _refuse(text, f"a file's name that must end in {ending}")
        if _is(path, Path.is_dir) or not _is_writable(path.parent):
            _refuse(text, "a file in a folder that is there and may be written")
        _refuse_long(text, path)
        return path

    return parse


def new_folder(text: str) -> Path:
    """A type of arguments: folders to write into, there or to be made."""
    path = Path(text)
    _refuse_long(text, path)
    there = path.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not _is_writable(there):
        _refuse(text, f"a folder that may be written, but {there} may not, or is none")
    return path


def _refuse(text: str, allowed: str) -> None:
    given = repr(text) if len(text) < LONGEST else shown(text)
    what = f"{given} is not allowed: it must be {allowed}"
    raise argparse.ArgumentTypeError(what)


def _refuse_long(text: str, path: Path) -> None:
    if "\0" in text or any(len(os.fsencode(part)) > 255 for part in path.parts):
        _refuse(text, "a path without names of over 255 bytes")


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    """Whether a path is of a kind; names that no file system takes are of none."""
    try:
        return kind(path)
    except (OSError, ValueError):
        return False


def _is_writable(path: Path) -> bool:
    return _is(path, Path.is_dir) and os.access(path, os.W_OK | os.X_OK)
