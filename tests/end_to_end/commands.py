"""BenchMARL's commands in processes of their own, on a tiny Predator-Prey."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TINY = [
    "experiment=predator_prey",
    "task.grid_height=4",
    "task.grid_width=4",
    "task.n_predators=2",
    "task.n_prey=2",
    "task.max_steps=6",
    "experiment.max_n_frames=32",
    "experiment.off_policy_collected_frames_per_batch=16",
    "experiment.off_policy_n_envs_per_worker=4",
    "experiment.off_policy_n_optimizer_steps=2",
    "experiment.off_policy_train_batch_size=16",
    "experiment.off_policy_memory_size=64",
    "experiment.evaluation_interval=16",
    "experiment.evaluation_episodes=2",
]
TINY_MLP = [*TINY, "model.num_cells=[16]", "critic_model.num_cells=[16]"]
NO_TASK_CONFIG = "TaskConfig python dataclass not found"


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start Python in a folder and wait."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def succeed(folder: Path, *arguments: str) -> str:
    """Start Python in a folder; its output, which must be without our warning."""
    completed = start(folder, *arguments)
    output = completed.stdout + completed.stderr
    assert completed.returncode == 0, output
    assert NO_TASK_CONFIG not in output
    return output
