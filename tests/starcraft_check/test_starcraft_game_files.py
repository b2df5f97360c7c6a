"""The game's folder tells which versions and maps there are."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import pytest
from fabricated_installation import make_game

from remix_plugin.starcraft.game_files import (
    SMAC_MAPS,
    describe_starcraft,
    find_game_folder,
    installed_versions,
)
from remix_plugin.starcraft.installation import check_starcraft


def test_versions_are_listed_newest_first(game: Path) -> None:
    make_game(game.parent / "both", [69232, 100000, 75689], [])
    builds = [version.build for version in installed_versions(game.parent / "both")]
    assert builds == [100000, 75689, 69232]
    assert installed_versions(game.parent) == []


def test_description_tells_build_and_release(
    game: Path, bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert describe_starcraft() == f"StarCraft II build 75689 (4.10) in {game}"
    for build in (69232, 80000):
        (game / f"Versions/Base{build}").mkdir()
    assert describe_starcraft() == (
        f"StarCraft II build 80000 in {game}; "
        "also installed: build 75689 (4.10), build 69232 (4.6.2)"
    )
    monkeypatch.delenv("SC2PATH")
    expected = f"no StarCraft II in {bare_machine}/StarCraftII (the default"
    assert describe_starcraft().startswith(expected)


def test_maps_are_those_of_smac() -> None:
    assert len(SMAC_MAPS) == len(set(SMAC_MAPS)) == 23


def test_mac_has_another_program(
    add_packages: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_packages("smacv2", "pysc2")
    program = "SC2.app/Contents/MacOS/SC2"
    folder = make_game(tmp_path / "mac", program=program)
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert find_game_folder() is None
    assert check_starcraft("3m") == []
    assert "SC2PATH is not set" in describe_starcraft()
    monkeypatch.setenv("SC2PATH", str(folder))
    assert check_starcraft("3m") == []
    (folder / "Versions/Base75689" / program).unlink()
    (problem,) = check_starcraft("3m")
    assert program in problem
