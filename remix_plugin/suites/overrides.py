"""Overrides in Hydra's grammar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def frames_of(overrides: Sequence[str]) -> int | None:
    """Frames of a run with these overrides, None where they leave it to a config."""
    for override in reversed(overrides):
        name, _, value = override.partition("=")
        if name == "experiment.max_n_frames" and value.replace("_", "").isdigit():
            return int(value)
    return None


def quoted(path: Path) -> str:
    """A path as a value that Hydra takes as it is."""
    return "'" + str(path).replace("'", "\\'") + "'"


def split_overrides(overrides: Iterable[str]) -> tuple[list[str], list[str]]:
    """Tell overrides of runs from those of Hydra itself, as of its launchers."""
    runs: list[str] = []
    of_hydra: list[str] = []
    for override in overrides:
        is_hydra = override.lstrip("+~").startswith(("hydra.", "hydra/"))
        (of_hydra if is_hydra else runs).append(override)
    return runs, of_hydra
