"""Commands answer wrong arguments in one line, with exit code 2, and do nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from logged_runs import write_suite_run

RunScript = Callable[..., str]
MATRIX = "scripts/matrix_game.py"
# Of the folder `here`, with a file, a folder and results
CASES = [
    *[("figures absent", "There is no results folder"), ("figures file", "file")],
    ("figures absent.json.gz", "There is no archive"),
    ("figures folder.json.gz", "it is a folder"),
    (
        "figures results --out file",
        "--out: 'file' is not allowed: it must be a folder",
    ),
    ("figures results --out file/x", "file may not, or is none"),
    (f"figures results --out {'x' * 300}", "names of over 255 bytes"),
    ("figures results --only", "--only"),
    ("figures", "required: results"),
    *[("report absent", "it is missing"), ("report file", "it is a file")],
    ("report results --out folder", "must end in .html"),
    ("report results --out absent/x.html", "a folder that is there"),
    (f"report {'x' * 300}", "it is missing"),
    *[
        ("archive absent a.json.gz", "missing"),
        ("archive file a.json.gz", "file"),
    ],
    ("archive results folder.json.gz", "a folder that is there"),
    ("archive results a.zip", "must end in .json.gz"),
    ("archive results .json.gz", "must end in .json.gz"),
    ("archive results absent/a.json.gz", "a folder that is there"),
    ("archive folder a.json.gz", "no run has ended in folder"),
    *[("curves absent", "missing"), ("curves file", "a file")],
    ("curves folder", "No evaluation in any result file"),
    (
        "curves results --at x",
        "'x' is not allowed: it must be a whole number",
    ),
    ("curves results --at -1", "--at"),
    ("curves results --win-above nan", "it must be a finite number"),
    ("scripts/results_page.py x", "unrecognized arguments: x"),
    *[("video absent.pt", "it is missing"), ("video folder", "it is no file")],
    ("video file --out a.mp4", "must end in .gif"),
    ("video file --out absent/a.gif", "a folder that is there"),
    ("video file --seed -1", "--seed"),
    ("video file --seed 99999999999", "from 0 to 4294967295"),
    ("video file", "file cannot be read: it is not a checkpoint"),
    *[
        (f"scripts/matrix_game.py --frames {n}", "--frames: ")
        for n in ("0", "1.5", "²", "x")
    ],
    *[
        (f"scripts/matrix_game.py --seeds {n}", "--seeds: ")
        for n in ("0", "nan", "9" * 5000)
    ],
    ("scripts/matrix_game.py --algorithms remixx", "'remixx' is not one of"),
    *[
        ("benchmarks/burn_in.py --frames 0", "0"),
        ("benchmarks/burn_in.py --frames 1", "at"),
    ],
    (
        "benchmarks/gru.py --rows 0",
        "it must be a whole number >= 1",
    ),
    ("benchmarks/gru.py --steps 1", "it must be a whole number >= 5"),
    (
        "benchmarks/gru.py --device gpu",
        "'gpu' is not allowed: it must be a device of this",
    ),
    ("benchmarks/speed.py --threads 0", "it must be a whole number >= 1"),
    ("benchmarks/speed.py --device cuda:99", "it must be a device of this machine"),
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "file").write_text("a file\n")
    (folder / "folder").mkdir()
    (folder / "folder.json.gz").mkdir()
    write_suite_run(folder / "results")
    return folder


@pytest.mark.parametrize(("words", "message"), CASES, ids=[w[:50] for w, _ in CASES])
def test_wrong_arguments_are_refused_in_a_line(
    here: Path,
    run_remix: RunScript,
    run_script: RunScript,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    message: str,
) -> None:
    monkeypatch.chdir(here)
    before = sorted(here.rglob("*"))
    name, *arguments = words.split(" ")
    with pytest.raises(SystemExit) as exit_:
        (run_script if "/" in name else run_remix)(name, *arguments)
    assert exit_.value.code == 2
    *_, line = capsys.readouterr().err.splitlines()
    program = Path(name).name if "/" in name else f"remix {name}"
    assert line.startswith(f"{program}: error: ")
    assert message in line
    assert len(line) < 1_000
    assert sorted(here.rglob("*")) == before


def test_help_of_the_video_says_what_a_pickle_is(
    run_remix: RunScript, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        run_remix("video", "--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "Only for your own checkpoints" in said
    assert "is a pickle, and loading a pickle runs whatever code it names" in said
