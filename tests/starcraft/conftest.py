"""What the tests of StarCraft environments share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from simulated_game import SimulatedGame


@pytest.fixture
def simulated_game(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SimulatedGame]:
    """Let everything that launches StarCraft II by pysc2 launch a simulation."""
    pytest.importorskip("pysc2", reason="the simulated game speaks pysc2's protocol")
    from simulated_game import SimulatedGame

    game = SimulatedGame(tmp_path)
    monkeypatch.setattr("pysc2.run_configs.get", game.get)
    yield game
    for process in game.processes:
        process.close()
