"""The folder of a run that is never ready: nothing of it stays."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarl.algorithms.common import Algorithm
from benchmarl.experiment import Callback, Experiment
from torchrl.envs import EnvBase
from torchrl.objectives import LossModule
from torchrl.objectives.utils import TargetNetUpdater

from remix_plugin.callbacks.attaching import attach


class NewRunFolder(Callback):
    """Removes the folder of an experiment that something refuses while it is set up.

    BenchMARL makes the folder, with ``config.pkl``, before it builds anything. From the
    algorithm on, whatever fails until the experiment is ready (models, replay, losses,
    environments, loggers, users' callbacks) leaves the folder to this class:

    - what fails within :meth:`remove_if_refused` removes it at once;
    - what fails elsewhere removes it as the experiment itself goes, which an exception
      keeps for as long as someone has it: at the end of the process at the latest.

    Args:
        experiment (Experiment): that is being set up, and continues no other run.
    """

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        self._remove = weakref.finalize(
            experiment, _remove, experiment.folder_name, os.getpid()
        )

    @contextmanager
    def remove_if_refused(self) -> Iterator[None]:
        """Within this, an exception removes the folder, unless the run is ready."""
        is_built = False
        try:
            yield
            is_built = True
        finally:
            if not is_built:
                self._remove()

    def on_setup(self) -> None:
        """The experiment is ready: its folder stays from now on."""
        self._remove.detach()


@contextmanager
def leaving_no_folder(experiment: Experiment) -> Iterator[None]:
    """Remove the folder of a new run if what is done within this fails.

    It is watched from then on, until the run is ready. The folder of a run that is
    continued is left alone.
    """
    if experiment.config.restore_file is not None:
        yield
        return
    kinds = [c for c in experiment.callbacks if isinstance(c, NewRunFolder)]
    folder = kinds[0] if kinds else NewRunFolder(experiment)
    with folder.remove_if_refused():
        yield
    # Last, as what other callbacks do at setup may be refused too.
    attach(experiment, folder)


class LeavesNoFolder(Algorithm):
    """An algorithm of which no folder is left if its networks or environments fail."""

    def get_loss_and_updater(self, group: str) -> tuple[LossModule, TargetNetUpdater]:
        """The loss of a group, and what updates its target networks."""
        with leaving_no_folder(self.experiment):
            return super().get_loss_and_updater(group)

    def process_env_fun(self, env_fun: Callable[[], EnvBase]) -> Callable[[], EnvBase]:
        """The same function, called by the collector."""

        def make() -> EnvBase:
            with leaving_no_folder(self.experiment):
                return env_fun()

        return make


def _remove(folder: Path, pid: int) -> None:
    # Not by a process of ``ParallelEnv``, which is a fork of the one that made it.
    if os.getpid() == pid and folder.is_dir():
        shutil.rmtree(folder)
