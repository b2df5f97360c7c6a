"""The checkpoints of a run on disk: which are kept, and the replay that they share."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from benchmarl.experiment import Experiment
from torchrl.data import LazyMemmapStorage

from remix_plugin.checkpoints.replay_files import ReplayFiles
from remix_plugin.whole_files import write_whole

FOLDER = "checkpoints"
REPLAY = "replay"
STATE_KEY = "checkpoint_files"


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints in a run's folder, in the order in which they were made."""
    found = [
        path
        for path in (folder / FOLDER).glob("checkpoint_*.pt")
        if re.fullmatch(r"checkpoint_\d+\.pt", path.name)
    ]
    return sorted(found, key=_frames)


def has_replay(checkpoint: Path) -> bool:
    """Whether a run can go on exactly from a checkpoint, by what lies beside it."""
    return (checkpoint.parent / REPLAY).is_dir()


def remove_replay(folder: Path) -> None:
    """Remove the replay of a run that will not go on; its checkpoints stay."""
    replay = folder / FOLDER / REPLAY
    if replay.exists():
        shutil.rmtree(replay)


class CheckpointFiles:
    """Writes checkpoints, whole or not at all, and removes those that are not kept.

    Rows of the replay are kept beside them, as ``experiment.config`` says; each is
    written once, see :mod:`~.replay_files`.

    Args:
        experiment (Experiment): with its replay buffers.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._folder = experiment.folder_name / FOLDER
        self._replay = {
            group: ReplayFiles(self._folder / REPLAY / quote(group, safe=""), buffer)
            for group, buffer in experiment.replay_buffers.items()
        }
        # Frames and replay of each checkpoint that is kept, in their order
        self._kept: list[dict[str, Any]] = []
        self._missing: list[Path] = []
        # Those on disk, until the run goes on
        self._waiting: list[tuple[ReplayFiles, dict[str, Any], Path]] = []

    def save(self) -> None:
        """Write a checkpoint, in place of ``Experiment._save_experiment``.

        Raises:
            OSError: if it cannot be written; the ones before stay.
        """
        experiment = self._experiment
        frames, keep = experiment.total_frames, experiment.config.keep_checkpoints_num
        self._folder.mkdir(exist_ok=True)
        content = experiment.state_dict()
        replay = {}
        if not experiment.config.exclude_buffer_from_checkpoint:
            replay = {group: files.save() for group, files in self._replay.items()}
            content |= {f"buffer_{group}": None for group in replay}
        own = {
            "frames": frames,
            "files": {group: state["files"] for group, state in replay.items()},
        }
        kept = [*(one for one in self._kept if one["frames"] != frames), own]
        dropped = kept[:-keep] if keep else []
        kept = kept[len(dropped) :]
        content[STATE_KEY] = {"kept": kept, "replay": replay}
        write_whole(self._path(frames), lambda file: torch.save(content, file))
        self._kept = kept
        self._remove([one["frames"] for one in dropped])

    def load(self, state: dict[str, Any], is_own: bool) -> None:
        """Fill replay buffers with what a checkpoint says of them.

        A replay that was removed as a whole is told of when the run is to go on: to
        evaluate a checkpoint nobody needs it. One that is to lie on disk
        (``experiment.buffer_device=disk``) is filled only then, as its files are in the
        run's folder.

        Args:
            state: the entry ``STATE_KEY`` of a checkpoint.
            is_own (bool): whether it lies in this folder, so that its files can be used
                by later checkpoints.

        Raises:
            ValueError: if a buffer has another size.
            FileNotFoundError: if a part of the replay is missing.
        """
        source = Path(self._experiment.config.restore_file).resolve().parent / REPLAY
        for group, replay in state["replay"].items():
            folder = source / quote(group, safe="")
            if replay["files"] and not folder.is_dir():
                self._missing.append(folder)
            elif isinstance(self._replay[group].buffer.storage, LazyMemmapStorage):
                self._waiting.append((self._replay[group], replay, folder))
            else:
                self._replay[group].load(replay, folder)
        self._kept = state["kept"] if is_own else []

    def complete_replay(self) -> None:
        """Fill what :meth:`load` has left, or refuse to go on without it.

        What a run that was cut off has left of its replay on disk is removed.

        Raises:
            FileNotFoundError: if the replay of what was loaded was removed.
            ValueError: if a buffer has another size.
        """
        if self._missing:
            raise FileNotFoundError(
                f"{self._missing[0]} is missing: it held the replay buffer, without "
                "which the run cannot go on from its checkpoint."
            )
        for files, replay, folder in self._waiting:
            left = Path(files.buffer.storage.scratch_dir)
            if left.exists():
                shutil.rmtree(left)
            files.load(replay, folder)
        self._waiting = []

    def go_on(self) -> list[Path]:
        """Remove checkpoints that are not among those kept when one was loaded.

        Returns:
            list of Path: those that were made later in the same run.
        """
        kept = {one["frames"] for one in self._kept}
        others = [
            path
            for path in checkpoints(self._folder.parent)
            if _frames(path) not in kept
        ]
        for path in others:
            path.unlink()
        return [path for path in others if _frames(path) > max(kept)]

    def last(self) -> Path | None:
        """The newest checkpoint, None before the first."""
        return self._path(self._kept[-1]["frames"]) if self._kept else None

    def _path(self, frames: int) -> Path:
        """BenchMARL's name of a checkpoint."""
        return self._folder / f"checkpoint_{frames}.pt"

    def _remove(self, frames: list[int]) -> None:
        for number in frames:
            self._path(number).unlink(missing_ok=True)
        for group, files in self._replay.items():
            needed = [one["files"].get(group, []) for one in self._kept]
            files.remove_all_but(needed)


def _frames(checkpoint: Path) -> int:
    """Frames after which a checkpoint was made."""
    return int(checkpoint.stem.rpartition("_")[2])
