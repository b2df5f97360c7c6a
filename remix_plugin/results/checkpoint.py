"""Checkpoints of runs, as far as they can be checked before they are loaded."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from benchmarl.environments import TaskClass
from benchmarl.experiment import ExperimentConfig

from remix_plugin.damaged import DamagedFileError, read_bytes, read_text, require
from remix_plugin.results.csv_log import SETTINGS_FILE, logged_file, setting

CONFIG = "config.pkl"
# What BenchMARL pickles, one after the other
PARTS = (
    *("task", "task_config", "algorithm_config", "model_config", "seed"),
    *("experiment_config", "critic_model_config", "callbacks"),
)
# What a zip file that is damaged raises
ZIP_ERRORS = (
    *(zipfile.BadZipFile, OSError, EOFError, zlib.error, ValueError),
    *(RuntimeError, NotImplementedError),
)


def check_checkpoint(path: Path) -> dict[str, Any]:
    """Check a checkpoint and the config of its run; the checkpoint's content.

    Loading the config runs whatever code it names: it must be the user's own.

    Args:
        path (Path): the checkpoint, two folders below its run's ``config.pkl``.

    Raises:
        DamagedFileError: if a checksum of PyTorch's file is wrong, it is not a run's,
            or the config is not one or is not that of the log beside it.
    """
    read_bytes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except ZIP_ERRORS as error:
        raise DamagedFileError(path, f"it is not a checkpoint, {error}") from error
    require(broken is None, path, f"the checksum of {broken} in it is another")
    _check_config(path.resolve().parent.parent)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise DamagedFileError(path, f"PyTorch does not load it, {error}") from error
    holds = isinstance(state, dict) and {"state", "collector"} <= set(state)
    require(holds, path, "it is not a checkpoint of BenchMARL")
    return dict(state)


def _check_config(folder: Path) -> None:
    """Check that BenchMARL can read a run's config, and its task by the run's log."""
    path = folder / CONFIG
    read_bytes(path)
    try:
        with path.open("rb") as file:
            parts = {name: pickle.load(file) for name in PARTS}
            is_whole = not file.read(1)
    # A pickle that is damaged can raise anything, and so can what it calls.
    except Exception as error:
        what = f"it is not a run's config, {type(error).__name__}: {error}"
        raise DamagedFileError(path, what) from error
    holds = isinstance(parts["task"], TaskClass) and type(parts["seed"]) is int
    holds = holds and isinstance(parts["experiment_config"], ExperimentConfig)
    require(holds and is_whole, path, "it is not a run's config")
    log = logged_file(folder, SETTINGS_FILE)
    if log is None:
        return
    text = read_text(log)
    for name in ("task_config", "seed"):
        given = str(parts[name])
        # Text of what has an address is another in each process.
        if " at 0x" not in given:
            holds = setting(log, text, f"^{name}: (.*)$") == given
            require(holds, path, f"its {name} is not that of {log}")
