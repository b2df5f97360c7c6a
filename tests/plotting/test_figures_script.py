"""The script, from files to files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib import pyplot as plt
from synthetic_results import a_run, write_folder

from remix_plugin.results.archive import write_archive
from remix_plugin.results.run_result import RunResult

WEIGHTS = [(0, 6, 2, 0), (0, 7, 1, 0), (0, 8, 0, 0)]


@pytest.fixture
def runs() -> list[RunResult]:
    return [
        a_run(seed=0, weights=WEIGHTS, absolute=(30, 32)),
        a_run(seed=1, scores=(0, 20, 40), weights=WEIGHTS),
        a_run("qmix", seed=0),
    ]


def test_folder_and_archive_give_the_same(
    runs: list[RunResult], tmp_path: Path, run_remix: Callable[..., str]
) -> None:
    write_folder(tmp_path / "results", runs)
    write_archive(tmp_path / "results.json.gz", runs)
    printed = []
    for source, out in (("results", "a"), ("results.json.gz", "b")):
        only = ["figure_1", "figure_2", "figure_3"]
        where = tmp_path / source, "--out", tmp_path / out
        printed.append(run_remix("figures", *where, "--only", *only))
    assert printed[0] == printed[1].replace(f"{tmp_path}/b", f"{tmp_path}/a")
    names = ["figure_1_anneal_50k", "figure_3_anneal_50k"]
    written = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert written == [f"{name}.{end}" for name in names for end in ("png", "svg")]
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
        assert str(path) in printed[0]
    picture = plt.imread(tmp_path / "a" / f"{names[0]}.png")
    assert picture.shape[1] == 1400
    assert picture.std() > 0.05
    assert "Transitions: ReMIX 48. There are no runs of OW-QMIX yet." in printed[0]
    assert "figure_2: no data, it needs runs on smax/*" in printed[0]
    assert "figure_4" not in printed[0]
    assert "| ReMIX | 2 | 35.0 [30.0, 40.0] |" in printed[0]


def test_nothing_to_draw_is_an_error(
    tmp_path: Path, run_remix: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run_remix("figures", tmp_path)
    assert f"no run has ended well in {tmp_path}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run_remix("figures", tmp_path, "--only", "figure_9")
    assert "invalid choice: 'figure_9'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run_remix("figures", tmp_path / "absent")
    assert "error: There is no results folder" in capsys.readouterr().err


def test_runs_that_cannot_be_compared_are_named_before_anything_is_written(
    tmp_path: Path, run_remix: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = a_run(seed=1, overrides=["task=predator_prey/punish_2", "seed=1", "lr=1"])
    write_folder(tmp_path / "results", [a_run(), other])
    with pytest.raises(SystemExit):
        run_remix("figures", tmp_path / "results", "--out", tmp_path / "out")
    assert "remix/seed_1 had different overrides" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
