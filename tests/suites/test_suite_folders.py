"""Folders tell how far their runs have come, and what the rest will take."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_suites import folders_of, write_suite
from written_runs import RECORD

from remix_plugin.commands.suite import SuiteProgress
from remix_plugin.suites.estimate import RunTimeEstimate, duration, first_guess
from remix_plugin.suites.folders import (
    RunFolder,
    State,
    acquire,
    is_held,
    refuse_other_runs,
)
from remix_plugin.suites.record import seal_record

FRAMES = "experiment.max_n_frames=100"
OWN_FILES = {"overrides.txt", "started.txt"}


@pytest.fixture
def folders(tmp_path: Path) -> list[RunFolder]:
    """Of two runs of 100 frames each of remix and qmix."""
    return folders_of(write_suite(tmp_path, FRAMES), tmp_path / "results")


def finish(folder: RunFolder, seconds: float = 10.0, *extra: str) -> None:
    overrides = [*folder.run.overrides, *extra]
    folder.path.mkdir(parents=True, exist_ok=True)
    seal_record(folder.path, {**RECORD, "overrides": overrides, "seconds": seconds})


def write_frames(folder: RunFolder, text: str) -> None:
    path = folder.path / "run" / "run" / "scalars" / "counters_total_frames.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_states(folders: list[RunFolder]) -> None:
    folder = folders[0]
    assert folder.path.name == "seed_0"
    assert folder.state() is State.TO_DO
    lock = acquire(folder.lock)
    assert lock is not None
    folder.prepare()
    assert folder.state() is State.RUNNING
    os.close(lock)
    assert folder.state() is State.CUT_OFF
    folder.mark_failed(1)
    assert folder.state() is State.FAILED
    finish(folder)
    assert folder.state() is State.FINISHED
    assert not folder.is_failed


def test_file_systems_without_locks_are_told_of(
    folders: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="No locks available: the results folder must"):
        acquire(folders[0].lock)


def test_locks_are_of_one_holder_until_closed(folders: list[RunFolder]) -> None:
    first = acquire(folders[0].lock)
    assert first is not None
    assert acquire(folders[0].lock) is None
    assert is_held(folders[0].lock)
    other = acquire(folders[1].lock)
    assert other is not None
    os.close(other)
    os.close(first)
    assert not is_held(folders[0].lock)


def test_renewed_folder_is_empty_but_a_finished_one_stays(
    folders: list[RunFolder],
) -> None:
    folder = folders[0]
    write_frames(folder, "0,16\n")
    folder.prepare()
    assert {path.name for path in folder.path.iterdir()} == OWN_FILES
    finish(folder)
    with pytest.raises(RuntimeError, match="seed_0 holds a finished run"):
        folder.prepare()
    assert folder.is_finished


def write_checkpoints(folder: RunFolder) -> list[Path]:
    """Two checkpoints of a run, with their replay."""
    path = folder.path / "run" / "checkpoints"
    (path / "replay" / "agents").mkdir(parents=True)
    files = [path / f"checkpoint_{frames}.pt" for frames in (9_000, 10_000)]
    for file in (*files, path / "checkpoint_20000.pt.part"):
        file.write_text("")
    return files


def test_run_goes_on_from_its_last_whole_checkpoint(folders: list[RunFolder]) -> None:
    folder = folders[0]
    assert folder.checkpoint() is None
    folder.prepare()
    assert folder.checkpoint() is None
    files = write_checkpoints(folder)
    folder.mark_failed(1)
    assert folder.checkpoint() == files[-1]
    folder.prepare()
    assert not folder.is_failed
    assert folder.checkpoint() == files[-1]
    assert all(file.is_file() for file in files)


def test_run_begins_anew_if_its_checkpoints_are_of_no_use(
    folders: list[RunFolder],
) -> None:
    # Those of other overrides
    folder = folders[0]
    folder.prepare()
    write_checkpoints(folder)
    run = replace(folder.run, overrides=(*folder.run.overrides, "experiment.lr=0.1"))
    other = replace(folder, run=run)
    assert other.checkpoint() is None
    other.prepare()
    assert {path.name for path in folder.path.iterdir()} == OWN_FILES
    # Those without the replay
    files = write_checkpoints(other)
    shutil.rmtree(files[0].parent / "replay")
    assert other.checkpoint() is None
    other.prepare()
    assert {path.name for path in folder.path.iterdir()} == OWN_FILES


def test_failures_say_how(folders: list[RunFolder]) -> None:
    folders[0].prepare()
    folders[0].mark_failed(-9)
    assert (folders[0].path / "failed.txt").read_text() == "signal 9\n"
    folders[0].mark_failed(2)
    assert (folders[0].path / "failed.txt").read_text() == "exit code 2\n"


def test_frames_are_those_of_the_last_whole_line(folders: list[RunFolder]) -> None:
    folder = folders[0]
    assert folder.frames() is None
    write_frames(folder, "")
    assert folder.frames() is None
    write_frames(folder, "0,16.0\n1,32.0\n2,4")
    assert folder.frames() == 32
    write_frames(folder, "".join(f"{n},{n * 16}.0\n" for n in range(1000)))
    assert folder.frames() == 999 * 16


def test_finished_runs_with_other_overrides_are_refused(
    folders: list[RunFolder],
) -> None:
    finish(folders[0])
    refuse_other_runs(folders)
    finish(folders[1], 10.0, "algorithm.gamma=0.5")
    with pytest.raises(ValueError, match=r"qmix/seed_0 holds .*gamma=0\.5.* another"):
        refuse_other_runs(folders)


def test_checkpoints_of_other_overrides_are_refused_and_stay(
    folders: list[RunFolder],
) -> None:
    folder = folders[0]
    folder.prepare()
    run = replace(folder.run, overrides=(*folder.run.overrides, "experiment.lr=0.1"))
    other = replace(folder, run=run)
    # Without checkpoints nothing is lost.
    refuse_other_runs([other])
    files = write_checkpoints(folder)
    refuse_other_runs([folder])
    message = r"remix/seed_0 holds checkpoints of a run .* asks for .*lr=0\.1: give an"
    with pytest.raises(ValueError, match=message):
        refuse_other_runs([other])
    assert all(file.is_file() for file in files)


def test_rates_are_those_of_the_same_label_or_else_of_all(
    folders: list[RunFolder], tmp_path: Path
) -> None:
    remix, qmix = folders[:2]
    results = remix.results
    assert RunTimeEstimate(results).seconds(remix.run) is None
    assert RunTimeEstimate(results).total([(remix.run, 0)]) is None
    finish(qmix, 10.0)
    rates = RunTimeEstimate(results)
    assert rates.seconds(remix.run) == pytest.approx(10)
    finish(remix, 30.0)
    rates.add(remix.path)
    assert rates.n_runs == 2
    assert rates.seconds(remix.run) == pytest.approx(30)
    assert rates.seconds(qmix.run, 40) == pytest.approx(6)
    rest = [(remix.run, 0), (qmix.run, 40)]
    assert rates.total(rest) == pytest.approx(36)
    # One run is not shared among two processes.
    assert rates.total(rest, 2) == pytest.approx(30)
    # What a frame takes on another environment says nothing.
    elsewhere = dataclasses.replace(remix.run, task="smax/3m")
    assert rates.seconds(elsewhere) is None
    (unknown,) = folders_of(write_suite(tmp_path, seeds=[5]), results)[:1]
    assert rates.seconds(unknown.run) is None


def test_first_guess_counts_start_and_frames(folders: list[RunFolder]) -> None:
    # 100 frames each, at 1,400 a second, after 10 seconds
    run = folders[0].run
    assert first_guess([run] * 4, 2) == pytest.approx(2 * (10 + 100 / 1400))
    assert first_guess([run], 2) == pytest.approx(10 + 100 / 1400)
    assert first_guess([run, replace(run, task="smac/3m")], 1) is None
    assert first_guess([run, replace(run, overrides=())], 1) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3900, "1 h 05 min")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_progress_follows_runs_from_begin_to_end(
    folders: list[RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    # An earlier start has failed, which is no news.
    folders[0].prepare()
    folders[0].mark_failed(1)
    progress = SuiteProgress(folders[:3])

    def told() -> list[str]:
        progress.look()
        return [line[9:] for line in capsys.readouterr().out.splitlines()]

    assert told() == []
    assert progress.runs == 0
    time.sleep(0.01)
    folders[0].prepare()
    write_frames(folders[0], "0,50\n")
    folders[1].prepare()
    assert told() == []
    # Half of the first one's frames, and none of the second's
    assert progress.runs == 0.5
    finish(folders[0], 40.0)
    folders[1].mark_failed(1)
    names = [folder.run.name for folder in folders]
    assert told() == [
        f"finished {names[0]} (1/3 runs)",
        f"FAILED {names[1]} (2/3 runs)",
    ]
    assert progress.runs == 2
    assert told() == []


def test_progress_waits_while_a_folder_is_made_anew(folders: list[RunFolder]) -> None:
    folder = folders[0]
    folder.prepare()
    folder.mark_failed(1)
    progress = SuiteProgress([folder])
    # Another process removes what the last attempt has left, file by file.
    (folder.path / "started.txt").unlink()
    progress.look()
    folder.prepare()
    progress.look()
    assert progress.runs == 0
    folder.mark_failed(1)
    progress.look()
    assert progress.runs == 1


def test_frames_of_a_folder_that_vanishes_are_unknown(
    folders: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders[0].prepare()
    write_frames(folders[0], "0,90\n")
    glob = Path.glob

    def and_remove(path: Path, pattern: str) -> list[Path]:
        found = list(glob(path, pattern))
        shutil.rmtree(folders[0].path)
        return found

    assert folders[0].frames() == 90
    monkeypatch.setattr(Path, "glob", and_remove)
    assert folders[0].frames() is None
