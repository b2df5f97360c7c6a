"""What lies in a results folder besides results."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from remix_plugin.callbacks.evaluation import EPISODES_FILE
from remix_plugin.checkpoints.checkpoint_files import FOLDER as CHECKPOINTS
from remix_plugin.damaged import DamagedFileError, read_bytes, read_text
from remix_plugin.results.run_result import RunResult
from remix_plugin.suites.folders import FAILED, LOG, OVERRIDES, RunFolder, State
from remix_plugin.suites.plan import Run
from remix_plugin.suites.record import CONFIG_FILE, RECORD

LOG_CHARACTERS = 3_000
# Where a suite lets Hydra keep it, and where Hydra keeps it by itself
CONFIG_FILES = (CONFIG_FILE, ".hydra/config.yaml")


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that was begun and has not ended well.

    Attributes:
        name (str): its folder below the results folder.
        state (str): ``"failed"``, ``"cut off"`` or ``"running"``.
        log (str): the end of what it printed; empty if that is nothing.
    """

    name: str
    state: str
    log: str


def unfinished_runs(folder: Path) -> list[UnfinishedRun]:
    """The begun runs of a results folder that are not finished.

    Args:
        folder (Path): with a folder per run, see ``remix_plugin.suites.plan.Run.name``.

    Raises:
        DamagedFileError: if what is there in place of a run's folder is none.
    """
    found = sorted(folder.glob("*/*/*/seed_*"))
    runs = [_run_folder(folder, path) for path in found if _is_begun(path)]
    return [
        UnfinishedRun(run.run.name, state.value, _log_end(run.log))
        for run in runs
        if (state := run.state()) is not State.FINISHED
    ]


def composed_config(folder: Path) -> str:
    """The configuration that Hydra composed for a run; empty if it kept none."""
    paths = [folder / name for name in CONFIG_FILES if os.path.lexists(folder / name)]
    return read_text(paths[0]) if paths else ""


def files_of(run: RunResult) -> dict[str, Path]:
    """What a run has left for readers, by what a link to it is called."""
    if run.path is None or run.folder is None:
        return {}
    inner = run.path.parent
    logs = [run.folder / LOG, *sorted(run.folder.glob("*.log")), inner / inner.name]
    found = {
        "json": [run.path],
        "episodes": [inner / EPISODES_FILE],
        "log": logs,
        "checkpoints": [inner / CHECKPOINTS],
    }
    there = {name: [p for p in paths if p.exists()] for name, paths in found.items()}
    return {name: paths[0] for name, paths in there.items() if paths}


def _is_begun(path: Path) -> bool:
    """Whether a suite has begun a run there: others may name folders so, too."""
    own = (RECORD, FAILED, LOG, OVERRIDES)
    return not path.is_dir() or any((path / name).exists() for name in own)


def _run_folder(results: Path, path: Path) -> RunFolder:
    block, task, label, seed = path.relative_to(results).parts
    if not (path.is_dir() and re.fullmatch("seed_[0-9]{1,19}", seed)):
        raise DamagedFileError(path, "it is not a run's folder")
    # Its name is all that is needed, and the folder's is it.
    run = Run(block, task, label, int(seed.removeprefix("seed_")), overrides=())
    return RunFolder(results.absolute(), run)


def _log_end(path: Path) -> str:
    """Its last lines, without what progress bars have written over."""
    if not os.path.lexists(path):
        return ""
    # Decoded by hand: reading text would make a newline of each carriage return.
    text = read_bytes(path).decode(errors="replace").replace("\r\n", "\n")
    lines = [line.split("\r")[-1] for line in text.split("\n")]
    return "\n".join(lines).strip()[-LOG_CHARACTERS:]
