"""The page of results is what the kept results make it."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from csv import DictReader
from pathlib import Path

import pytest
from results_folders import write_run

from remix_plugin.results.archive import read_archive
from remix_plugin.results.reading import read_results

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / "docs" / "results" / "predator_prey.json.gz"
PAGE = "a\n<!-- one: generated -->\nold\n<!-- end -->\nb\n<!-- two: generated -->\n"
PAGE += "<!-- end -->\n"


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What puts texts into a page's places."""
    script = ROOT / "scripts" / "results_page.py"
    monkeypatch.syspath_prepend(str(script.parent))
    return runpy.run_path(str(script))["fill"]


def test_page_regenerates_to_the_digit(run_script: Callable[..., str]) -> None:
    run_script("scripts/results_page.py", "--check")


def test_kept_weights_add_up_to_the_sampled_transitions() -> None:
    kept = [result for result in read_archive(ARCHIVE) if result.weights]
    assert kept
    for result in kept:
        # 16 updates of 512 transitions for each 2,000 frames
        sampled = result.frames[-1] // 2_000 * 16 * 512
        counts = result.weights["agents"].counts
        assert sum(sum(row) for row in counts) == sampled
        if result.label == "owqmix":
            centers = result.weights["agents"].centers
            total = [sum(column) for column in zip(*counts, strict=True)]
            assert [c for c, n in zip(centers, total, strict=False) if n] == [0.1, 1.0]
            assert total[-1] == 0


def test_texts_replace_what_stood_in_their_places(fill: Callable[..., str]) -> None:
    filled = fill(PAGE, {"one": "new\n\nlines", "two": "2"})
    assert "old" not in filled
    assert "<!-- one: generated -->\n\nnew\n\nlines\n\n<!-- end -->\nb\n" in filled
    assert fill(filled, {"one": "new\n\nlines", "two": "2"}) == filled
    # A backslash is no reference to a group.
    assert r"\1 \g<name>" in fill(PAGE, {"one": r"\1 \g<name>", "two": ""})


@pytest.mark.parametrize("texts", [{"one": ""}, {"one": "", "two": "", "three": ""}])
def test_places_and_texts_must_match(
    fill: Callable[..., str], texts: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="places for one, two: it must have"):
        fill(PAGE, texts)


def test_archive_script_keeps_all_results(
    tmp_path: Path, run_remix: Callable[..., str]
) -> None:
    results = tmp_path / "results"
    write_run(results, "remix", 0, weights=True)
    write_run(results, "qmix", 1)
    file = tmp_path / "kept.json.gz"
    assert f"{file}: 2 runs" in run_remix("archive", results, file)
    assert read_archive(file) == read_results(results)


def test_archive_script_writes_a_tidy_table_too(
    tmp_path: Path, run_remix: Callable[..., str]
) -> None:
    results, csv = tmp_path / "results", tmp_path / "kept.csv"
    write_run(results, "remix", 0)
    write_run(results, "qmix", 1)
    run_remix("archive", results, tmp_path / "kept.json.gz", "--csv", csv)
    with csv.open(newline="") as file:
        rows = list(DictReader(file))
    # Of each run three evaluations of three metrics
    assert len(rows) == 2 * 3 * 3
    last = {row["metric"]: row for row in rows if row["frames"] == "2000"}
    assert {last["return"][k] for k in ("label", "seed", "block")} == {
        *("remix", "0", "anneal_50k"),
    }
    # Episodes of 20, 21, 22 and 23
    numbers = ("mean", "std", "min", "max", "n_episodes")
    found = [float(last["return"][name]) for name in numbers]
    assert found == [21.5, pytest.approx(1.25**0.5), 20, 23, 4]
    assert list(last) == ["return", "episode_length", "success_rate"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("kept.json", "must end in .json.gz"), ("kept.json.gz", "no run has ended")],
)
def test_archive_script_refuses_what_does_not_fit(
    tmp_path: Path,
    run_remix: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    name: str,
    message: str,
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_remix("archive", tmp_path, tmp_path / name)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
