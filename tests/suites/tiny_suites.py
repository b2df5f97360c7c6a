"""Small suites, their runner within this process or a fork of it, and its traces."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from commands import TINY_MLP

from remix_plugin.commands import suite
from remix_plugin.commands.main import make_parsers
from remix_plugin.suites.folders import RunFolder, run_folders
from remix_plugin.suites.launching import PACKAGES
from remix_plugin.suites.plan import read_suite
from remix_plugin.suites.record import read_record

ROOT = Path(__file__).parents[2]
STAND_IN_FILE = Path(__file__).with_name("stand_in_run.py")
STAND_IN = (sys.executable, "-S", "-E", str(STAND_IN_FILE))
TASK = "predator_prey/punish_2"
# What a real run needs to end in a second; suites name their experiment themselves.
TINY = [override for override in TINY_MLP if not override.startswith("experiment=")]


def write_suite(
    folder: Path,
    *overrides: str,
    seeds: Sequence[int] = (0, 1),
    algorithms: Sequence[str] | dict[str, list[str]] = ("remix", "qmix"),
    name: str = "tiny",
) -> str:
    """Write a suite of one block; its path."""
    block = {
        "algorithms": algorithms if isinstance(algorithms, dict) else [*algorithms],
        "tasks": [TASK],
        "seeds": list(seeds),
        "overrides": [],
    }
    content = {
        "title": "Tiny runs",
        "overrides": ["experiment=predator_prey", *overrides],
        "blocks": {"small": block},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def folders_of(path: str, results: Path, *extra: str) -> list[RunFolder]:
    """Folders of all runs of a suite."""
    return run_folders(results, read_suite(path, extra).runs)


def run_suite(*arguments: object, command: Sequence[str] = STAND_IN) -> int:
    """The subcommand, in this process."""
    _, parsers = make_parsers()
    args = parsers["suite"].parse_intermixed_args([str(a) for a in arguments])
    return suite.run_suites(args, command=command)


def fork(action: Callable[[], int], log: Path) -> int:
    """Do something in a fork of this process, which has imported all; its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        code = action()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def exit_code(pid: int) -> int:
    """Wait for a fork."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def records(folders: Sequence[RunFolder]) -> dict[str, dict[str, object]]:
    """The records of those that are finished, by name."""
    return {
        folder.run.name: read_stand_in(folder)
        for folder in folders
        if folder.is_finished
    }


def read_stand_in(folder: RunFolder) -> dict[str, object]:
    """The record of a stand-in, with its token and its threads."""
    record = read_record(folder.path)
    assert record is not None
    threads = str(record["hardware"]["threads"])
    return {**record, "token": record["commit"], "threads": threads}


def children(pid: int) -> set[int]:
    """Processes that a process has started, by Linux."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.add(int(path.parent.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs still."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until(happened: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something, at most so long."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "waited for too long"
        time.sleep(0.02)


def needs(launcher: str) -> pytest.MarkDecorator:
    module = f"hydra_plugins.{PACKAGES[launcher].replace('-', '_')}"
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None,
        reason=f"{PACKAGES[launcher]} is not installed",
    )


LOCAL_MODES = [
    pytest.param(name, marks=needs(name))
    for name in ("joblib", "submitit_local", "ray")
]
