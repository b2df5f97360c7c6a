"""What ``make figure-*`` does: suites, then figures, then the report, come what may."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_suites import ROOT, TINY, write_suite

GOOD = {"vdn": ["algorithm=vdn"]}
# Within its range, but after two updates nothing is finite.
BROKEN = {"broken": ["algorithm=qmix", "experiment.lr=1.0e+30"]}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("make") is None, reason="needs make"),
]


def make(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run make with this Python, in no need of being set up."""
    stamp = folder / "set-up"
    stamp.touch()
    given = f"BIN={Path(sys.executable).parent}", f"STAMP={stamp}"
    command = ["make", "-C", str(ROOT), *given, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "suites", "results"),
    [
        (("figure-4",), "figure_4", "results/paper"),
        (("figure-1", "SCALE=smoke"), "smoke smoke_punishments", "results/smoke"),
        (("figure-3", "RESULTS=r"), "figure_3", "r"),
    ],
)
def test_each_figure_has_its_suite_and_folder(
    tmp_path: Path, words: tuple[str, ...], suites: str, results: str
) -> None:
    recipe = make(tmp_path, "--dry-run", *words).stdout
    assert f'remix suite {suites} --results "{results}" ' in recipe
    assert f'remix figures "{results}" --out "{results}/figures"' in recipe
    assert f'remix report "{results}"' in recipe


def test_runs_and_figures_that_fail_make_it_fail_after_the_report(
    tmp_path: Path,
) -> None:
    results = tmp_path / "results"
    suite = write_suite(tmp_path, *TINY, seeds=[0], algorithms=GOOD | BROKEN)
    done = make(tmp_path, "figure-4", f"SUITES={suite}", f"RESULTS={results}")
    assert done.returncode != 0
    assert "1 runs finished, 1 did not" in done.stdout
    assert list(results.glob("figures/*.png"))
    page = (results / "report.html").read_text()
    assert "small/predator_prey-punish_2/broken/seed_0" in page

    # Nothing is left to run or fails, but figures have no folder to go to.
    suite = write_suite(tmp_path, *TINY, seeds=[0], algorithms=GOOD)
    shutil.rmtree(results / "figures")
    (results / "figures").touch()
    (results / "report.html").unlink()
    done = make(tmp_path, "figure-4", f"SUITES={suite}", f"RESULTS={results}")
    assert "figures may not, or is none" in done.stderr
    assert done.returncode != 0
    assert (results / "report.html").is_file()


def test_refused_suites_end_it(tmp_path: Path) -> None:
    results = tmp_path / "results"
    suite = write_suite(tmp_path, algorithms=[])
    done = make(tmp_path, "figure-4", f"SUITES={suite}", f"RESULTS={results}")
    assert done.returncode != 0
    assert "algorithms is []: it must have one" in done.stderr
    assert "remix figures" not in done.stderr
    assert not results.exists()


def test_unknown_scales_are_refused(tmp_path: Path) -> None:
    done = make(tmp_path, "figure-1", "SCALE=Smoke")
    assert done.returncode != 0
    assert "SCALE=Smoke is not allowed: it must be smoke" in done.stderr
    assert "remix suite" not in done.stdout
