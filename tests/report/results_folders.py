"""Results folders as suites leave them, with made-up numbers."""

from __future__ import annotations

from pathlib import Path

from written_runs import RECORD, write_results

from remix_plugin.suites.record import seal_record

FRAMES = (0, 1_000, 2_000)
CENTERS = [number / 50 for number in range(51)]


def write_run(
    root: Path,
    label: str,
    seed: int,
    *,
    task: str = "predator_prey/punish_2",
    block: str = "anneal_50k",
    weights: bool = False,
) -> Path:
    """A finished run of three evaluations with four episodes each."""
    folder = root / block / task.replace("/", "-") / label / f"seed_{seed}"
    own = folder / "made_up"
    (folder / "hydra").mkdir(parents=True)
    (folder / "hydra" / "config.yaml").write_text(f"seed: {seed}\nlabel: {label}\n")
    metric = "win_rate" if task.startswith("smax") else "success_rate"
    metrics = {
        "return": [
            [seed + 10.0 * i + episode for episode in range(4)]
            for i in range(len(FRAMES))
        ],
        "episode_length": [[200.0] * 4] * len(FRAMES),
        metric: [[0.0, 0.0, 1.0, float(i == 2)] for i in range(len(FRAMES))],
    }
    absolute = {"return": [30.0] * 40, metric: [1.0] * 40}
    environment, name = task.split("/")
    write_results(own, (environment, name, label, seed), FRAMES, metrics, absolute)
    if weights:
        columns = ["group", "frames", *(f"{c:g}" for c in CENTERS), "beyond"]
        counts = [0] * 5 + [90] + [0] * 44 + [10] + [0]
        rows = [["agents", frames, *counts] for frames in FRAMES[1:]]
        lines = [",".join(map(str, row)) for row in (columns, *rows)]
        (own / "projection_weights.csv").write_text("\n".join(lines) + "\n")
    overrides = [
        "experiment=predator_prey",
        "experiment.max_n_frames=2_000",
        "experiment.exploration_anneal_frames=50_000",
        f"task={task}",
        f"algorithm={label}",
        f"seed={seed}",
    ]
    seal_record(folder, {**RECORD, "overrides": overrides})
    return folder


def write_failed_run(root: Path, label: str = "qplex", seed: int = 0) -> Path:
    """A run that has failed, with its log."""
    folder = root / "anneal_50k" / "predator_prey-punish_2" / label / f"seed_{seed}"
    folder.mkdir(parents=True)
    (folder / "failed.txt").write_text("exit code 1\n")
    log = "  0%|   | 0/3\r 33%|#  | 1/3\nTraceback\nValueError: <b>lr</b> & so on\n"
    (folder / "log.txt").write_text(log)
    return folder


def write_all(root: Path) -> None:
    """Results for every figure of the paper, and one failed run."""
    for seed in (0, 1):
        for label in ("remix", "owqmix"):
            write_run(root, label, seed, weights=True)
            write_run(root, label, seed, task="predator_prey/punish_0")
            write_run(root, label, seed, task="smax/3m", block="smax")
        for label in ("remix_w_min_0_5", "remix_no_bellman_error"):
            write_run(root, label, seed)
    write_failed_run(root)
