"""A run gives the same numbers, whoever starts it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tiny_suites import LOCAL_MODES, TINY, folders_of, run_suite, write_suite

from remix_plugin.suites.folders import RunFolder
from remix_plugin.suites.local import RUN_COMMAND

pytestmark = pytest.mark.slow

THREADS = ("--threads", 1)


def results_of(folder: RunFolder) -> tuple[Any, dict[str, list[list[str]]]]:
    """The json, without its times, and the csv files but those of times."""
    (path,) = folder.path.glob("*/*.json")
    content = json.loads(path.read_text())
    scalars = sorted(folder.path.glob("*/*/scalars/*.csv"))
    tables = {
        file.name: list(csv.reader(file.open()))
        for file in (*scalars, path.parent / "evaluation_episodes.csv")
        if not file.name.startswith("timers_")
    }
    return without_times(content), tables


def without_times(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    return {k: without_times(v) for k, v in content.items() if "time" not in k}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("suite")
    return write_suite(folder, *TINY, seeds=[3], algorithms=["remix"])


@pytest.fixture(scope="module")
def local(suite: str, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    results = tmp_path_factory.mktemp("local")
    assert run_suite(suite, "--results", results, *THREADS, command=RUN_COMMAND) == 0
    return folders_of(suite, results)[0]


def test_local_run_has_numbers(local: RunFolder) -> None:
    content, tables = results_of(local)
    text = json.dumps(content)
    assert '"return"' in text and '"absolute_metrics"' in text
    assert "counters_total_frames.csv" in tables
    assert len(tables["evaluation_episodes.csv"]) > 10


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("launcher", LOCAL_MODES)
def test_launchers_give_the_same_numbers(
    suite: str, local: RunFolder, results: Path, launcher: str
) -> None:
    where = ("--results", results, "--launcher", launcher, "--processes", 1)
    assert run_suite(suite, *where, *THREADS, command=RUN_COMMAND) == 0
    assert results_of(folders_of(suite, results)[0]) == results_of(local)
