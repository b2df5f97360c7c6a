"""Whatever happens to a file of results, it is named, or the numbers are the same."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import written_runs
from damages import NUMBERS, damages, outcome
from logged_runs import TASK, write_log, write_suite_run, write_two_groups

from remix_plugin.damaged import DamagedFileError
from remix_plugin.plotting.learning_curves import read_curves
from remix_plugin.report.folder import composed_config
from remix_plugin.results import archive
from remix_plugin.results.archive import read_archive, write_archive
from remix_plugin.results.reading import read_results
from remix_plugin.suites.record import read_record

RunScript = Callable[..., str]
N_FLIPS = 12
IN_SUITES = (
    *("run.yaml", "hydra/config.yaml", "*/*.json"),
    *("*/evaluation_episodes.csv", "*/projection_weights.csv"),
)
IN_PLAIN_RUNS = (
    *("remix*/*.json", "masac*/*.json", "remix*/evaluation_episodes.csv"),
    *("remix*/*/texts/hparams0.txt", "remix*/*/scalars/counters_total_frames.csv"),
    *("remix*/*/scalars/timers_total_time.csv",),
    *("remix*/*/scalars/timers_iteration_time.csv",),
)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a finished run."""
    root = tmp_path_factory.mktemp("suite")
    write_suite_run(root)
    return root


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What plain runs leave: ours, and one of BenchMARL's with two groups."""
    root = tmp_path_factory.mktemp("plain")
    inner = write_suite_run(root / "suite")
    shutil.copytree(inner, root / "plain" / inner.name)
    write_two_groups(root / "plain")
    return root / "plain"


