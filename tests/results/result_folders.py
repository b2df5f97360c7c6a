"""Results of runs made by hand, and folders that hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from written_runs import RECORD, write_results

from remix_plugin.results.run_result import RunResult, WeightCounts
from remix_plugin.suites.record import seal_record

FRAMES = (16, 32, 160)
RETURNS = ((1.0, 2.0), (3.0, 5.0), (0.1, 0.2))
ABSOLUTE = (3.0, 4.0, 5.0, 6.0)


def make_run(
    root: Path,
    name: str = "block/matrix_game-qtran/remix/seed_3",
    *,
    overrides: tuple[str, ...] = ("task=matrix_game/qtran", "seed=3"),
    frames: tuple[int, ...] = FRAMES,
    weights: str | None = None,
) -> Path:
    """The folder of a finished run."""
    folder = root / name
    inner = folder / "remix_qtran_mlp__1234"
    run = ("matrix_game", "qtran", "remix", 3)
    metrics = {"return": RETURNS[: len(frames)]}
    write_results(inner, run, frames, metrics, {"return": ABSOLUTE} if frames else {})
    if weights is not None:
        (inner / "projection_weights.csv").write_text(weights)
    chosen = ["algorithm=remix", *overrides]
    seal_record(folder, {**RECORD, "overrides": chosen, "seconds": 1.5})
    return folder


def make_result(label: str = "remix", seed: int = 0, **changes: Any) -> RunResult:
    """A result with a number of every kind."""
    values: dict[str, Any] = {
        "block": "anneal_50k",
        "task": "predator_prey/punish_2",
        "label": label,
        "seed": seed,
        "frames": (16, 32),
        "episodes": {
            "return": ((0.1, -2.0), (1 / 3, 1e-300)),
            "win_rate": ((1.0,), ()),
        },
        "absolute": {"return": (0.1 + 0.2, 2.0), "win_rate": ()},
        "weights": {
            "agents": WeightCounts(
                (0.0, 0.02, 1.0), (16, 32), ((1, 2, 3, 0), (4, 0, 0, 9))
            )
        },
        "record": {
            "overrides": ["task=predator_prey/punish_2", "seed=0"],
            "seconds": 12.5,
            "commit": "0" * 40,
            "versions": {"torch": "2.6.0"},
            "python": "3.11.7",
            "hardware": RECORD["hardware"],
        },
        **changes,
    }
    return RunResult(**values)
