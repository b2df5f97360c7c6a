"""What is written down of a run that has ended well."""

from __future__ import annotations

import hashlib
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

from remix_plugin.callbacks.evaluation import EPISODES_FILE
from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE
from remix_plugin.configs import config_path
from remix_plugin.damaged import (
    DamagedFileError,
    is_number,
    read_bytes,
    read_yaml,
    require,
    shown,
)
from remix_plugin.whole_files import write_bytes

RECORD = "run.yaml"
FIELDS = ("overrides", "seconds", "commit", "versions", "python", "hardware")
HARDWARE = {"processor": str, "cores": int, "threads": int, "accelerators": list}
CHECKSUMS = "checksums"
# Before the checksum of all that stands above, in the last line
SEAL = b"# sha256 of the lines above: "
CONFIG_FILE = "hydra/config.yaml"
PACKAGES = ("remix_plugin", "benchmarl", "torchrl", "tensordict", "torch", "numpy")


def write_record(
    folder: Path, overrides: Sequence[str], seconds: float, commit: str
) -> None:
    """Write ``run.yaml`` of a finished run, whole or not at all.

    With checksums of the files that hold its results, see :func:`result_files`.

    Args:
        folder (Path): the run's.
        overrides (sequence of str): what was run.
        seconds (float): how long its iterations took, evaluations among them.
        commit (str): of the plugin when it began, see :func:`current_commit`; all of
            them if it has gone on with others.
    """
    record = {
        "overrides": list(overrides),
        "seconds": round(seconds, 1),
        "commit": commit,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "hardware": hardware(),
    }
    seal_record(folder, record)


def seal_record(folder: Path, record: dict[str, Any]) -> None:
    """Write a record with checksums: of the results beside it, and its own.

    Args:
        folder (Path): the run's.
        record (dict): overrides, seconds, commit, versions, python and hardware.
    """
    files = {
        path.relative_to(folder).as_posix(): _checksum(read_bytes(path))
        for path in result_files(folder)
    }
    text = yaml.safe_dump({**record, CHECKSUMS: files}, sort_keys=False)
    body = text.encode()
    write_bytes(folder / RECORD, body + SEAL + _checksum(body).encode() + b"\n")


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a run, None if it has not ended well.

    Raises:
        DamagedFileError: if the record, or one of the files with the run's results, is
            not as it was when the run ended.
    """
    path = folder / RECORD
    if not os.path.lexists(path):
        return None
    body, seal, checksum = read_bytes(path).rpartition(SEAL)
    require(bool(seal), path, "it has no checksum, it is cut off or of another program")
    require(
        checksum == _checksum(body).encode() + b"\n",
        path,
        "it is not as it was written, its checksum is another",
    )
    record = read_yaml(path)
    require(isinstance(record, dict), path, "it is not a record")
    files = record.pop(CHECKSUMS, None)
    check_record(path, record)
    _check_files(folder, files)
    return dict(record)


def check_record(path: Path, record: Any) -> None:
    """Check what a record says, without its checksums.

    Args:
        path (Path): the file it is from.
        record (dict): see :func:`seal_record`.

    Raises:
        DamagedFileError: if a field is missing, unknown or not of its kind.
    """
    fields = set(record) if isinstance(record, dict) else set()
    listed = ", ".join(FIELDS)
    given = shown(record)
    require(fields == set(FIELDS), path, f"a record is {given}: it must have {listed}")
    machine = record["hardware"]
    machine = machine if isinstance(machine, dict) else {}
    versions = record["versions"]
    holds = {
        "overrides": _are_texts(record["overrides"]),
        "seconds": is_number(record["seconds"]) and record["seconds"] >= 0,
        "commit": isinstance(record["commit"], str),
        "versions": isinstance(versions, dict)
        and _are_texts([*versions, *versions.values()]),
        "python": isinstance(record["python"], str),
        "hardware": {name: type(value) for name, value in machine.items()} == HARDWARE
        and _are_texts(machine["accelerators"]),
    }
    for field, fits in holds.items():
        require(fits, path, f"{field} of a record is {shown(record[field])}")


def result_files(folder: Path) -> list[Path]:
    """What a record vouches for: results, and the config they were made with.

    Args:
        folder (Path): the run's.
    """
    found = [path for path in folder.glob("*/*.json") if "wandb" not in path.name]
    for name in (EPISODES_FILE, WEIGHTS_FILE):
        found += folder.glob(f"*/{name}")
    return sorted([*found, *folder.glob(CONFIG_FILE)])


def _check_files(folder: Path, checksums: Any) -> None:
    """Check that a folder's results are those that its record vouches for."""
    path = folder / RECORD
    is_mapping = isinstance(checksums, dict)
    require(is_mapping, path, "it has no checksums of the run's results")
    for file in result_files(folder):
        name = file.relative_to(folder).as_posix()
        require(name in checksums, file, f"it has come after the run: not in {RECORD}")
    for name, checksum in checksums.items():
        require(isinstance(name, str), path, f"it names a file {shown(name)}")
        file = folder / name
        if _checksum(read_bytes(file)) != checksum:
            raise DamagedFileError(
                file, f"it is not as the run left it, its checksum in {RECORD} differs"
            )


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(one, str) for one in values)


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
