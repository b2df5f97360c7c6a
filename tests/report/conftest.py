"""One results folder for all tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_folders import write_all

from remix_plugin.report.page import write_report


@pytest.fixture(scope="session")
def results_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "made <up>"
    write_all(folder)
    return folder


@pytest.fixture(scope="session")
def report(results_folder: Path) -> Path:
    path = results_folder / "report.html"
    write_report(results_folder, path)
    return path
