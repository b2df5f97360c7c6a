"""Runs that are cut off go on exactly where their last checkpoint was made."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from torchrl import __version__ as torchrl_version
from torchrl.collectors import SyncDataCollector

from remix_plugin.callbacks.attaching import RunCallback
from remix_plugin.callbacks.evaluation import EPISODES_FILE
from remix_plugin.checkpoints import checkpoint_files
from remix_plugin.checkpoints.checkpoint_files import CheckpointFiles
from remix_plugin.checkpoints.collection import (
    check_torchrl,
    collection,
    restore_collection,
)
from remix_plugin.checkpoints.learners import learners, restore_learners
from remix_plugin.checkpoints.run_files import RunFiles
from remix_plugin.checkpoints.run_logs import RunLogs

STATE_KEY = "exact_resume"

logger = logging.getLogger("remix_plugin.resume")


class ExactResume(RunCallback):
    """Makes a run that goes on from a checkpoint the run that it would have been.

    BenchMARL's checkpoints hold parameters, counters and the replay. This adds all else
    that the rest of a run depends on: optimizers, the count to the next hard target
    update, random generators, what collection and evaluation have under way, and the
    results so far. Killed at any moment and continued by ``resume.py`` from its last
    checkpoint, a run then ends with the parameters, the json and the logs (but for
    times) that it would have ended with, bit for bit: on the same device, with as many
    threads, with the replay among its checkpoints.

    - Checkpoints and the json are written whole or not at all. Older checkpoints are
      removed when the new one is there, those from before a run was cut off too.
    - Rows of the replay are written once, into ``checkpoints/replay``, however many
      checkpoints share them.
    - When a run goes on, what its folder has of later than the checkpoint is removed.
    - An experiment that was loaded, or has ended, and is evaluated changes neither json
      nor csv of its run; :class:`~.evaluation.EvaluationRecorder` keeps the episodes
      beside them.

    Episodes go on where the environment tells its state, see
    :mod:`remix_plugin.checkpoints.collection`: this plugin's do, but for SMAC's. Others
    begin anew, with a warning. Algorithms that collect with gradients are left alone.

    Raises:
        RuntimeError: at setup, if TorchRL is not of version 0.11.
        OSError: if a checkpoint cannot be written; the one before stays.
        ValueError: when loaded, if the replay had another size; when a run goes on, if
            a log is shorter than it was.
        FileNotFoundError: when loaded, if a part of the replay is missing; when a run
            goes on, if all of it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_set_up = False
        self._loaded: dict[str, Any] | None = None

    def on_setup(self) -> None:
        """Take over what BenchMARL writes, and note when a run begins and ends."""
        experiment = self.experiment
        if experiment.config.collect_with_grad:
            return
        check_torchrl()
        self._logs = RunLogs(experiment.logger)
        self._files = RunFiles(experiment, self._logs, [EPISODES_FILE])
        self._checkpoints = CheckpointFiles(experiment)
        # Of this experiment alone: BenchMARL then calls ours.
        experiment._save_experiment = self._checkpoints.save
        self._collector = experiment.collector
        experiment.collector = _Collector(
            self._collector, begin=self._begin, end=self._logs.close
        )
        self._is_set_up = True

    def on_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put into a checkpoint what BenchMARL leaves out."""
        if self._is_set_up:
            state_dict[STATE_KEY] = {
                "learners": learners(self.experiment),
                "collection": collection(self._collector, self.experiment.test_env),
                "files": self._files.state(),
                "conditions": self._conditions(),
            }

    def on_load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take from a checkpoint what can be taken before a run goes on."""
        if not self._is_set_up:
            return
        self._logs.close()
        if STATE_KEY not in state_dict or checkpoint_files.STATE_KEY not in state_dict:
            warnings.warn(
                f"{self.experiment.config.restore_file} was not made by the plugin's "
                "ExactResume: a run that goes on from it is another run.",
                stacklevel=2,
            )
            return
        self._loaded = state_dict[STATE_KEY]
        restore_learners(self.experiment, self._loaded["learners"])
        self._files.show(self._loaded["files"], self._is_own_folder)
        files = state_dict[checkpoint_files.STATE_KEY]
        self._checkpoints.load(files, self._is_own_folder)
        self._has_replay = bool(files["replay"])

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint of the run, None before the first."""
        return self._checkpoints.last() if self._is_set_up else None

    @property
    def _is_own_folder(self) -> bool:
        """Whether the checkpoint that was loaded lies in the run's own folder."""
        loaded = Path(self.experiment.config.restore_file).resolve()
        return loaded.parents[1] == self.experiment.folder_name.resolve()

    def _begin(self) -> None:
        """Go on from what was loaded, at the last moment before collection.

        That is after ``Experiment.run`` has seeded all generators.
        """
        state, self._loaded = self._loaded, None
        if state is not None:
            # All that may be refused comes before results in the folder change.
            if self._is_own_folder:
                self._files.check(state["files"])
            self._checkpoints.complete_replay()
            goes_on = restore_collection(
                self._collector, self.experiment.test_env, state["collection"]
            )
            if self._is_own_folder:
                # Later checkpoints first: the logs do not fit them once they are cut.
                for path in self._checkpoints.go_on():
                    logger.info("removed %s, which was made later", path)
                self._files.go_on(state["files"])
            self._warn(state, goes_on)
            logger.info("going on from %s", self.experiment.config.restore_file)
        self._logs.open()

    def _warn(self, state: dict[str, Any], goes_on: bool) -> None:
        """Say why a run that goes on may not be the one it would have been."""
        reasons = []
        if not goes_on:
            reasons.append(
                "its environment does not tell its state, so episodes begin anew"
            )
        if not self._has_replay:
            reasons.append(
                "experiment.exclude_buffer_from_checkpoint=True has left out its replay"
            )
        reasons += self._files.changes(state["files"])
        reasons += [
            f"{name} was {before}, now it is {now}"
            for (name, before), now in zip(
                state["conditions"].items(), self._conditions().values(), strict=True
            )
            if before != now
        ]
        if reasons:
            warnings.warn(
                "The run goes on from its checkpoint, but is not, to the bit, the one "
                f"that it would have been: {'; '.join(reasons)}.",
                stacklevel=2,
            )

    def _conditions(self) -> dict[str, Any]:
        """What numbers depend on to the bit."""
        config = self.experiment.config
        return {
            "torch": str(torch.__version__),
            "torchrl": torchrl_version,
            "threads": torch.get_num_threads(),
            "train_device": str(config.train_device),
            "sampling_device": str(config.sampling_device),
        }


class _Collector:
    """A collector that says when a run begins to collect and when it has ended."""

    def __init__(
        self,
        collector: SyncDataCollector,
        *,
        begin: Callable[[], None],
        end: Callable[[], None],
    ) -> None:
        self._collector = collector
        self._begin = begin
        self._end = end

    def __iter__(self) -> Iterator[TensorDictBase]:
        self._begin()
        return iter(self._collector)

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        """End collection, and the run."""
        self._end()
        self._collector.shutdown(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collector, name)
