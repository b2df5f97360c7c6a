"""Folders of runs with all that BenchMARL's csv logger leaves, too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from written_runs import RECORD, write_results

from remix_plugin.suites.record import seal_record

FRAMES = (16, 32, 48)
RETURNS = ((1.5, -2.25), (0.10000000149011612, 3.0), (40.0, 38.5))
TASK = ("predator_prey", "punish_2")
WEIGHTS = (
    "group,frames,0,0.02,1,beyond\r\nagents,16,5,90,8,0\r\nagents,32,0,70,33,1\r\n"
)


def write_log(inner: Path, run: tuple[str, str, str, int]) -> Path:
    """The csv logger's files of three iterations; their folder."""
    log = inner / inner.name
    (log / "scalars").mkdir(parents=True)
    (log / "texts").mkdir()
    seconds = [0.1, 0.30000000000000004, 1.7]
    for name, values in (
        ("counters_total_frames", map(float, FRAMES)),
        ("timers_iteration_time", seconds),
        ("timers_total_time", accumulate(seconds)),
    ):
        rows = "".join(f"{number},{value}\n" for number, value in enumerate(values))
        (log / "scalars" / f"{name}.csv").write_text(rows)
    environment, task, algorithm, seed = run
    settings = {
        "algorithm_name": algorithm,
        "environment_name": environment,
        "experiment_config": {"gamma": 0.99, "evaluation_interval": 16, "lr": 0.1},
        "seed": seed,
        "task_name": task,
    }
    text = "\n".join(f"{name}: {value}" for name, value in settings.items())
    (log / "texts" / "hparams0.txt").write_text(text)
    return log


def write_suite_run(root: Path) -> Path:
    """The folder of a suite's run; the one with its results."""
    folder = root / "block" / "-".join(TASK) / "remix" / "seed_3"
    inner = folder / "remix_punish_2_mlp__1234"
    metrics = {
        "return": RETURNS,
        "episode_length": ((6.0, 6.0), (6.0, 2.0), (1.0, 2.0)),
        "success_rate": ((0.0,), (1.0, 0.0), (1.0, 1.0)),
    }
    absolute = {"return": RETURNS[2], "success_rate": (1.0, 0.0)}
    write_results(inner, (*TASK, "remix", 3), FRAMES, metrics, absolute)
    write_log(inner, (*TASK, "remix", 3))
    (inner / "projection_weights.csv").write_bytes(WEIGHTS.encode())
    (folder / "hydra").mkdir()
    (folder / "hydra" / "config.yaml").write_text("experiment:\n  lr: 0.1\nseed: 3\n")
    task = "/".join(TASK)
    overrides = ["algorithm=remix", f"task={task}", "experiment.lr=0.1", "seed=3"]
    seal_record(folder, {**RECORD, "overrides": overrides})
    return inner


def write_two_groups(root: Path) -> Path:
    """A run of BenchMARL's own, two groups of which learn; its json."""
    inner = root / "masac_tag_mlp__5678"
    run = ("vmas", "tag", "masac", 0)
    write_log(inner, run)
    groups = {"good": ((1.0, 2.0), (0.5, 0.25)), "bad": ((-3.0, 2.5), (1.5, 0.75))}
    team = tuple(
        tuple((a + b) / 2 for a, b in zip(*pair, strict=True))
        for pair in zip(*groups.values(), strict=True)
    )
    metrics: dict[str, Sequence[Sequence[float]]] = {
        **{f"{name}_return": values for name, values in groups.items()},
        "return": team,
    }
    content: Any = {
        "absolute_metrics": {k: [max(map(max, v))] for k, v in metrics.items()},
        **{
            f"step_{number + 1}": {
                "step_count": FRAMES[number],
                **{name: values[number] for name, values in metrics.items()},
            }
            for number in range(2)
        },
    }
    for name in ("seed_0", *reversed(run[:3])):
        content = {name: content}
    path = inner / f"{inner.name}.json"
    path.write_text(json.dumps(content, indent=4))
    return path
