"""What is written down of a run that has ended well."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from remix_plugin.configs import config_path

RECORD = "run.yaml"
PACKAGES = ("remix_plugin", "benchmarl", "torchrl", "tensordict", "torch", "numpy")


def write_record(
    folder: Path, overrides: Sequence[str], seconds: float, commit: str
) -> None:
    """Write ``run.yaml`` of a finished run, whole or not at all.

    Args:
        folder (Path): the run's.
        overrides (sequence of str): what was run.
        seconds (float): how long it took, imports left out.
        commit (str): of the plugin when it began, see :func:`current_commit`.
    """
    record = {
        "overrides": list(overrides),
        "seconds": round(seconds, 1),
        "commit": commit,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "hardware": hardware(),
    }
    part = folder / f"{RECORD}.part"
    part.write_text(yaml.safe_dump(record, sort_keys=False))
    os.replace(part, folder / RECORD)


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a run, None if it has not ended well."""
    path = folder / RECORD
    return yaml.safe_load(path.read_text()) if path.is_file() else None


def current_commit() -> str:
    """The commit of the plugin's checkout, ``unknown`` where git tells none."""
    root = config_path("algorithm", "remix").parents[2]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return "unknown"
    head = _output([git, "-C", str(root), "rev-parse", "HEAD"])
    status = [git, "-C", str(root), "status", "--porcelain"]
    if head is None:
        return "unknown"
    return f"{head}, with changes" if _output(status) else head


def hardware() -> dict[str, Any]:
    """Processor, cores, threads in use, and accelerators."""
    cuda = torch.cuda
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerators": [cuda.get_device_name(i) for i in range(cuda.device_count())],
    }


def _processor() -> str:
    """Its name where Linux tells it, else its architecture."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def _output(command: Sequence[str]) -> str | None:
    """What a command prints, None if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
