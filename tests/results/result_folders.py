"""Results of runs made by hand, and folders that hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from remix_plugin.results.run_result import RunResult, WeightCounts

STEPS = {
    # Not in the order of their frames, and with what is not kept
    "step_2": {"step_count": 32, "agents_return": [9.0], "return": [3.0, 5.0]},
    "step_0": {"step_count": 16, "agents_return": [9.0], "return": [1.0, 2.0]},
    "step_10": {"step_count": 160, "agents_return": [9.0], "return": [0.1, 0.2]},
}
ABSOLUTE = {"agents_return": [9.0], "return": [3.0, 4.0, 5.0]}


def make_run(
    root: Path,
    name: str = "block/matrix_game-qtran/remix/seed_3",
    *,
    overrides: tuple[str, ...] = ("task=matrix_game/qtran", "seed=3"),
    steps: dict[str, Any] = STEPS,
    weights: str | None = None,
) -> Path:
    """The folder of a finished run."""
    folder = root / name
    inner = folder / "remix_qtran_mlp__1234"
    inner.mkdir(parents=True)
    record = {"overrides": ["algorithm=remix", *overrides], "seconds": 1.5}
    (folder / "run.yaml").write_text(yaml.safe_dump(record))
    data: Any = {"absolute_metrics": ABSOLUTE, **steps}
    for key in ("seed_3", "remix", "qtran", "matrix_game"):
        data = {key: data}
    (inner / f"{inner.name}.json").write_text(json.dumps(data))
    if weights is not None:
        (inner / "projection_weights.csv").write_text(weights)
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
            "hardware": {"cores": 2, "accelerators": []},
        },
        **changes,
    }
    return RunResult(**values)
