"""Killed at any moment, a runner loses the runs in flight, and nothing else."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarl.hydra_config import reload_experiment_from_file
from tiny_suites import (
    TINY,
    children,
    exit_code,
    folders_of,
    fork,
    is_alive,
    records,
    run_suite,
    wait_until,
    write_suite,
)

from remix_plugin.suites.folders import RunFolder, State, last_checkpoint
from remix_plugin.suites.local import RUN_COMMAND
from remix_plugin.suites.record import read_record

pytestmark = pytest.mark.slow

ON_LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere runs outlive a killed runner"
)
JOURNAL = "SUITE_JOURNAL"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Folders of all runs that have come to their end, those in vain too."""
    path = tmp_path / "journal.txt"
    path.touch()
    monkeypatch.setenv(JOURNAL, str(path))
    return lambda: [line.rpartition(" ")[0] for line in path.read_text().splitlines()]


def assert_each_once(folders: list[RunFolder]) -> None:
    for folder in folders:
        assert folder.state() is State.FINISHED
        # BenchMARL's folders have random names: another would be another result.
        assert len(list(folder.path.glob("*/*.json"))) == 1


@ON_LINUX
@pytest.mark.usefixtures("unchecked")
def test_ten_kills_at_random_moments_lose_and_double_nothing(
    tmp_path: Path, results: Path, journal: Callable[[], list[str]]
) -> None:
    # More than can end between the kills, even if they started in no time
    path = write_suite(tmp_path, "+stand_in_seconds=0.2", seeds=range(20))
    folders = folders_of(path, results)
    arguments = (path, "--results", results, "--processes", 2)
    log = tmp_path / "runner.txt"
    moments = random.Random(0)
    finished: dict[str, dict[str, object]] = {}
    killed_at_work = 0
    for number in range(10):
        runner = fork(lambda: run_suite(*arguments), log)
        time.sleep(moments.uniform(0.02, 0.7))
        started = children(runner)
        # Its runs first, last, or not at all: then they must die by themselves.
        victims = [[*started, runner], [runner, *started], [runner]][number % 3]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert exit_code(runner) == -signal.SIGKILL
        killed_at_work += bool(started)
        for pid in started:
            wait_until(lambda pid=pid: not is_alive(pid), 5)
        now = records(folders)
        assert {name: now[name] for name in finished} == finished
        finished = now
    assert killed_at_work >= 5
    assert 0 < len(finished) < len(folders)
    assert run_suite(*arguments) == 0
    assert_each_once(folders)
    now = records(folders)
    assert {name: now[name] for name in finished} == finished
    ended = journal()
    assert len(ended) == len(set(ended))
    assert set(ended) <= {str(folder.path) for folder in folders}


@ON_LINUX
@pytest.mark.usefixtures("unchecked")
def test_runs_die_with_a_killed_runner(
    tmp_path: Path, results: Path, journal: Callable[[], list[str]]
) -> None:
    path = write_suite(tmp_path, "+stand_in_seconds=1", seeds=[0])
    arguments = (path, "--results", results, "--processes", 2)
    runner = fork(lambda: run_suite(*arguments), tmp_path / "runner.txt")
    wait_until(lambda: len(children(runner)) == 2)
    started = children(runner)
    os.kill(runner, signal.SIGKILL)
    exit_code(runner)
    for pid in started:
        wait_until(lambda pid=pid: not is_alive(pid), 5)
    time.sleep(1.2)
    assert journal() == []
    assert not records(folders_of(path, results))


@ON_LINUX
@pytest.mark.usefixtures("unchecked")
def test_run_that_outlives_its_runner_is_not_run_again(
    tmp_path: Path,
    results: Path,
    journal: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As where the kernel does not end a run with its runner.
    monkeypatch.setattr("remix_plugin.suites.local._LIBC", None)
    path = write_suite(tmp_path, "+stand_in_seconds=2", seeds=[0])
    folders = folders_of(path, results)
    arguments = (path, "--results", results, "--processes", 2)
    runner = fork(lambda: run_suite(*arguments), tmp_path / "runner.txt")
    wait_until(lambda: all(folder.log.is_file() for folder in folders))
    wait_until(lambda: all("pid" in folder.log.read_text() for folder in folders))
    started = children(runner)
    assert len(started) == 2
    os.kill(runner, signal.SIGKILL)
    exit_code(runner)
    assert all(is_alive(pid) for pid in started)
    assert [folder.state() for folder in folders] == [State.RUNNING] * 2
    logs = [folder.log.read_text() for folder in folders]
    assert run_suite(*arguments) == 0
    assert [folder.log.read_text() for folder in folders] == logs
    assert_each_once(folders)
    assert len(journal()) == 2


@ON_LINUX
@pytest.mark.usefixtures("unchecked")
def test_real_runs_go_on_after_a_kill(tmp_path: Path, results: Path) -> None:
    longer = ("experiment.max_n_frames=160", "experiment.checkpoint_interval=16")
    path = write_suite(tmp_path, *TINY, *longer, seeds=[0])
    folders = folders_of(path, results)
    log = tmp_path / "runner.txt"
    arguments = (path, "--results", results, "--processes", 2, "--threads", 1)
    runner = fork(lambda: run_suite(*arguments, command=RUN_COMMAND), log)
    wait_until(lambda: all(folder.checkpoint() for folder in folders), 60)
    os.kill(runner, signal.SIGKILL)
    exit_code(runner)
    begun = [folder.checkpoint().parents[1] for folder in folders]
    assert not all(folder.is_finished for folder in folders)
    # The folder has come to another place, as on another machine.
    moved = results.with_name("moved results")
    results.rename(moved)
    arguments = (path, "--results", moved, "--processes", 2, "--threads", 1)
    assert run_suite(*arguments, command=RUN_COMMAND) == 0
    folders = folders_of(path, moved)
    assert_each_once(folders)
    whole = folders_of(path, tmp_path / "whole")
    arguments = (path, "--results", tmp_path / "whole", "--processes", 2)
    assert run_suite(*arguments, "--threads", 1, command=RUN_COMMAND) == 0
    for folder, other, name in zip(folders, whole, begun, strict=True):
        assert (folder.path / name.name).is_dir()
        assert steps(folder) == steps(other)
        assert "going on from" in folder.log.read_text()
        assert not list(folder.path.glob("*/checkpoints/replay"))
        # BenchMARL's evaluate.py leaves the results of both as their records have them.
        reload_experiment_from_file(str(last_checkpoint(folder.path))).evaluate()
        assert read_record(folder.path) is not None
        assert len(list(folder.path.glob("*/evaluations/frames_160.csv"))) == 1


def steps(folder: RunFolder) -> object:
    """What BenchMARL's json and our csv say of a run."""
    (json_file,) = folder.path.glob("*/*.json")
    (csv_file,) = folder.path.glob("*/evaluation_episodes.csv")
    return json_file.read_text(), csv_file.read_text()
