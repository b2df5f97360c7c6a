"""Names of blocks, labels, tasks and folders are refused, or work."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import TINY_MLP
from hydra.core.override_parser.overrides_parser import OverridesParser
from tiny_suites import folders_of, read_stand_in, run_suite, write_suite

from remix_plugin.results.reading import read_results
from remix_plugin.suites.local import RUN_COMMAND
from remix_plugin.suites.plan import (
    LARGEST_SEED,
    LONGEST,
    check_results_folder,
    quoted,
    read_suite,
)

pytestmark = pytest.mark.slow

NASTY = (
    *("", ".", "..", "../x", "/etc", "a/../b", "~", "-x", ".x", "a b", " a", "a "),
    *("a'b", 'a"b', "a,b", "a=b", "${x}", "$x", "$(x)", "a\\b", "a\nb", "a\n", "a\0b"),
    *("ü", "a\u2028b", "a*", "[a]", "{a}", "a:b", "a#b", "a%2Fb", "a|b", "<b>", "a;b"),
    *("x" * (LONGEST + 1), "x" * 300),
)
FINE = ("a", "remix_w_min_0_5", "a-b", "v1.2", "7", "x" * LONGEST)
# Allowed in the path of a results folder
FOLDERS = (
    *("a'b", 'a"b', "a'b\"c", "a, b=c", "a\\", "a\\'b", "\\\\'", "'", "$x", "$$", "-x"),
    *("ü→", "{a}", "[a]", "a#b", "%(x)s", "a:b", "~", "a*?", "x" * 255),
)


def change(path: str, **fields: Any) -> str:
    """Change the block of a suite file, or name it anew."""
    content = yaml.safe_load(Path(path).read_text())
    name = fields.pop("name", "small")
    content["blocks"] = {name: {**content["blocks"]["small"], **fields}}
    Path(path).write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("name", NASTY, ids=repr)
def test_names_that_are_no_folders_are_refused(tmp_path: Path, name: str) -> None:
    path = write_suite(tmp_path)
    for fields, what in (
        ({"name": name}, "a block is named"),
        ({"algorithms": {name: ["algorithm=remix"]}}, "an algorithm is named"),
        ({"algorithms": [name]}, "an algorithm is named"),
    ):
        change(write_suite(tmp_path), **fields)
        with pytest.raises(ValueError, match=f"{what} .*: it must be at most") as error:
            read_suite(path)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 500 + len(path)
    change(write_suite(tmp_path), tasks=[f"predator_prey/{name}"])
    if not re.fullmatch(r"[a-z/]+", name):
        with pytest.raises(ValueError, match=r"a task is named .*: it must be at most"):
            read_suite(path)


@pytest.mark.parametrize("name", FINE)
def test_names_that_work(tmp_path: Path, name: str) -> None:
    algorithms = {name: ["algorithm=remix"]}
    path = change(write_suite(tmp_path), name=name, algorithms=algorithms)
    folder = folders_of(path, tmp_path / "results")[0]
    assert folder.path.relative_to(tmp_path / "results").parts == (
        *(name, "predator_prey-punish_2", name, "seed_0"),
    )
    assert len(os.fsencode(folder.lock.name)) <= 255


def test_longest_names_fit_into_that_of_a_lock(tmp_path: Path) -> None:
    name = "x" * LONGEST
    path = write_suite(tmp_path, seeds=[LARGEST_SEED])
    task = "y" * (LONGEST // 2 - 1) + "/" + "z" * (LONGEST // 2)
    change(path, name=name, algorithms={name: ["algorithm=remix"]}, tasks=[task])
    (folder,) = folders_of(path, tmp_path / "results")
    assert 200 < len(folder.lock.name) <= 255


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1, 10**400])
def test_seeds_that_no_generator_takes_are_refused(tmp_path: Path, seed: int) -> None:
    with pytest.raises(ValueError, match=r"a seed is .*: it must be from 0 to 429"):
        read_suite(write_suite(tmp_path, seeds=[seed]))


@pytest.mark.parametrize(
    "override",
    [
        *("hydra.run.dir=/elsewhere", "+hydra.output_subdir=/x", "hydra/launcher=ray"),
        *("++hydra.job.chdir=true", "experiment.lr=1\n", "a=\0", "a=\x1b[0m"),
    ],
)
def test_overrides_of_where_and_how_runs_run_are_refused(
    tmp_path: Path, override: str
) -> None:
    with pytest.raises(ValueError, match=r"overrides: .* is not allowed"):
        read_suite(write_suite(tmp_path, override))


@pytest.mark.parametrize("name", ["../smoke", "figure_1\n", "x" * 300, "a\0b", ""])
def test_suites_of_other_names_are_refused(
    results: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for word in (name, f"{name}.yaml"):
        assert run_suite(word, "--results", results) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("name", FOLDERS, ids=repr)
def test_quoted_folders_are_what_hydra_reads(name: str) -> None:
    path = Path("/results", name, "block")
    check_results_folder(path)
    override = OverridesParser.create().parse_override(f"hydra.run.dir={quoted(path)}")
    assert override.value() == str(path)


@pytest.mark.parametrize("name", ["${x}", "a${b", "a\nb", "a\tb", "\x1b", "\udcff"])
def test_folders_that_hydra_takes_for_another_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = write_suite(tmp_path)
    assert run_suite(path, "--results", tmp_path / name, "--dry-run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "The results folder" in line
    assert "is not allowed: its path must have no ${" in line
    assert [one.name for one in tmp_path.iterdir()] == ["tiny.yaml"]


@pytest.mark.usefixtures("unchecked")
def test_results_folders_that_are_none_or_too_long_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_suite(tmp_path)
    for name, message in (("tiny.yaml", "is not a folder"), ("x" * 300, "too long")):
        assert run_suite(path, "--results", tmp_path / name) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


@pytest.mark.usefixtures("unchecked")
def test_suites_in_folders_with_an_equals_sign_are_read(
    tmp_path: Path, results: Path
) -> None:
    folder = tmp_path / "a=1"
    folder.mkdir()
    path = write_suite(folder, seeds=[0], algorithms=["qmix"])
    assert run_suite(path, "--results", results, "x.y=z.yaml") == 0
    (run,) = folders_of(path, results, "x.y=z.yaml")
    assert read_stand_in(run)["overrides"] == list(run.run.overrides)


def test_a_real_run_works_in_a_folder_of_a_nasty_name(tmp_path: Path) -> None:
    root = tmp_path / "of 'Ann', \"v=1\" \\$x {ü} [b]#'"
    tiny = [override for override in TINY_MLP if not override.startswith("experiment=")]
    path = write_suite(tmp_path, *tiny, seeds=[7], algorithms=["remix"])
    assert run_suite(path, "--results", root, command=RUN_COMMAND) == 0
    (folder,) = folders_of(path, root)
    assert folder.is_finished
    assert {one.name for one in tmp_path.iterdir()} == {root.name, "tiny.yaml"}
    (result,) = read_results(root)
    assert result.name == folder.run.name
