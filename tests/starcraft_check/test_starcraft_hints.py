"""What the command line selects is checked before BenchMARL builds it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from remix_plugin.starcraft import hints
from remix_plugin.starcraft.hints import stop_or_warn

pytestmark = pytest.mark.slow

TASK = "task=smacv2/protoss_5_vs_5"
QUIET = "experiment.render=False"
NOT_READY = "StarCraft II is not ready"
RENDERING = "experiment.render=True fails"
FRAMES = "off_policy_init_random_frames="


@pytest.fixture
def logged(
    bare_machine: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> pytest.LogCaptureFixture:
    """The log, on a bare machine with a Python on which rendering fails."""
    monkeypatch.setattr(sys, "version_info", (3, 11, 0))
    return caplog


def stopped(arguments: list[str]) -> str:
    """What is said as the command ends."""
    with pytest.raises(SystemExit) as stop:
        stop_or_warn(arguments)
    return str(stop.value.code)


def _levels(log: pytest.LogCaptureFixture) -> list[int]:
    assert {name for name, _, _ in log.record_tuples} <= {"remix_plugin.starcraft"}
    return [level for _, level, _ in log.record_tuples]


@pytest.mark.parametrize(
    "arguments",
    [
        [TASK],
        ["-m", "algorithm=remix", TASK],
        ["+task=smacv2/protoss_5_vs_5"],
        ["++task=smacv2/protoss_5_vs_5"],
        ["task='smacv2/protoss_5_vs_5'"],
        ['task="smacv2/protoss_5_vs_5"'],
        ["task=smacv2/protoss_5_vs_5,vmas/balance", "--multirun"],
        ["task=vmas/balance, smacv2/protoss_5_vs_5", "seed=range(1,3)"],
        ["task=choice(vmas/balance,'smacv2/protoss_5_vs_5')"],
        [TASK, "task=nonsense=(", "--config-dir", "configs", "algorithm=mappo"],
    ],
    ids=" ".join,
)
def test_selected_task_is_checked(
    logged: pytest.LogCaptureFixture, arguments: list[str]
) -> None:
    message = stopped([*arguments, QUIET])
    assert message.startswith(
        "task=smacv2/protoss_5_vs_5: StarCraft II is not ready for the map "
        "'10gen_protoss':"
    )
    assert message.endswith(
        "python -m benchmarl.run algorithm=remix task=smax/3m experiment=smax"
    )
    assert not logged.records


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["task=vmas/balance", "algorithm=remix"],
        ["task=smacv2/protoss_7_vs_5"],
        ["task=smacv2"],
        ["task=smacv2/"],
        ["task="],
        ["~task=smacv2/protoss_5_vs_5"],
        ["experiment.save_folder=smacv2/protoss_5_vs_5"],
        ["/runs/smacv2/checkpoint_100.pt"],
        [TASK, "task=vmas/balance"],
        [TASK, "--cfg", "job"],
        [TASK, "--cfg=job"],
        ["-sc", "query=bash", TASK],
        ["--help", TASK],
    ],
    ids=" ".join,
)
def test_nothing_else_is_said(
    logged: pytest.LogCaptureFixture, arguments: list[str]
) -> None:
    stop_or_warn(arguments)
    assert not logged.records


def test_other_tasks_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("the arguments were parsed")

    monkeypatch.setattr(hints, "_read_overrides", refuse)
    stop_or_warn(["algorithm=remix", "task=predator_prey/punish_2"])


def test_maps_of_all_tasks_are_checked(
    game: Path, logged: pytest.LogCaptureFixture
) -> None:
    task = "task=smacv2/terran_10_vs_11,smacv2/zerg_5_vs_5,smacv2/zerg_20_vs_23"
    stop_or_warn([task, QUIET])
    assert not logged.records
    (game / "Maps/SMAC_Maps/32x32_flat.SC2Map").unlink()
    message = stopped([task, QUIET])
    assert "for the maps '10gen_terran', '10gen_zerg':" in message
    assert message.count("32x32_flat.SC2Map.") == 1


def test_map_name_of_the_arguments_counts(
    game: Path, logged: pytest.LogCaptureFixture
) -> None:
    stop_or_warn([TASK, QUIET, "task.map_name=3m"])
    assert not logged.records
    assert "for the map '8m'" in stopped([TASK, QUIET, "task.map_name=8m"])


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        ([], True),
        (["experiment.render=True"], True),
        (["experiment.render=true,false"], True),
        (["experiment=base_experiment"], True),
        (["experiment.render=False"], False),
        (["experiment.render=false"], False),
        (["experiment.render=0"], False),
        (["++experiment.render='no'"], False),
        (["experiment.evaluation=False"], False),
        (["experiment=matrix_game"], False),
        (["experiment=matrix_game,base_experiment"], True),
        (["experiment=matrix_game", "experiment.render=True"], True),
        (["experiment=of_the_user"], False),
    ],
)
def test_rendering_is_warned_of(
    game: Path, logged: pytest.LogCaptureFixture, arguments: list[str], warned: bool
) -> None:
    stop_or_warn([TASK, *arguments])
    assert _levels(logged) == [logging.WARNING] * warned
    assert all(message.startswith(RENDERING) for message in logged.messages)
    assert all("Add experiment.render=False." in m for m in logged.messages)


def test_rendering_works_on_python_3_10(
    game: Path, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 15))
    stop_or_warn([TASK])
    assert not logged.records


@pytest.mark.parametrize(("call", "warned"), [("palette, lambda: 0.5", 1), ("a", 0)])
def test_rendering_works_with_a_later_pysc2(
    game: Path,
    logged: pytest.LogCaptureFixture,
    tmp_path: Path,
    call: str,
    warned: int,
) -> None:
    path = tmp_path / "site/pysc2/lib/colors.py"
    path.parent.mkdir()
    path.write_text(f"  random.shuffle({call})  # Return a fixed shuffle\n")
    stop_or_warn([TASK])
    assert len(logged.records) == warned


@pytest.mark.parametrize(
    ("value", "told"),
    [("0", None), ("1000", "1000"), ("0,1_000,2000", "1000,2000"), ("null", None)],
)
@pytest.mark.parametrize("task", [TASK, "task=smac/3m"])
def test_random_frames_are_warned_of(
    game: Path, logged: pytest.LogCaptureFixture, task: str, value: str, told: str
) -> None:
    stop_or_warn([task, QUIET, f"experiment.off_policy_init_random_frames={value}"])
    assert _levels(logged) == [logging.WARNING] * (told is not None)
    if told is not None:
        assert f"{FRAMES}{told} fails" in logged.messages[0]
        assert "action mask" in logged.messages[0]


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("task.difficulty=7", "difficulty=7 is not allowed: .* strings '1', .* 'A'"),
        ("task.difficulty=X", "difficulty='X' is not allowed"),
        ("task.difficulty='7'", None),
        ("task.game_version=4.6.2", r"'4\.6\.2' is not installed; .* 75689 .*'4\.10'"),
        # Without quotes it is a number to Hydra.
        ("task.game_version=4.10", r"'4\.1' is not installed"),
        ("task.game_version='4.10.0'", None),
        ("task.game_version=null", None),
    ],
)
def test_options_that_will_be_refused(
    game: Path, logged: pytest.LogCaptureFixture, argument: str, told: str | None
) -> None:
    if told is None:
        stop_or_warn([TASK, QUIET, argument])
    else:
        assert re.search(told, stopped([TASK, QUIET, argument]))
    assert not logged.records


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarl.run", "algorithm=remix", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_run_stops_with_the_explanation_alone(
    bare_machine: Path, tmp_path: Path
) -> None:
    completed = _run(tmp_path, TASK)
    assert completed.returncode == 1
    assert completed.stdout == ""
    error = completed.stderr
    assert error.startswith(f"{TASK}: {NOT_READY} for the map '10gen_protoss':")
    assert error.rstrip().endswith(hints.INSTEAD)
    assert str(bare_machine / "StarCraftII") in error
    assert not list(tmp_path.glob("outputs"))


def test_a_sweep_stops_once(bare_machine: Path, tmp_path: Path) -> None:
    sweep = f"{TASK},smacv2/zerg_5_vs_5"
    frames = f"experiment.{FRAMES}1"
    completed = _run(tmp_path, sweep, "experiment.loggers=[]", frames, "--multirun")
    error = completed.stderr
    assert completed.returncode == 1
    assert error.count(NOT_READY) == 1
    assert f"{sweep}: {NOT_READY} for the maps" in error
    assert f"{frames} fails" in error


def test_printed_config_is_not_disturbed(bare_machine: Path, tmp_path: Path) -> None:
    completed = _run(tmp_path, TASK, "--cfg", "job")
    assert completed.returncode == 0, completed.stderr
    assert "10gen_protoss" in completed.stdout
    assert NOT_READY not in completed.stderr