@pytest.fixture(scope="module")
def packed(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "results.json.gz"
    write_archive(path, read_results(suite))
    return path


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def count(
    path: Path, read: Callable[[], Any], variants: Iterator[tuple[str, bytes]]
) -> Counter[str]:
    """How often each outcome comes of damages to a file, which stays as it was."""
    before, content = read(), path.read_bytes()
    found: Counter[str] = Counter()
    try:
        for name, damaged in variants:
            path.write_bytes(damaged)
            how = outcome(path, read, before)
            assert how != "other numbers", f"{path.name}: {name}"
            found[how] += 1
    finally:
        path.write_bytes(content)
    assert read() == before
    return found


@pytest.mark.parametrize("pattern", IN_SUITES)
def test_any_change_of_a_suites_run_is_named(suite: Path, pattern: str) -> None:
    folder = only(suite, "block/*/remix/seed_3")
    path = only(folder, pattern)

    def read() -> Any:
        return read_results(suite), composed_config(folder)

    found = count(path, read, damages(path.read_bytes(), 1, N_FLIPS))
    assert set(found) == {"named"}
    assert found.total() >= N_FLIPS + 20


@pytest.mark.parametrize("pattern", IN_PLAIN_RUNS)
def test_damage_of_plain_runs_is_named_or_harmless(plain: Path, pattern: str) -> None:
    path = only(plain, pattern)
    variants = damages(path.read_bytes(), 2, 3 * N_FLIPS)

    def read() -> Any:
        # What is written once, such as other metrics of the csv, nothing vouches for.
        own = [(c.name, c.frames, c.episodes["return"]) for c in read_curves(plain)]
        return own, [c.record for c in read_curves(plain)]

    found = count(path, read, variants)
    assert found["named"] > 3 * found["harmless"] or "hparams" in pattern


def test_damage_of_archives_is_named_or_harmless(packed: Path) -> None:
    variants = damages(packed.read_bytes(), 3, 3 * N_FLIPS)
    found = count(packed, lambda: read_archive(packed), variants)
    # Times and names in the head of a gzip file are of no meaning.
    assert found["named"] > 10 * found["harmless"]
    text = gzip.decompress(packed.read_bytes())
    # Whoever changes a number and packs it anew has written another archive.
    whole = [(n, t) for n, t in damages(text, 4, 0) if n not in NUMBERS]
    inner = ((name, gzip.compress(damaged)) for name, damaged in whole)
    found = count(packed, lambda: read_archive(packed), inner)
    assert found == {"named": len(whole)}


def other_archives() -> Iterator[tuple[str, Callable[[dict[str, Any]], Any]]]:
    """Archives of the right form but for one thing."""
    yield "a run twice", lambda run: [run, run]
    yield "no field", lambda run: [{k: v for k, v in run.items() if k != "seed"}]
    yield "another field", lambda run: [{**run, "more": 1}]
    for field, value in (
        *(("seed", True), ("seed", -1), ("seed", "3"), ("block", ""), ("task", 3)),
        *(("block", "../../other"), ("label", "a/b"), ("frames", [16, 16, 48])),
        *(("frames", [16, 32]), ("frames", [16, 32.0, 48]), ("frames", {})),
        *(("episodes", []), ("episodes", {"return": [[1.0]]})),
        *(("episodes", {"return": [[1.0], [1], ["2"]]}), ("absolute", {"return": 1})),
        *(
            ("absolute", {"return": [True]}),
            ("weights", {"agents": {}}),
            ("record", {}),
        ),
        ("record", {**written_runs.RECORD, "seconds": -1}),
        ("record", {**written_runs.RECORD, "overrides": "seed=3"}),
        ("record", {**written_runs.RECORD, "versions": {"torch": 2.6}}),
        ("record", {**written_runs.RECORD, "hardware": {"cores": 2}}),
    ):
        yield f"{field} {value}", lambda run, f=field, v=value: [{**run, f: v}]


@pytest.mark.parametrize(
    "change", [pytest.param(change, id=name) for name, change in other_archives()]
)
def test_archives_of_other_content_are_named(
    packed: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    (run,) = json.loads(gzip.decompress(packed.read_bytes()))
    path = tmp_path / "other.json.gz"
    path.write_bytes(gzip.compress(json.dumps([run]).encode()))
    assert read_archive(path) == read_archive(packed)
    path.write_bytes(gzip.compress(json.dumps(change(run)).encode()))
    with pytest.raises(DamagedFileError, match=r"other\.json\.gz cannot be read"):
        read_archive(path)


def test_archives_are_unpacked_up_to_a_bound(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(gzip.decompress(packed.read_bytes()))
    monkeypatch.setattr(archive, "LARGEST_SIZE", size)
    assert read_archive(packed)
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b" " * (size + 1)))
    with pytest.raises(DamagedFileError, match=f"unpacks to over {size:,} bytes"):
        read_archive(path)


@pytest.mark.parametrize("pattern", IN_SUITES)
def test_what_is_missing_or_a_folder_is_named(
    suite: Path, tmp_path: Path, pattern: str
) -> None:
    root = tmp_path / "results"
    shutil.copytree(suite, root)
    path = only(root, f"block/*/remix/seed_3/{pattern}")
    path.unlink()
    if pattern != "run.yaml":
        with pytest.raises(
            DamagedFileError, match=f"{path.name} cannot .* no such file"
        ):
            read_results(root)
    path.mkdir()
    with pytest.raises(DamagedFileError, match=f"{path.name} cannot .* it is a folder"):
        read_results(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_what_may_not_be_read_is_named(suite: Path, tmp_path: Path) -> None:
    root = tmp_path / "results"
    shutil.copytree(suite, root)
    for path in (only(root, "block/*/remix/seed_3/*/*.json"), root / "block"):
        path.chmod(0)
        with pytest.raises(DamagedFileError, match=f"{path.name} .* permission denied"):
            read_results(root)
        path.chmod(0o755)


def test_records_of_other_programs_are_named(suite: Path, tmp_path: Path) -> None:
    folder = only(suite, "block/*/remix/seed_3")
    record = read_record(folder)
    assert record is not None
    path = tmp_path / "run.yaml"
    path.write_text("overrides: []\nseconds: 1.0\n")
    with pytest.raises(DamagedFileError, match=r"run\.yaml .* has no checksum"):
        read_record(tmp_path)
    # A checksum of its own, but none of results
    path.write_bytes((folder / "run.yaml").read_bytes())
    with pytest.raises(DamagedFileError, match=r"config\.yaml .* no such file"):
        read_record(tmp_path)


def test_log_of_another_run_is_named(plain: Path, tmp_path: Path) -> None:
    root = tmp_path / "plain"
    shutil.copytree(plain, root)
    inner = only(root, "remix*")
    for change, message in (
        ((*TASK, "remix", 4), "has seed 3, but .*hparams0.txt has .4"),
        ((*TASK, "qmix", 3), "has algorithm_name .remix., but"),
        (("predator_prey", "punish_0", "remix", 3), "has task_name .punish_2., but"),
        (("smax", "punish_2", "remix", 3), "has environment_name .predator_prey., but"),
    ):
        shutil.rmtree(inner / inner.name)
        write_log(inner, change)
        with pytest.raises(DamagedFileError, match=message):
            read_curves(root)


@pytest.mark.parametrize("name", ["figures", "report", "archive"])
@pytest.mark.parametrize("pattern", IN_SUITES)
def test_commands_name_damaged_files_and_exit_with_2(
    suite: Path,
    tmp_path: Path,
    run_remix: RunScript,
    capsys: pytest.CaptureFixture[str],
    name: str,
    pattern: str,
) -> None:
    path = only(suite, f"block/*/remix/seed_3/{pattern}")
    content = path.read_bytes()
    target = [tmp_path / "kept.json.gz"] if name == "archive" else []
    try:
        path.write_bytes(content[:-3])
        with pytest.raises(SystemExit, match="2"):
            run_remix(name, suite, *target)
    finally:
        path.write_bytes(content)
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "error:" in x]
    assert str(path) in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pattern", IN_PLAIN_RUNS)
def test_learning_curves_name_damaged_files_and_exit_with_2(
    plain: Path,
    run_remix: RunScript,
    capsys: pytest.CaptureFixture[str],
    pattern: str,
) -> None:
    path = only(plain, pattern)
    content = path.read_bytes()
    try:
        path.write_bytes(content[:3])
        with pytest.raises(SystemExit, match="2"):
            run_remix("curves", plain)
    finally:
        path.write_bytes(content)
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "error:" in x]
    assert str(path) in line
    assert not (plain / "learning_curves.png").exists()
