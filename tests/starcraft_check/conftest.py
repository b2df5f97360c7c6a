"""A machine of which the tests know what is installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fabricated_installation import make_game, make_packages


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither packages nor game; returns the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SC2PATH", raising=False)
    for name in [*sys.modules]:
        if name.split(".")[0] in ("smac", "smacv2", "pysc2"):
            monkeypatch.delitem(sys.modules, name)
    for name in ("smac", "smacv2", "pysc2"):
        if importlib.util.find_spec(name) is not None:
            pytest.skip(f"{name} is installed here: its absence cannot be tested")
    return home


@pytest.fixture
def add_packages(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Path]:
    """Installs fabricated packages by name; returns their folder."""

    def add(*names: str) -> Path:
        folder = make_packages(tmp_path / "site", *names)
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()
        return folder

    return add


@pytest.fixture
def game(
    add_packages: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Path:
    """Everything is there, for smacv2; returns the game's folder."""
    add_packages("smacv2", "pysc2")
    folder = make_game(tmp_path / "games" / "StarCraftII")
    monkeypatch.setenv("SC2PATH", str(folder))
    return folder
