"""``python -m remix_plugin.starcraft`` tells what there is and what is missing."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from fabricated_installation import make_packages

from remix_plugin.starcraft.__main__ import main
from remix_plugin.starcraft.game_files import SMAC_MAPS


def test_complete_installation_succeeds(
    game: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in SMAC_MAPS:
        (game / f"Maps/SMAC_Maps/{name}.SC2Map").touch()
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"smacv2: {tmp_path / 'site/smacv2'}",
        f"StarCraft II build 75689 (4.10) in {game}",
        "map files: 23 of SMAC's 23; 32x32_flat.SC2Map of SMACv2 found",
        "Nothing is missing.",
    ]


def test_only_maps_that_are_asked_for_must_be_there(
    game: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--map", "3m", "--map", "10gen_zerg"]) == 0
    assert "map files: 1 of SMAC's 23" in capsys.readouterr().out
    assert main(["--map", "3m", "8m"]) == 1
    output = capsys.readouterr().out
    assert "not ready for the maps '3m', '8m'" in output
    assert "8m.SC2Map" in output
    assert main([]) == 1
    assert "corridor.SC2Map" in capsys.readouterr().out


def test_smac_needs_no_generated_maps(
    game: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_packages(tmp_path / "site", "smac")
    for name in SMAC_MAPS:
        (game / f"Maps/SMAC_Maps/{name}.SC2Map").touch()
    (game / "Maps/SMAC_Maps/32x32_flat.SC2Map").unlink()
    assert main(["--package", "smac"]) == 0
    assert "32x32_flat.SC2Map of SMACv2 missing" in capsys.readouterr().out
    assert main([]) == 1


def test_unknown_package_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--package", "pymarl"])
    assert caught.value.code == 2
    assert "smacv2" in capsys.readouterr().err


def test_module_runs_and_fails_on_a_bare_machine(
    bare_machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["starcraft", "--map", "3m"])
    monkeypatch.delitem(sys.modules, main.__module__)
    with pytest.raises(SystemExit, match="1"):
        runpy.run_module("remix_plugin.starcraft", run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "smacv2: not installed"
    assert lines[1].startswith(f"no StarCraft II in {bare_machine / 'StarCraftII'}")
    assert "task=smax/<map>" in lines[-1]
