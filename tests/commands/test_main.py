"""The console command knows its subcommands, and completes them in a shell."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

import pytest
import torch

from remix_plugin.commands.main import SUBCOMMANDS, main

RunRemix = Callable[..., str]


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_has_an_example(
    name: str, run_remix: RunRemix, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        run_remix(name, "--help")
    assert f"    remix {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["figure"], ["--results", "x"]])
def test_what_is_no_subcommand_is_refused(
    arguments: list[str], run_remix: RunRemix, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_remix(*arguments)
    assert "remix: error: " in capsys.readouterr().err


def test_shells_complete_subcommands(
    run_remix: RunRemix, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        run_remix("--print-completion", "bash")
    script = capsys.readouterr().out
    assert all(name in script for name in [*SUBCOMMANDS, "--dry-run", "--win-above"])


def test_the_doctor_tells_versions_and_what_is_missing(run_remix: RunRemix) -> None:
    said = run_remix("doctor")
    assert f"torch {torch.__version__}" in said
    assert "wandb" in said
    assert "(for experiment.loggers=[wandb])" in said
    assert "StarCraft II" in said
    with pytest.raises(SystemExit, match="1"):
        run_remix("doctor", "--map", "no_such_map")


def test_it_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="remix")
    assert command.load() is main
