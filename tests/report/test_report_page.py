"""The report as text: what it says, and that it needs nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from results_folders import FRAMES, write_failed_run, write_run
from written_runs import write_json

from remix_plugin.report.folder import unfinished_runs
from remix_plugin.report.leaders import describe_leader
from remix_plugin.report.page import write_report

pytestmark = pytest.mark.slow

RUNS = "Runs, with what each has left. "
PICTURES = [
    "figure_1_anneal_50k",
    "figure_2",
    "figure_3_anneal_50k",
    "figure_4_anneal_50k",
    "figure_5_anneal_50k",
    "final_predator_prey_anneal_50k",
    "final_battles",
    "profile_predator_prey_anneal_50k",
    "profile_battles",
]


class Page(HTMLParser):
    """Headings, cells of tables by caption, and all that a page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.tables: list[tuple[str, list[list[str]]]] = []
        self.references: list[str] = []
        self.curves: list[str] = []
        self._into: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.references += [v for k, v in attrs if k in ("src", "href") and v]
        self.curves += [v for k, v in attrs if k == "data-curves"]
        if tag == "table":
            self.tables.append(("", []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][1][-1].append("")
        elif tag in ("h1", "h2", "h3"):
            self.headings.append("")
        if tag in ("td", "th", "h1", "h2", "h3", "caption"):
            self._into = tag

    def handle_endtag(self, tag):
        if tag == self._into:
            self._into = None

    def handle_data(self, data):
        if self._into in ("td", "th"):
            self.tables[-1][1][-1][-1] += data
        elif self._into == "caption":
            caption, rows = self.tables[-1]
            self.tables[-1] = (caption + data, rows)
        elif self._into is not None:
            self.headings[-1] += data


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report.read_text())


def test_page_has_every_figure_and_part(page: Page) -> None:
    assert page.headings[0] == "Results in made <up>"
    said = " ".join(page.headings)
    for part in (
        "Returns on Predator-Prey",
        "Win rates",
        "Projection weights",
        "smallest",
        "terms",
        "Scores at the end",
        "Share of runs above",
    ):
        assert part in said
    links = [r.removeprefix("#") for r in page.references if r.startswith("#")]
    assert links == [
        "unfinished",
        "leaders",
        *PICTURES,
        "tables",
        "settings",
        "runs",
    ]


def test_page_needs_no_other_file_and_no_network(report: Path, page: Page) -> None:
    others = [r for r in page.references if not r.startswith(("data:", "#"))]
    # Links to files of runs, where they are
    assert len(others) == 2 * 16
    assert all((report.parent / unquote(target)).is_file() for target in others)
    text = re.sub(r"data:[^\"]*", "", report.read_text())
    assert not re.search(r"https?://|@import|url\((?!#)|fetch\(", text)


def test_runs_are_listed_with_their_last_return(page: Page) -> None:
    (rows,) = [rows for caption, rows in page.tables if caption.startswith(RUNS)]
    assert rows[0] == [
        "block",
        "task",
        "label",
        "seed",
        "frames",
        "last return",
        "minutes",
        "files",
    ]
    assert len(rows) == 1 + 16
    # Episodes of the last evaluation: seed + 20 to seed + 23
    own = [
        "anneal_50k",
        "predator_prey/punish_2",
        "owqmix",
        "1",
        "2,000",
        "22.50",
        "1.0",
        "json episodes ",
    ]
    assert own in rows


def test_where_runs_ran_is_counted(page: Page) -> None:
    (rows,) = [
        rows for caption, rows in page.tables if "by what they ran on" in caption
    ]
    assert [
        "commit of the plugin",
        "0123456789abcdef0123456789abcdef01234567",
        "16",
    ] in rows
    assert ["torch", "2.13.0", "16"] in rows
    assert [
        "hardware",
        "a processor <fast>, 2 cores, 1 threads per run, no GPU",
        "16",
    ] in rows


def test_page_begins_with_who_wins(report: Path) -> None:
    text = re.sub("<.*?>", "", report.read_text().partition("</dl>")[0])
    assert text.index("Who wins") < text.index(
        "predator_prey/punish_2, block anneal_50k"
    )
    # Seeds 0 and 1 of all labels end with means of 21.5 and 22.5.
    assert "At the end: ReMIX, 22.0 [21.5, 22.5]; its interval overlaps" in text
    assert "overlaps with that of OW-QMIX, 22.0 [21.5, 22.5]" in text


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"qmix": [5, 6], "vdn": [1, 2]}, "[5.0, 6.0]; no other interval reaches it."),
        (
            {"qmix": [5, 6], "vdn": [5, 5.5], "iql": [0, 1]},
            "QMIX (BenchMARL), 5.5 [5.0, 6.0]; its interval overlaps with that of VDN "
            "(BenchMARL), 5.2 [5.0, 5.5].",
        ),
        (
            {"qmix": [5, 6], "vdn": [5]},
            "; VDN (BenchMARL) with a single seed, so that the order may be chance.",
        ),
        (
            {"qmix": [7], "vdn": [5, 6]},
            "7.0; QMIX (BenchMARL) with a single seed, so that the order may be "
            "chance.",
        ),
    ],
)
def test_leader_is_told_with_those_it_cannot_be_told_from(
    scores: dict[str, list[float]], words: str
) -> None:
    arrays = {label: np.array(own, dtype=float) for label, own in scores.items()}
    assert describe_leader(arrays, 1).endswith(words)


