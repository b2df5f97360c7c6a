"""Errors of starting the game are explained if known, and else left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from remix_plugin.starcraft.launch_errors import explain_launch_error


class ConnectError(Exception):
    """Named as in ``pysc2.lib.remote_controller``."""


class SC2LaunchError(Exception):
    """Named as in ``pysc2.lib.sc_process``."""


class DuplicateMapError(Exception):
    """Named as in ``pysc2.maps.lib``."""


class NoMapError(Exception):
    """Named as in ``pysc2.maps.lib``."""


def _explain(error: BaseException, map_name: str = "3m", **options: object) -> str:
    text = explain_launch_error(error, map_name, **options)  # type: ignore[arg-type]
    assert text is not None
    return text


def test_program_that_dies_is_explained(game: Path) -> None:
    message = "Failed to connect to the SC2 websocket. Is it up?"
    text = _explain(ConnectError(message))
    program = game / "Versions/Base75689/SC2_x64"
    assert message in text
    assert f"`{program} -listen 127.0.0.1" in text
    assert f"`ldd {program}`" in text
    assert text.count("task=smax/<map>") == 1


def test_taken_port_is_explained(bare_machine: Path) -> None:
    message = "Connection rejected. Is something else connected?"
    assert "something else has its port" in _explain(ConnectError(message))


def test_unknown_game_version_is_explained(game: Path) -> None:
    known = "['4.10.0', 'latest']"
    error = ValueError(f"Unknown game version: 4.6.2. Known versions: {known}.")
    text = _explain(error)
    assert "game_version='4.6.2' is not installed" in text
    assert f"one of {known}" in text
    assert f"build 75689 (4.10) in {game}" in text


def test_unknown_map_is_explained(game: Path) -> None:
    text = _explain(KeyError("mmm2"), "mmm2")
    assert "map_name='mmm2' is not allowed" in text
    assert "but 'MMM2'" in text
    assert "10gen_terran" in text
    text = _explain(NoMapError("Map doesn't exist: nope"), "nope", package="smac")
    assert "map_name='nope' is not allowed: 'smac' has no such map" in text
    assert "corridor" in text
    assert "10gen_terran" not in text


@pytest.mark.parametrize(
    ("key", "difficulty"), [(7, None), (7, 7), ("B", "B"), (10, 10), (None, None)]
)
def test_wrong_difficulty_is_explained(key: object, difficulty: object) -> None:
    text = explain_launch_error(KeyError(key), "3m", difficulty=difficulty)
    if key is None:
        assert text is None
    else:
        assert text is not None
        assert f"difficulty={key!r} is not allowed" in text
        assert "'1', '2'" in text
        assert "'A'" in text


def test_both_packages_are_explained() -> None:
    text = _explain(DuplicateMapError("Duplicate map found: 3m"))
    assert "Duplicate map found: 3m" in text
    assert "process of its own" in text


def _file_errors(game: Path) -> list[BaseException]:
    program = game / "Versions/Base75689/SC2_x64"
    return [
        RuntimeError(f"Trying to run '{program}', but it isn't executable."),
        SC2LaunchError(f"No SC2 binary found at: {program}"),
        SC2LaunchError(f"No SC2 Versions found in {game}/Versions"),
        FileNotFoundError(2, "No such file or directory", f"{game}/Versions"),
        ValueError(f"Map SMAC_Maps/3m.SC2Map not found in {game}/Maps."),
    ]


@pytest.mark.parametrize("index", range(5))
def test_missing_files_are_explained_by_the_check(game: Path, index: int) -> None:
    error = _file_errors(game)[index]
    text = _explain(error)
    assert str(error) in text
    assert f"build 75689 (4.10) in {game}" in text
    (game / "Versions/Base75689/SC2_x64").chmod(0o644)
    text = _explain(error)
    assert "`chmod +x" in text
    assert text.count("task=smax/<map>") == 1


@pytest.mark.parametrize(
    "error",
    [
        KeyError("agents"),
        KeyError(11),
        KeyError(),
        KeyError("3m", 7),
        ValueError("3m"),
        RuntimeError("3m failed"),
        FileNotFoundError(2, "No such file or directory", "run.yaml"),
        ConnectError("All connection attempts failed"),
        TypeError("__init__() got an unexpected keyword argument 'nope'"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_unknown_errors_are_left_alone(game: Path, error: BaseException) -> None:
    (game / "Versions/Base75689/SC2_x64").chmod(0o644)
    assert explain_launch_error(error, "3m") is None


def test_key_of_another_value_is_no_difficulty() -> None:
    assert explain_launch_error(KeyError(3), "3m", difficulty="7") is None
    assert explain_launch_error(KeyError("7"), "3m", difficulty="7") is None


def test_explanation_survives_a_folder_that_is_gone(bare_machine: Path) -> None:
    text = _explain(ConnectError("Failed to connect to the SC2 websocket. Is it up?"))
    assert "SC2_x64 -listen" in text


def test_unknown_package_is_refused() -> None:
    with pytest.raises(ValueError, match="package='pymarl' is not allowed"):
        explain_launch_error(KeyError("3m"), "3m", "pymarl")
