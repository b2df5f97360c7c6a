"""The wheel carries everything that BenchMARL and Hydra look for."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import remix_plugin

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def test_wheel_has_configs_plugin_and_types(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert f"-{remix_plugin.__version__}-" in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
    page = zipfile.ZipFile(wheel).read(metadata).decode()
    # A package index shows the page without the files beside it.
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert links and all(link.startswith("https://") for link in links), links
    assert "hydra_plugins/remix_search_path.py" in names
    assert "remix_plugin/py.typed" in names
    # As a namespace package it must not have one: other plugins share the name.
    assert "hydra_plugins/__init__.py" not in names
    configs = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "benchmarl_configs").rglob("*.yaml")
    }
    assert len(configs) > 8
    assert configs <= names
    assert not [name for name in names if name.startswith(("tests", "scripts"))]
