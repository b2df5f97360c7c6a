"""Folders that look like StarCraft II and like the packages that play it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def make_game(
    folder: Path,
    builds: Iterable[int] = (75689,),
    maps: Iterable[str] = ("32x32_flat", "3m"),
    program: str = "SC2_x64",
) -> Path:
    """A StarCraft II folder in which nothing is missing; nothing in it runs."""
    for build in builds:
        path = folder / "Versions" / f"Base{build}" / program
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
    map_folder = folder / "Maps" / "SMAC_Maps"
    map_folder.mkdir(parents=True)
    for name in maps:
        (map_folder / f"{name}.SC2Map").touch()
    return folder


def make_packages(folder: Path, *names: str) -> Path:
    """Packages that are found, and say so by failing if they are imported."""
    for name in names:
        package = folder / name
        files = ["__init__.py"]
        if name != "pysc2":
            files += ["env/__init__.py", "env/starcraft2/__init__.py"]
        for file in files:
            (package / file).parent.mkdir(parents=True, exist_ok=True)
            (package / file).write_text(f"raise AssertionError('{name} was imported')")
    return folder
