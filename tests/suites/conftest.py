"""A results folder, and a runner that takes overrides as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from remix_plugin.commands import suite


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder that is not there yet, with a name that needs quotes."""
    return tmp_path / "the results, a=1"


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes a third of a second a run, and has its own tests."""
    monkeypatch.setattr(suite, "check_overrides", lambda *_, **__: None)
