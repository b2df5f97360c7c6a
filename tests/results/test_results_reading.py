"""Results are read from folders of runs, made by hand and by the command itself."""

from __future__ import annotations

import csv
import importlib.metadata
import itertools
import json
import os
import platform
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from commands import TINY, TINY_MLP, succeed
from result_folders import make_run
from written_runs import RECORD, write_json

from remix_plugin.damaged import DamagedFileError
from remix_plugin.results.archive import write_archive
from remix_plugin.results.reading import read_results
from remix_plugin.results.run_result import RunResult
from remix_plugin.suites.record import (
    PACKAGES,
    read_record,
    seal_record,
    write_record,
)

pytestmark = pytest.mark.slow

TASK = "predator_prey/punish_2"
RUNS = {"remix": TINY_MLP, "qmix": [*TINY, "model.num_cells=[16]"]}
FRAMES = 32


def overrides_of(algorithm: str) -> list[str]:
    """As a suite gives them."""
    return [
        *RUNS[algorithm],
        "experiment.loggers=[csv]",
        f"task={TASK}",
        f"algorithm={algorithm}",
        "seed=7",
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, of an algorithm of ours and of one of BenchMARL's."""
    root = tmp_path_factory.mktemp("results")
    for algorithm in RUNS:
        folder = f"tiny/predator_prey-punish_2/{algorithm}/seed_7"
        succeed(
            root,
            *("-m", "remix_plugin.suites.run"),
            *overrides_of(algorithm),
            f"hydra.run.dir={folder}",
        )
    return root


@pytest.fixture(scope="module")
def results(finished: Path) -> dict[str, RunResult]:
    """Those runs by label."""
    found = read_results(finished)
    assert [result.label for result in found] == ["qmix", "remix"]
    return {result.label: result for result in found}


def only_file(folder: Path, pattern: str) -> Path:
    """The file below a folder that fits."""
    (path,) = folder.rglob(pattern)
    return path


@pytest.mark.parametrize("label", RUNS)
def test_run_is_read(label: str, finished: Path, results: dict[str, RunResult]) -> None:
    result = results[label]
    assert result.name == f"tiny/predator_prey-punish_2/{label}/seed_7"
    assert (result.block, result.task, result.seed) == ("tiny", TASK, 7)
    folder = finished / result.name
    content: Any = json.loads(only_file(folder, f"{label}*.json").read_text())
    data = content["predator_prey"]["punish_2"][label]["seed_7"]
    assert result.frames == (16, 32)
    metrics = ["return", "episode_length", "success_rate", "prey_caught"]
    assert list(result.episodes) == list(result.absolute) == metrics
    assert result.episodes["return"] == tuple(
        tuple(data[step]["return"]) for step in ("step_1", "step_2")
    )
    with only_file(folder, "evaluation_episodes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in metrics:
        values = [float(row[name]) for row in rows]
        assert result.episodes[name] == (tuple(values[:2]), tuple(values[2:4]))
        assert result.absolute[name] == tuple(values[4:])
        assert len(result.absolute[name]) == 2 * 10
    assert result.means("return") == tuple(
        pytest.approx(sum(one) / 2) for one in result.episodes["return"]
    )


def test_weights_are_read(finished: Path, results: dict[str, RunResult]) -> None:
    assert results["qmix"].weights == {}
    (group,) = results["remix"].weights
    assert group == "agents"
    counts = results["remix"].weights[group]
    with only_file(finished, "projection_weights.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    assert counts.centers == tuple(float(name) for name in names[2:-1])
    assert counts.centers == pytest.approx([i / 50 for i in range(51)])
    assert counts.frames == (16, 32)
    assert counts.counts == tuple(tuple(map(int, row[2:])) for row in rows)
    assert [sum(row) for row in counts.counts] == [2 * 16, 2 * 16]
    assert [len(row) for row in counts.counts] == [52, 52]


@pytest.mark.parametrize("label", RUNS)
def test_record_says_what_was_run_and_where(
    label: str, finished: Path, results: dict[str, RunResult]
) -> None:
    record = results[label].record
    folder = finished / results[label].name
    written = yaml.safe_load((folder / "run.yaml").read_text())
    inner = only_file(folder, f"{label}*.json").parent
    names = [f"{inner.name}.json", "evaluation_episodes.csv"]
    names += ["projection_weights.csv"] if label == "remix" else []
    vouched = ["hydra/config.yaml", *(f"{inner.name}/{name}" for name in names)]
    assert sorted(written.pop("checksums")) == sorted(vouched)
    assert record == written
    assert list(record) == [
        *("overrides", "seconds", "commit", "versions", "python", "hardware")
    ]
    assert record["overrides"] == overrides_of(label)
    assert 0 < record["seconds"] < 300
    assert record["seconds"] == round(record["seconds"], 1)
    assert re.fullmatch("[0-9a-f]{40}(, with changes)?|unknown", record["commit"])
    assert record["versions"] == {
        name: importlib.metadata.version(name) for name in PACKAGES
    }
    assert {"remix_plugin", "benchmarl", "torch"} < set(PACKAGES)
    assert record["python"] == platform.python_version()
    hardware = record["hardware"]
    assert list(hardware) == ["processor", "cores", "threads", "accelerators"]
    assert hardware["processor"]
    assert hardware["cores"] == os.cpu_count()
    assert hardware["threads"] == 1
    assert len(hardware["accelerators"]) == torch.cuda.device_count()
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize(
    "name",
    [
        "tiny/predator_prey-punish_2/remix/seed_8",
        "tiny/predator_prey-punish_0/remix/seed_7",
        "tiny/punish_2/remix/seed_7",
        "tiny/predator_prey-punish_2/remix/7",
    ],
)
def test_folder_must_be_named_after_what_was_run(
    name: str, finished: Path, results: dict[str, RunResult], tmp_path: Path
) -> None:
    shutil.copytree(finished / results["remix"].name, tmp_path / name)
    expected = tmp_path / "tiny/predator_prey-punish_2/remix/seed_7"
    message = f"holds a run of {TASK} with seed 7: it must be {expected}."
    with pytest.raises(ValueError, match=re.escape(message)):
        read_results(tmp_path)


def test_folder_may_lie_anywhere_below_the_one_that_is_read(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "a/b/block/matrix_game-qtran/remix/seed_3")
    (below,) = read_results(tmp_path)
    assert [below] == read_results(folder)
    assert (below.folder, below.block, below.label) == (folder, "block", "remix")


@pytest.mark.parametrize(
    "overrides", [("seed=3",), ("task=matrix_game/qtran",), ("task", "seed=3")]
)
def test_record_must_name_task_and_seed(
    overrides: tuple[str, ...], tmp_path: Path
) -> None:
    make_run(tmp_path, overrides=overrides)
    with pytest.raises(ValueError, match="must name task and seed"):
        read_results(tmp_path)


def test_run_has_one_result_file(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    path = only_file(folder, "*.json")
    content = path.read_text()
    (folder / "other").mkdir()
    other = folder / "other" / "other.json"
    other.write_text(content)
    with pytest.raises(DamagedFileError, match=r"other\.json .* come after the run"):
        read_results(tmp_path)
    record = {**RECORD, "overrides": ["task=matrix_game/qtran", "seed=3"]}
    seal_record(folder, record)
    with pytest.raises(ValueError, match="has 2 result files"):
        read_results(tmp_path)
    other.rename(other.with_name("wandb-summary.json"))
    seal_record(folder, record)
    assert len(read_results(tmp_path)) == 1
    path.unlink()
    with pytest.raises(DamagedFileError, match=rf"{path} cannot .* no such file"):
        read_results(tmp_path)
    seal_record(folder, record)
    with pytest.raises(ValueError, match="has 0 result files"):
        read_results(tmp_path)


def test_folder_must_exist_and_may_be_empty(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no results folder"):
        read_results(tmp_path / "nowhere")
    assert read_results(tmp_path) == []


def test_runs_that_have_not_ended_are_left_out(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    make_run(tmp_path, "block/matrix_game-qtran/owqmix/seed_3")
    assert len(read_results(tmp_path)) == 2
    (folder / "run.yaml").rename(folder / "run.yaml.part")
    (folder / "overrides.txt").touch()
    assert [result.label for result in read_results(tmp_path)] == ["owqmix"]
    labels = [run.label for run in read_results(tmp_path, unfinished=True)]
    assert labels == ["owqmix", "remix"]


def test_evaluations_are_in_the_order_of_their_frames(tmp_path: Path) -> None:
    make_run(tmp_path)
    (result,) = read_results(tmp_path)
    assert result.frames == (16, 32, 160)
    assert result.episodes == {"return": ((1.0, 2.0), (3.0, 5.0), (0.1, 0.2))}
    assert result.means("return") == (1.5, 4.0, pytest.approx(0.15))
    assert result.absolute == {"return": (3.0, 4.0, 5.0, 6.0)}
    assert result.weights == {}


def test_last_of_two_overrides_counts(tmp_path: Path) -> None:
    overrides = (
        "task=other",
        "seed=1",
        "task=matrix_game/qtran",
        "seed=3",
        "~x",
        "a=b=c",
    )
    make_run(tmp_path, overrides=overrides)
    (result,) = read_results(tmp_path)
    assert (result.task, result.seed) == ("matrix_game/qtran", 3)


def test_run_without_evaluations_is_named(tmp_path: Path) -> None:
    make_run(tmp_path, frames=())
    with pytest.raises(DamagedFileError, match=r"1234\.json .* has no evaluation"):
        read_results(tmp_path)


def test_results_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    # Paths are ordered part by part: there "remix" comes before "remix-b".
    for label in ("remix", "remix-b", "remix_b", "qmix"):
        make_run(tmp_path, f"block/matrix_game-qtran/{label}/seed_3")
    make_run(tmp_path, "a/matrix_game-qtran/vdn/seed_3")
    names = [result.name for result in read_results(tmp_path)]
    assert names == sorted(names)
    assert [name.split("/")[2] for name in names] == [
        *("vdn", "qmix", "remix-b", "remix", "remix_b")
    ]


def test_groups_have_bins_of_their_own(tmp_path: Path) -> None:
    # Bins of narrow ones that wide ones lack come after those of wide ones.
    lines = [
        "group,frames,0,2,4,beyond,1,3",
        "wide,16,1,2,3,4,,",
        "narrow,16,5,0,,6,7,8",
        "wide,32,0,0,9,0,,",
    ]
    make_run(tmp_path, weights="\n".join(lines) + "\n")
    (result,) = read_results(tmp_path)
    wide, narrow = result.weights["wide"], result.weights["narrow"]
    assert wide.centers == (0.0, 2.0, 4.0)
    assert wide.frames == (16, 32)
    assert wide.counts == ((1, 2, 3, 4), (0, 0, 9, 0))
    assert narrow.centers == (0.0, 1.0, 2.0, 3.0)
    assert narrow.counts == ((5, 7, 0, 8, 6),)


def test_record_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_record(tmp_path) is None
    write_record(tmp_path, ("a=1", "b=[2]"), 12.345, "abc")
    record = read_record(tmp_path)
    assert record is not None
    assert record["overrides"] == ["a=1", "b=[2]"]
    assert record["seconds"] == 12.3

    def fail(*_: Any) -> None:
        raise OSError("cut off")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="cut off"):
        write_record(tmp_path, ("a=2",), 1.0, "abc")
    assert read_record(tmp_path) == record


def plain_run(
    folder: Path, algorithm: str, seed: int, last: float, *overrides: str
) -> Path:
    """What ``python -m benchmarl.run`` leaves of a run; its json."""
    inner = folder / f"{algorithm}_{seed}"
    inner.mkdir(parents=True)
    (folder / ".hydra").mkdir(exist_ok=True)
    chosen = [f"algorithm={algorithm}", "task=vmas/balance", f"seed={seed}", *overrides]
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(chosen))
    path = inner / f"{inner.name}.json"
    run = ("vmas", "balance", algorithm, seed)
    write_json(path, run, (100, 200), [[1.0, 2.0], [last, last]])
    return path


def test_runs_of_benchmarl_alone_are_read_wherever_they_lie(tmp_path: Path) -> None:
    path = plain_run(tmp_path / "multirun" / "0", "qmix", 0, 3.0)
    other = plain_run(tmp_path / "multirun" / "1", "mappo", 1, 4.0)
    contents = [json.loads(one.read_text())["vmas"]["balance"] for one in (path, other)]
    merged = {"vmas": {"balance": contents[0] | contents[1]}}
    (tmp_path / "merged.json").write_text(json.dumps(merged))
    first, second = read_results(tmp_path)
    assert (first.name, second.name) == (
        "runs/vmas-balance/mappo/seed_1",
        "runs/vmas-balance/qmix/seed_0",
    )
    assert second.episodes == {"return": ((1.0, 2.0), (3.0, 3.0))}
    assert (second.frames, second.record) == ((100, 200), {})
    assert read_results(tmp_path / "merged.json") == [first, second]
    assert read_results(path) == [second]
    write_archive(tmp_path / "kept.json.gz", [first, second])
    assert read_results(tmp_path / "kept.json.gz") == [first, second]


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for number, (rate, seed) in enumerate(itertools.product((0.1, 0.01), (0, 1))):
        folder = tmp_path / "sweep" / str(number)
        plain_run(folder, "qmix", seed, number, f"experiment.lr={rate}", "a=1")
    names = [(run.label, run.seed) for run in read_results(tmp_path)]
    rates = ("qmix_lr_0.01", "qmix_lr_0.1")
    assert names == [(label, seed) for label in rates for seed in (0, 1)]
    # Where Hydra says nothing of what differs, the folders do.
    for last, name in enumerate(("new", "old")):
        plain_run(tmp_path / "folders" / name, "vdn", 0, last)
    labels = [run.label for run in read_results(tmp_path / "folders")]
    assert labels == ["vdn_new", "vdn_old"]
