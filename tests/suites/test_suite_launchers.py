"""Hydra's launchers run a suite as this machine does by itself."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from fake_slurm import install_fake_slurm
from hydra.core.config_store import ConfigStore
from tiny_suites import (
    LOCAL_MODES,
    STAND_IN,
    exit_code,
    folders_of,
    fork,
    is_alive,
    needs,
    records,
    run_suite,
    wait_until,
    write_suite,
)

from remix_plugin.suites.folders import RunFolder, State
from remix_plugin.suites.launching import (
    Launch,
    check_launcher,
    prepare_launch,
    read_job,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unchecked")]


@pytest.fixture
def mixed(tmp_path: Path, results: Path) -> list[RunFolder]:
    """Three runs: one has finished before, one will fail."""
    path = write_suite(
        tmp_path, "+stand_in_fails=1", seeds=[0, 1, 2], algorithms=["vdn"]
    )
    folders = folders_of(path, results)
    assert run_suite(path, "--results", results, "--only", "*/seed_2") == 0
    return folders


@pytest.mark.parametrize("launcher", LOCAL_MODES)
def test_launcher_runs_what_is_left(
    mixed: list[RunFolder],
    tmp_path: Path,
    launcher: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = records(mixed)
    arguments = ("--results", mixed[0].results, "--launcher", launcher)
    limits = ("--processes", 2, "--threads", 3)
    assert run_suite(tmp_path / "tiny.yaml", *arguments, *limits) == 1
    output = capsys.readouterr().out
    states = [folder.state() for folder in mixed]
    assert states == [State.FINISHED, State.FAILED, State.FINISHED], output
    # A failed run is no failure of the launcher's.
    assert "The launcher has ended" not in output
    assert f"failed: {mixed[1].run.name}, log: {mixed[1].log}" in output
    assert "    the reason why it failed" in output
    now = records(mixed)
    assert now[mixed[2].run.name] == before[mixed[2].run.name]
    record = now[mixed[0].run.name]
    assert tuple(record["overrides"]) == mixed[0].run.overrides
    assert record["threads"] == "3"
    # Nothing of the launcher's lies where results are looked for.
    assert {path.name for path in mixed[0].results.iterdir()} == {".suite", "small"}


@needs("submitit_local")
def test_runs_end_with_a_killed_launcher(tmp_path: Path, results: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("elsewhere runs outlive a killed runner")
    path = write_suite(tmp_path, "+stand_in_seconds=60", seeds=[0], algorithms=["qmix"])
    (folder,) = folders_of(path, results)
    # Its jobs are not the launcher's own children.
    where = ("--results", results, "--launcher", "submitit_local")
    arguments = (path, *where)
    runner = fork(lambda: run_suite(*arguments), tmp_path / "runner.txt")

    def log() -> str:
        return folder.log.read_text() if folder.log.is_file() else ""

    wait_until(lambda: log().startswith("pid"), 60)
    run = int(log().split()[1])
    os.kill(runner, signal.SIGKILL)
    exit_code(runner)
    wait_until(lambda: not is_alive(run), 10)
    time.sleep(0.1)
    assert folder.state() is State.CUT_OFF


@needs("submitit_slurm")
def test_slurm_gets_all_runs_with_its_options(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = install_fake_slurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{log.parent}:{os.environ['PATH']}")
    # This machine's cores say nothing of a cluster's.
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    path = write_suite(tmp_path, seeds=[0])
    options = ("hydra.launcher.partition=fast", "hydra.launcher.timeout_min=30")
    where = ("--results", results, "--launcher", "submitit_slurm")
    assert run_suite(path, *where, "--processes", 2, *options) == 0, log.read_text()
    found = records(folders_of(path, results))
    assert [record["threads"] for record in found.values()] == ["1", "1"]
    batch = log.read_text()
    lines = ("partition=fast", "time=30", "array=0-1%2", "job-name=suite")
    for line in (*lines, "cpus-per-task=1"):
        assert f"#SBATCH --{line}\n" in batch


def test_missing_launchers_are_named(
    tmp_path: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ConfigStore, "list", lambda self, path: ["basic.yaml"])
    arguments = (write_suite(tmp_path), "--results", results)
    assert run_suite(*arguments, "--launcher", "submitit_slurm") == 2
    error = capsys.readouterr().err
    assert "submitit_slurm needs hydra-submitit-launcher: pip install" in error
    with pytest.raises(ModuleNotFoundError, match=re.escape("'remix_plugin[ray]'")):
        check_launcher("ray")
    assert run_suite(*arguments, "--launcher", "jobli") == 2
    error = capsys.readouterr().err
    assert "launcher='jobli' is not allowed: it must be one of local, basic," in error
    assert not results.exists()


@needs("joblib")
def test_launchers_that_are_there_are_allowed() -> None:
    check_launcher("basic")
    check_launcher("joblib")


def test_failure_of_the_launcher_itself_is_told(
    tmp_path: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = "print('no such partition'); raise SystemExit(4)"
    command = (sys.executable, "-S", "-c", log)
    launch = Launch(tmp_path, command, tmp_path / "lock")
    monkeypatch.setattr(
        "remix_plugin.commands.suite.prepare_launch", lambda *_, **__: launch
    )
    path = write_suite(tmp_path, seeds=[0], algorithms=["qmix"])
    assert run_suite(path, "--results", results, "--launcher", "basic") == 1
    output = capsys.readouterr().out
    assert f"The launcher has ended with 4, log: {tmp_path / 'log.txt'}" in output
    assert "    no such partition\n" in output
    assert "to do: small/predator_prey-punish_2/qmix/seed_0" in output


@pytest.mark.parametrize(
    ("launcher", "processes", "options", "expected"),
    [
        ("joblib", 2, (), ["hydra.launcher.n_jobs=2"]),
        (
            "submitit_local",
            2,
            (),
            [
                "hydra.launcher.timeout_min=1440",
                "hydra.launcher.cpus_per_task=2",
                "hydra.sweeper.max_batch_size=2",
            ],
        ),
        (
            "submitit_slurm",
            None,
            (),
            ["hydra.launcher.timeout_min=1440", "hydra.launcher.cpus_per_task=2"],
        ),
        (
            "ray",
            3,
            (),
            [
                "+hydra.launcher.ray.init.include_dashboard=false",
                "+hydra.launcher.ray.init.num_cpus=3",
            ],
        ),
        ("ray", 3, ("hydra.launcher.ray.init.address=auto",), []),
    ],
)
def test_launchers_are_told_their_limits(
    tmp_path: Path,
    results: Path,
    launcher: str,
    processes: int | None,
    options: tuple[str, ...],
    expected: list[str],
) -> None:
    folders = folders_of(write_suite(tmp_path), results)
    launch = prepare_launch(
        launcher,
        folders,
        processes=processes,
        threads=2,
        options=options,
        command=STAND_IN,
    )
    told = [o for o in launch.command if o.lstrip("+").startswith("hydra.")]
    own = (f"hydra.sweep.dir='{launch.folder}'", "hydra.job.name=suite")
    assert told == [*own, *expected, *options]
    assert launch.command[-1] == "+number=0,1,2,3"
    folder, plan = read_job(launch.folder / "plan.json", 2)
    assert folder == folders[2]
    assert plan["threads"] == 2
    assert plan["command"] == list(STAND_IN)
    on_this_machine = launcher in ("joblib", "submitit_local")
    assert plan["launcher_lock"] == (str(launch.lock) if on_this_machine else None)
    assert json.loads((launch.folder / "plan.json").read_text()) == plan
