"""The files of a run's folder, and how they become again what they were.

A run that goes on from a checkpoint leaves the files that an uninterrupted one leaves:
rows that were logged after the checkpoint are cut off, and what BenchMARL writes anew
whenever an experiment is made is put back as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from benchmarl.experiment import Experiment, ExperimentConfig
from torch import Tensor

from remix_plugin.checkpoints.run_logs import RunLogs
from remix_plugin.whole_files import PART, write_bytes

# Options that say where a run is, not what it is
PLACES = ("restore_file", "restore_map_location", "save_folder")
# Options on which no number of the iterations before the end depends
HARMLESS = (
    "max_n_frames",
    "max_n_iters",
    "loggers",
    "project_name",
    "wandb_extra_kwargs",
    "create_json",
    "checkpoint_interval",
    "checkpoint_at_end",
    "keep_checkpoints_num",
    "exclude_buffer_from_checkpoint",
    "train_device",
    "sampling_device",
)


class RunFiles:
    """Logs and options in the folder of a run, as they were at a checkpoint.

    Args:
        experiment (Experiment): with its logger.
        logs (RunLogs): what the logger writes.
        rows (sequence of str): further files of the folder to which rows are appended.
    """

    def __init__(
        self, experiment: Experiment, logs: RunLogs, rows: Iterable[str] = ()
    ) -> None:
        self._folder = experiment.folder_name
        self._config = experiment.config
        self._logs = logs
        self._rows = tuple(rows)
        self._options_of_start: dict[str, Tensor] = {}

    def state(self) -> dict[str, Any]:
        """What must be known of them to go on from here."""
        return {
            "steps": self._logs.steps(),
            "lengths": {self._name(p): p.stat().st_size for p in self._row_files()},
            "options": self._options(),
            "config": _described(self._config),
        }

    def show(self, state: dict[str, Any], is_own: bool) -> None:
        """Take what the json held, and undo what loading a checkpoint has written.

        Args:
            state: what :meth:`state` has returned.
            is_own (bool): whether that was for this folder.
        """
        self._logs.restore_steps(state["steps"])
        if is_own:
            self._options_of_start = self._options()
            self._put_back(state["options"])

    def check(self, state: dict[str, Any]) -> None:
        """Refuse to go on where rows that were there are missing.

        Args:
            state: what :meth:`state` has returned, for this folder.

        Raises:
            ValueError: if a file has lost rows since.
        """
        for name, length in state["lengths"].items():
            path = self._folder / name
            size = path.stat().st_size if path.is_file() else 0
            if size < length:
                raise ValueError(
                    f"{path} has {size} bytes, at the checkpoint it had {length}: rows "
                    "are missing, so the run cannot go on from there."
                )

    def changes(self, state: dict[str, Any]) -> list[str]:
        """What options were and are, where numbers may depend on it.

        Devices are left out, of which others tell.

        Args:
            state: as for :meth:`check`.
        """
        now = _described(self._config)
        return [
            f"experiment.{name} was {before}, now it is {now[name]}"
            for name, before in state["config"].items()
            if name not in HARMLESS and now[name] != before
        ]

    def go_on(self, state: dict[str, Any]) -> None:
        """Make the folder's files those of a run that has just come here.

        Args:
            state: as for :meth:`check`.
        """
        for path in self._folder.rglob(f"*{PART}"):
            path.unlink()
        for path in self._row_files():
            _cut_back(path, state["lengths"].get(self._name(path)))
        if _described(self._config) != state["config"]:
            self._put_back(self._options_of_start)

    def _row_files(self) -> list[Path]:
        own = (self._folder / name for name in self._rows)
        return [*self._logs.scalars(), *(path for path in own if path.is_file())]

    def _options(self) -> dict[str, Tensor]:
        """Bytes of the files that hold the experiment's options, uint8."""
        return {
            self._name(path): torch.tensor(list(path.read_bytes()), dtype=torch.uint8)
            for path in (self._folder / "config.pkl", *self._logs.texts())
        }

    def _put_back(self, options: dict[str, Tensor]) -> None:
        for name, content in options.items():
            write_bytes(self._folder / name, bytes(content.tolist()))

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._folder))


def _described(config: ExperimentConfig) -> dict[str, str]:
    """All options of an experiment but where it is."""
    return {
        name: repr(value) for name, value in vars(config).items() if name not in PLACES
    }


def _cut_back(path: Path, length: int | None) -> None:
    """Cut a file back to the bytes it had; remove one that was not there."""
    if length is None:
        path.unlink()
    else:
        with path.open("rb+") as file:
            file.truncate(length)