def test_runs_of_benchmarl_alone_have_curves_scores_and_tables(tmp_path: Path) -> None:
    for label, seed in (("qmix", 0), ("qmix", 1), ("mappo", 0)):
        inner = tmp_path / "multirun" / f"{label}{seed}" / f"{label}_{seed}"
        inner.mkdir(parents=True)
        path = inner / f"{inner.name}.json"
        run = ("vmas", "balance", label, seed)
        write_json(path, run, FRAMES[1:], [[1.0, 2.0], [seed, 4.0]])
    write_report(tmp_path, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert 'href="multirun/qmix0/qmix_0/qmix_0.json"' in text
    page = Page(text)
    shown = ["Who wins", "Returns by frames", "Scores at the end of training", "Tables"]
    assert page.headings[1:] == [*shown, "Runs"]
    (rows,) = [rows for caption, rows in page.tables if "mean return" in caption]
    assert [row[:3] for row in rows[1:]] == [
        ["QMIX (BenchMARL)", "2", "2.2 [2.0, 2.5]"],
        ["MAPPO (BenchMARL)", "1", "2.0"],
    ]
    curves = [json.loads(one) for one in page.curves]
    assert [one["name"] for one in curves[0]["curves"]] == [rows[1][0], rows[2][0]]
    assert curves[0]["curves"][0]["frames"] == [1000, 2000]
    assert curves[0]["curves"][0]["high"] == [1.5, 2.5]
    assert curves[0]["curves"][1]["low"] == [None, None]


def test_composed_settings_are_there_once_per_kind(report: Path) -> None:
    text = report.read_text()
    assert text.count("label: remix_w_min_0_5") == 1
    assert text.count("label: owqmix") == 3  # on three tasks


def test_failed_run_shows_its_log_as_text(report: Path) -> None:
    text = report.read_text()
    assert "anneal_50k/predator_prey-punish_2/qplex/seed_0" in text
    assert "ValueError: &lt;b&gt;lr&lt;/b&gt; &amp; so on" in text
    assert "0/3" not in text
    assert "1 more did not" in text


def test_finished_runs_alone_leave_no_word_of_unfinished(tmp_path: Path) -> None:
    write_run(tmp_path, "remix", 0)
    write_report(tmp_path, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "not finished" not in text
    assert "more did not" not in text


def test_nothing_but_failed_runs_is_reported_too(tmp_path: Path) -> None:
    write_failed_run(tmp_path)
    write_report(tmp_path, tmp_path / "page.html")
    assert "Traceback" in (tmp_path / "page.html").read_text()


def test_folder_that_is_given_as_a_dot_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "own", "remix", 0)
    monkeypatch.chdir(tmp_path / "own")
    write_report(Path("."), Path("report.html"))
    assert "<h1>Results in own</h1>" in Path("report.html").read_text()


def test_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to report"):
        write_report(tmp_path, tmp_path / "page.html")
    with pytest.raises(FileNotFoundError, match="no results folder"):
        write_report(tmp_path / "none", tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_unfinished_runs_are_told_apart(tmp_path: Path) -> None:
    write_run(tmp_path, "remix", 0)
    write_failed_run(tmp_path, "qplex", 1)
    write_failed_run(tmp_path, "qmix", 2).joinpath("failed.txt").unlink()
    runs = unfinished_runs(tmp_path)
    names = [run.name.split("/", 2)[2] for run in runs]
    assert names == ["qmix/seed_2", "qplex/seed_1"]
    assert [run.state for run in runs] == ["cut off", "failed"]
    assert runs[0].log == "33%|#  | 1/3\nTraceback\nValueError: <b>lr</b> & so on"


def test_same_results_same_page(results_folder: Path, report: Path) -> None:
    again = results_folder / "again.html"
    write_report(results_folder, again)
    assert again.read_bytes() == report.read_bytes()


def test_script_writes_beside_the_results(
    results_folder: Path, run_remix: Callable[..., str]
) -> None:
    said = run_remix("report", results_folder)
    assert said == f"report: {(results_folder / 'report.html').resolve()}\n"


def test_script_says_what_is_wrong_with_results(
    tmp_path: Path, run_remix: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run_remix("report", tmp_path / "absent")
    assert "must be a folder, but it is missing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run_remix("report", tmp_path)
    assert f"error: No run was begun in {tmp_path}" in capsys.readouterr().err
