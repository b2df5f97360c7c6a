"""What lies in a results folder besides results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from remix_plugin.suites.folders import RunFolder, State
from remix_plugin.suites.plan import Run

LOG_CHARACTERS = 3_000


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
    """
    begun = sorted(path for path in folder.glob("*/*/*/seed_*") if path.is_dir())
    runs = [_run_folder(folder, path) for path in begun]
    return [
        UnfinishedRun(run.run.name, state.value, _log_end(run.log))
        for run in runs
        if (state := run.state()) is not State.FINISHED
    ]


def composed_config(folder: Path) -> str:
    """The configuration that Hydra composed for a run; empty if it kept none."""
    path = folder / ".hydra" / "config.yaml"
    return path.read_text() if path.is_file() else ""


def _run_folder(results: Path, path: Path) -> RunFolder:
    block, task, label, seed = path.relative_to(results).parts
    # Its name is all that is needed, and the folder's is it.
    run = Run(block, task, label, int(seed.removeprefix("seed_")), overrides=())
    return RunFolder(results.absolute(), run)


def _log_end(path: Path) -> str:
    """Its last lines, without what progress bars have written over."""
    if not path.is_file():
        return ""
    # Decoded by hand: reading text would make a newline of each carriage return.
    text = path.read_bytes().decode(errors="replace").replace("\r\n", "\n")
    lines = [line.split("\r")[-1] for line in text.split("\n")]
    return "\n".join(lines).strip()[-LOG_CHARACTERS:]
