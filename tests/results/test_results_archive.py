"""Results are the same after an archive, and archives the same from any order."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from result_folders import make_result, make_run

from remix_plugin.results.archive import read_archive, write_archive
from remix_plugin.results.reading import read_results

RESULTS = [
    make_result("remix", 10),
    make_result("remix", 2),
    make_result("qmix", 2, weights={}, absolute={}),
    make_result("owqmix", 0, frames=(), episodes={}, weights={}, absolute={}),
]


def test_results_are_read_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "results.json.gz"
    write_archive(path, RESULTS)
    assert read_archive(path) == sorted(RESULTS, key=lambda result: result.name)
    labels = [(result.label, result.seed) for result in read_archive(path)]
    assert labels == [("owqmix", 0), ("qmix", 2), ("remix", 10), ("remix", 2)]


def test_same_results_are_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = set()
    for number, results in enumerate(itertools.permutations(RESULTS)):
        monkeypatch.setattr(time, "time", lambda now=number: 1e9 + 1000 * now)
        path = tmp_path / f"{number}.json.gz"
        write_archive(path, results)
        written.add(path.read_bytes())
    assert len(written) == 1
    path = tmp_path / "again.json.gz"
    write_archive(path, read_archive(tmp_path / "0.json.gz"))
    assert {path.read_bytes()} == written
    write_archive(path, RESULTS[1:])
    assert {path.read_bytes()} != written


def test_archive_of_a_folder_is_its_results(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    weights = "group,frames,0,1,beyond\nagents,16,1,2,3\n"
    make_run(folder, weights=weights)
    make_run(folder, "block/matrix_game-qtran/remix-b/seed_3")
    path = tmp_path / "kept.json.gz"
    results = read_results(folder)
    write_archive(path, results)
    assert read_archive(path) == results
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept.json.gz", "results"]


def test_archive_is_small_and_readable_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "results.json.gz"
    write_archive(path, RESULTS)
    content = json.loads(gzip.decompress(path.read_bytes()))
    assert len(content) == 4
    assert content[2]["episodes"]["return"] == [[0.1, -2.0], [1 / 3, 1e-300]]


def test_archive_is_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.json.gz"
    write_archive(path, RESULTS)
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError("cut off")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="cut off"):
        write_archive(path, RESULTS[:1])
    assert path.read_bytes() == before


def test_archive_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_archive(tmp_path / "nowhere.json.gz")


def test_means_are_over_episodes() -> None:
    result = make_result()
    assert result.means("return") == (pytest.approx(-0.95), pytest.approx(1 / 6))
    battles = {"win_rate": ((1.0,), (1.0, 0.0), (0.0, 0.0, 1.0, 0.0))}
    assert make_result(episodes=battles).means("win_rate") == (1.0, 0.5, 0.25)
    assert make_result(episodes={"return": ()}, frames=()).means("return") == ()


def test_means_need_the_metric_and_an_episode() -> None:
    result = make_result()
    message = "anneal_50k/predator_prey-punish_2/remix/seed_0"
    with pytest.raises(
        KeyError, match=f"{message} has no 'loss': it has return, win_rate"
    ):
        result.means("loss")
    with pytest.raises(
        ValueError, match=f"{message}: an evaluation has no win_rate at"
    ):
        result.means("win_rate")
