"""Overrides in Hydra's grammar."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from remix_plugin.damaged import shown


def frames_of(overrides: Sequence[str]) -> int | None:
    """Frames of a run with these overrides, None where they leave it to a config."""
    for override in reversed(overrides):
        name, _, value = override.partition("=")
        digits = value.replace("_", "")
        is_count = digits.isdecimal() and len(digits) < 20
        if name == "experiment.max_n_frames" and is_count:
            return int(digits)
    return None


def quoted(path: Path) -> str:
    """A path as a value that Hydra takes as it is, see :func:`check_results_folder`."""
    return QuotedString(str(path), Quote.single).with_quotes()


def check_results_folder(folder: Path) -> None:
    """Check that Hydra can write into a folder.

    Args:
        folder (Path): absolute.

    Raises:
        NotADirectoryError: if it is there, but no folder.
        ValueError: if Hydra would take part of its name for something else: it looks
            ``${...}`` up again wherever it hands on a run's folder.
    """
    name = str(folder)
    if "${" in name or not name.isprintable():
        raise ValueError(
            f"The results folder {shown(name)} is not allowed: its path must have no "
            "${, nor characters that cannot be printed."
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder.")


def split_overrides(overrides: Iterable[str]) -> tuple[list[str], list[str]]:
    """Tell overrides of runs from those of Hydra itself, as of its launchers."""
    runs: list[str] = []
    of_hydra: list[str] = []
    for override in overrides:
        is_hydra = override.lstrip("+~").startswith(("hydra.", "hydra/"))
        (of_hydra if is_hydra else runs).append(override)
    return runs, of_hydra
