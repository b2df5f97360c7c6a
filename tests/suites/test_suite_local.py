"""Runs as processes of this machine: order, number, threads, failures, locks."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest
from tiny_suites import (
    STAND_IN,
    folders_of,
    is_alive,
    records,
    wait_until,
    write_suite,
)

from remix_plugin.suites.folders import RunFolder, State, acquire, is_held
from remix_plugin.suites.local import run_locally, start, stop

pytestmark = pytest.mark.slow


def run(folders: list[RunFolder], processes: int = 2, **options: object) -> None:
    run_locally(folders, processes=processes, threads=1, command=STAND_IN, **options)


def test_all_are_run_with_their_overrides_and_threads(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    folders = folders_of(write_suite(tmp_path), results)
    run_locally(folders, processes=2, threads=3, command=STAND_IN)
    found = records(folders)
    assert len(found) == 4
    for folder in folders:
        record = found[folder.run.name]
        assert tuple(record["overrides"]) == folder.run.overrides
        assert record["threads"] == "3"
        assert folder.state() is State.FINISHED


@pytest.mark.parametrize("processes", [1, 3])
def test_as_many_as_asked_for_run_at_a_time_in_order(
    tmp_path: Path, results: Path, processes: int
) -> None:
    # Long enough to be seen together, however slowly they start.
    seconds = 0.15 if processes == 1 else 2
    path = write_suite(tmp_path, f"+stand_in_seconds={seconds}", seeds=[0, 1, 2])
    folders = folders_of(path, results)
    most = 0
    begun: list[RunFolder] = []

    def look() -> None:
        nonlocal most
        most = max(most, sum(folder.state() is State.RUNNING for folder in folders))
        begun.extend(f for f in folders if f.path.exists() and f not in begun)

    run(folders, processes, tick=look)
    assert most == processes
    assert begun == folders


def test_what_is_finished_stays_and_the_rest_begins_anew(
    tmp_path: Path, results: Path
) -> None:
    folders = folders_of(write_suite(tmp_path), results)
    run(folders[:1])
    before = records(folders)
    left_over = folders[1].path / "old_run" / "old_run.json"
    left_over.parent.mkdir(parents=True)
    left_over.write_text("{}")
    run(folders)
    assert records(folders)[folders[0].run.name] == before[folders[0].run.name]
    for folder in folders:
        assert len(list(folder.path.glob("*/*.json"))) == 1


def test_failures_leave_their_log_and_do_not_stop_others(
    tmp_path: Path, results: Path
) -> None:
    path = write_suite(tmp_path, "+stand_in_fails=1", "+stand_in_ends_early=0")
    folders = folders_of(path, results)
    run(folders)
    assert [folder.state() for folder in folders] == [State.FAILED] * 4
    why = [(folder.path / "failed.txt").read_text() for folder in folders]
    # Without its record a run has not ended well, whatever its exit code.
    assert why == ["exit code 0\n"] * 2 + ["exit code 3\n"] * 2
    assert "the reason why it failed" in folders[3].log.read_text()
    # Started again, it is as if it had not been.
    again = folders_of(write_suite(tmp_path), results)
    run(again)
    assert [folder.state() for folder in again] == [State.FINISHED] * 4
    assert not list(results.rglob("failed.txt"))


def test_run_that_another_runs_is_waited_for(tmp_path: Path, results: Path) -> None:
    folders = folders_of(write_suite(tmp_path), results)
    lock = acquire(folders[0].lock)
    assert lock is not None
    others_done = []

    def release() -> None:
        deadline = time.monotonic() + 20
        while len(records(folders)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        others_done.append(len(records(folders)))
        assert not folders[0].path.exists()
        os.close(lock)

    thread = threading.Thread(target=release)
    thread.start()
    run(folders, 1)
    thread.join()
    assert others_done == [3]
    assert len(records(folders)) == 4


def test_run_that_another_has_finished_is_not_run(
    tmp_path: Path, results: Path
) -> None:
    folders = folders_of(write_suite(tmp_path), results)
    run(folders[:1])
    token = records(folders)[folders[0].run.name]["token"]
    # Seen as unfinished by whoever made the list, finished since.
    run([folders[0]])
    assert records(folders)[folders[0].run.name]["token"] == token
    assert not is_held(folders[0].lock)


def test_interrupt_stops_runs_and_leaves_them_cut_off(
    tmp_path: Path, results: Path
) -> None:
    folders = folders_of(write_suite(tmp_path, "+stand_in_seconds=60"), results)

    def interrupt() -> None:
        if all(folder.log.is_file() for folder in folders[:2]):
            raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(folders, tick=interrupt)
    assert time.monotonic() - begin < 20
    states = [folder.state() for folder in folders]
    assert states == [State.CUT_OFF] * 2 + [State.TO_DO] * 2


def test_what_a_stopped_process_has_started_is_killed(tmp_path: Path) -> None:
    child = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    code = (
        "import subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-S', '-c', {child!r}]); "
        "time.sleep(0.3); print(child.pid, flush=True); time.sleep(60)"
    )
    log = tmp_path / "log.txt"
    process = start([sys.executable, "-S", "-c", code], log)
    wait_until(lambda: log.read_text().endswith("\n"))
    stop(process)
    assert process.returncode == -15
    wait_until(lambda: not is_alive(int(log.read_text())), 5)


def test_process_that_ignores_kindness_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remix_plugin.suites.local.GRACE", 0.3)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('ready', flush=True); time.sleep(60)"
    )
    log = tmp_path / "log.txt"
    process = start([sys.executable, "-S", "-c", code], log)
    while "ready" not in log.read_text():
        time.sleep(0.02)
    stop(process)
    assert process.returncode == -9
