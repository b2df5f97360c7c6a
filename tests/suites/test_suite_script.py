"""The script: plans, refusals, exit codes, what it prints."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from tiny_suites import (
    exit_code,
    folders_of,
    fork,
    records,
    run_suite,
    wait_until,
    write_suite,
)

from remix_plugin.suites.folders import OWN_FOLDER, State, acquire

pytestmark = pytest.mark.slow

FRAMES = "experiment.max_n_frames=64"


def test_dry_run_prints_plan_and_estimate_and_starts_nothing(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_suite(tmp_path, FRAMES)
    arguments = (path, "--results", results, "--dry-run", "--processes", 2)
    assert run_suite(*arguments) == 0
    output = capsys.readouterr().out
    assert "tiny: Tiny runs, 4 runs" in output
    assert "to do     small/predator_prey-punish_2/remix/seed_0\n" in output
    assert "4 runs: 4 to do" in output
    # By runs elsewhere: 4 x (10 + 64 / 1,400) seconds for two processes
    assert "estimate: roughly 20 s with 2 at a time, by what such runs took" in output
    assert not results.exists()
    unknown = write_suite(tmp_path, name="unknown")
    assert run_suite(unknown, "--results", results, "--dry-run") == 0
    output = capsys.readouterr().out
    assert "estimate: none before a run of known length has finished" in output

    folders = folders_of(path, results)
    assert run_suite(path, "--results", results, "--only", "*/remix/seed_0") == 0
    folders[1].prepare()
    folders[2].prepare()
    folders[2].mark_failed(1)
    capsys.readouterr()
    assert run_suite(*arguments) == 0
    output = capsys.readouterr().out
    assert "finished  small/predator_prey-punish_2/remix/seed_0\n" in output
    assert "cut off   small/predator_prey-punish_2/qmix/seed_0  about 64 s" in output
    assert "failed    small/predator_prey-punish_2/remix/seed_1  about" in output
    assert "4 runs: 1 finished, 1 failed, 1 cut off, 1 to do" in output
    # 3 x 64 seconds for two processes
    assert "estimate: 2 min with 2 at a time, by the 1 finished runs" in output
    assert len(records(folders)) == 1


@pytest.mark.usefixtures("unchecked")
def test_runs_are_run_once_and_once_only(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_suite(tmp_path, FRAMES)
    two = write_suite(tmp_path, FRAMES, seeds=[1, 2], name="other")
    arguments = (one, two, "--results", results, "--processes", 2, "--threads", 1)
    assert run_suite(*arguments) == 0
    output = capsys.readouterr().out
    assert "0 of 6 runs are finished already" in output
    assert output.count(" finished small/") == 6
    assert "6 runs finished, 0 did not" in output
    # Not on a terminal: by lines.
    assert "\r" not in output
    folders = folders_of(one, results)
    before = records(folders)
    assert run_suite(*arguments) == 0
    assert "6 of 6 runs are finished already" in capsys.readouterr().out
    assert records(folders) == before


@pytest.mark.usefixtures("unchecked")
def test_failed_runs_are_listed_with_their_logs(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_suite(tmp_path, "+stand_in_fails=1")
    assert run_suite(path, "--results", results, "--processes", 2) == 1
    output = capsys.readouterr().out
    folders = folders_of(path, results)
    assert "2 runs finished, 2 did not" in output
    assert " FAILED small/predator_prey-punish_2/qmix/seed_1 (" in output
    name = "small/predator_prey-punish_2/qmix/seed_1"
    assert f"failed: {name}, log: {folders[3].log}" in output
    assert "    the reason why it failed\n" in output
    # Those alone are tried again, and their logs are kept until then.
    assert run_suite(path, "--results", results, "--dry-run") == 0
    assert folders[3].log.read_text().endswith("failed\n")
    before = records(folders)
    assert run_suite(path, "--results", results) == 1
    assert "2 of 4 runs are finished already" in capsys.readouterr().out
    assert records(folders) == before


@pytest.mark.usefixtures("unchecked")
def test_finished_runs_of_other_overrides_are_refused_before_any_starts(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_suite(tmp_path)
    only = ("--only", "*/qmix/seed_1")
    assert run_suite(path, "--results", results, *only) == 0
    capsys.readouterr()
    assert run_suite(path, "--results", results, "algorithm.gamma=0.5") == 2
    error = capsys.readouterr().err
    assert "qmix/seed_1 holds a finished run with overrides" in error
    assert "seed=1, but the suite asks for" in error
    assert "seed=1 algorithm.gamma=0.5: give another results folder" in error
    assert len(records(folders_of(path, results))) == 1
    assert not folders_of(path, results)[0].path.exists()


def test_overrides_of_the_command_line_come_last(tmp_path: Path, results: Path) -> None:
    path = write_suite(tmp_path, FRAMES, seeds=[0], algorithms=["qmix"])
    extra = ("experiment.gamma=0.5", "experiment.max_n_frames=32")
    # Before and after options, as argparse's own order is not ours.
    assert run_suite(path, extra[0], "--results", results, extra[1]) == 0
    (record,) = records(folders_of(path, results)).values()
    assert record["overrides"][-3:] == ["seed=0", *extra]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment.gama=0.5"], "cannot be run: .*gama"),
        (["--only", "nothing"], "No run matches 'nothing'"),
        (["algorithm=vdn"], "algorithm=vdn is not allowed: a run's algorithm"),
        (["--processes", "0"], "--processes 0 is not allowed: it must be >= 1"),
        (["--threads", "-1"], "--threads -1 is not allowed"),
        (["hydra.launcher.n_jobs=2"], "hydra.launcher.n_jobs=2 is for one of Hydra's"),
    ],
)
def test_what_cannot_be_run_is_refused_before_any_starts(
    tmp_path: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    path = write_suite(tmp_path, seeds=[0], algorithms=["qmix"])
    assert run_suite(path, "--results", results, *arguments) == 2
    error = capsys.readouterr().err
    assert re.search(message, error.replace("\n", " "))
    assert not results.exists()


def test_unknown_suites_are_refused(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_suite("figure_0", "--results", results) == 2
    assert "figure_1" in capsys.readouterr().err
    assert run_suite("figure_0.yaml", "--results", results) == 2
    assert run_suite("a=1", "--results", results) == 2
    assert "No suite is given" in capsys.readouterr().err


@pytest.mark.usefixtures("unchecked")
def test_second_runner_of_a_results_folder_is_refused(
    tmp_path: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("remix_plugin.commands.suite.LOCK_SECONDS", 0.1)
    path = write_suite(tmp_path)
    lock = acquire(results / OWN_FOLDER / "runner")
    assert lock is not None
    assert run_suite(path, "--results", results) == 2
    assert f"Another runner is at work in {results}" in capsys.readouterr().err
    assert not records(folders_of(path, results))
    assert run_suite(path, "--results", results, "--dry-run") == 0
    os.close(lock)
    assert run_suite(path, "--results", results, "--only", "*/qmix/seed_0") == 0


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("is_listed", [True, False])
def test_damaged_records_are_named_and_stay(
    tmp_path: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    is_listed: bool,
) -> None:
    path = write_suite(tmp_path, FRAMES)
    assert run_suite(path, "--results", results, "--only", "*/qmix/seed_1") == 0
    record = folders_of(path, results)[3].path / "run.yaml"
    json_file = next(record.parent.glob("*/*.json"))
    capsys.readouterr()
    # Of other runs of the results folder, too: estimates are by what they took.
    only = () if is_listed else ("--only", "*/remix/*")
    for damaged in (record, json_file):
        content = damaged.read_bytes()
        damaged.write_bytes(content[:-1] + b"x")
        for more in ((), ("--dry-run",)):
            assert run_suite(path, "--results", results, *only, *more) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert f"{damaged} cannot be read" in line
        damaged.write_bytes(content)
    record.unlink()
    record.mkdir()
    assert run_suite(path, "--results", results, *only) == 2
    assert f"{record} cannot be read: it is a folder" in capsys.readouterr().err
    assert json_file.is_file()


def run_forked(path: str, results: Path, log: Path, ignored: bool = False) -> int:
    """Run the script in a fork until its two runs have begun; its id."""

    def action() -> int:
        # Where tests run in the background Ctrl-C may be ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        return run_suite(path, "--results", results, "--processes", 2)

    runner = fork(action, log)
    folders = folders_of(path, results)
    wait_until(lambda: all(folder.log.is_file() for folder in folders))
    return runner


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_says_what_is_left(
    tmp_path: Path, results: Path, number: signal.Signals
) -> None:
    path = write_suite(tmp_path, "+stand_in_seconds=30", seeds=[0])
    log = tmp_path / "runner.txt"
    # At once, as the last run is being started perhaps: a fork swallows exceptions.
    runner = run_forked(path, results, log)
    os.kill(runner, number)
    assert exit_code(runner) == 130
    assert "Interrupted: 2 runs are left. Start again" in log.read_text()
    states = [folder.state() for folder in folders_of(path, results)]
    assert states == [State.CUT_OFF] * 2


@pytest.mark.usefixtures("unchecked")
def test_nohup_is_heeded(tmp_path: Path, results: Path) -> None:
    path = write_suite(tmp_path, "+stand_in_seconds=1", seeds=[0])
    runner = run_forked(path, results, tmp_path / "runner.txt", ignored=True)
    os.kill(runner, signal.SIGHUP)
    assert exit_code(runner) == 0
    assert len(records(folders_of(path, results))) == 2


def test_stand_in_counts_as_a_run_to_the_rest(tmp_path: Path, results: Path) -> None:
    # What these tests run keeps to what a run leaves behind.
    path = write_suite(tmp_path, FRAMES, seeds=[0], algorithms=["qmix"])
    assert run_suite(path, "--results", results) == 0
    (folder,) = folders_of(path, results)
    assert records([folder])[folder.run.name]["seconds"] == 64
    assert folder.frames() == 32
