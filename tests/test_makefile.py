"""What ``make figure-*`` does around the scripts, which stand-ins take the place of."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(folder: Path, *words: str, **codes: int) -> tuple[int, list[str], str]:
    """Exit code, scripts that were started, and what went to stderr.

    Keyword Args:
        **codes (int): what scripts end with, by the stems of their names; else 0.
    """
    stand_in = folder / "bin" / "python"
    stand_in.parent.mkdir()
    cases = "".join(f"*/{name}.py) exit {code} ;; " for name, code in codes.items())
    log = folder / "log"
    stand_in.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\ncase $1 in {cases} *) exit 0 ;; esac\n'
    )
    stand_in.chmod(0o755)
    # Newer than what it depends on: nothing is set up.
    (folder / "set-up").touch()
    given = f"BIN={stand_in.parent}", f"STAMP={folder / 'set-up'}"
    command = ["make", "-s", "-C", str(ROOT), *given, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = log.read_text().splitlines() if log.is_file() else []
    return done.returncode, lines, done.stderr


@pytest.mark.parametrize(
    ("words", "suites", "results"),
    [
        (("figure-4",), "figure_4", "results/paper"),
        (("figure-1", "SCALE=smoke"), "smoke smoke_punishments", "results/smoke"),
        (("figure-3", "RESULTS=r"), "figure_3", "r"),
    ],
)
def test_runs_then_figures_then_report(
    tmp_path: Path, words: tuple[str, ...], suites: str, results: str
) -> None:
    code, lines, _ = make(tmp_path, *words)
    assert code == 0
    assert lines == [
        f"scripts/suite.py {suites} --results {results} --processes 2 --threads 1",
        f"scripts/figures.py {results} --out {results}/figures",
        f"scripts/report.py {results}",
    ]


@pytest.mark.parametrize("codes", [{"suite": 1}, {"suite": 1, "figures": 2}])
def test_failed_runs_are_reported_and_make_fails(
    tmp_path: Path, codes: dict[str, int]
) -> None:
    code, lines, _ = make(tmp_path, "figure-1", **codes)
    assert code != 0
    assert len(lines) == 3


@pytest.mark.parametrize("suite", [2, 130])
def test_suite_that_was_refused_or_interrupted_ends_it(
    tmp_path: Path, suite: int
) -> None:
    code, lines, _ = make(tmp_path, "figure-1", suite=suite)
    assert code != 0
    assert len(lines) == 1


@pytest.mark.parametrize("script", ["figures", "report"])
def test_figures_and_report_that_fail_make_it_fail(tmp_path: Path, script: str) -> None:
    code, lines, _ = make(tmp_path, "figure-1", **{script: 2})
    assert code != 0
    assert len(lines) == 3


def test_unknown_scales_are_refused(tmp_path: Path) -> None:
    code, lines, error = make(tmp_path, "figure-1", "SCALE=Smoke")
    assert code != 0
    assert not lines
    assert "SCALE=Smoke is not allowed: it must be smoke" in error
