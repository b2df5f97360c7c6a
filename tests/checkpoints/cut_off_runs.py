"""Runs that are cut off with no chance to tidy up, and all that a run leaves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from benchmarl.experiment import Callback, Experiment
from tensordict import TensorDictBase

from remix_plugin.checkpoints.checkpoint_files import checkpoints

# What differs between any two runs: times, and what holds the name of the run.
DIFFERS = re.compile(r"timers_|/state/total_time|/options/|config\.pkl|texts/hparams")


class CutOffError(BaseException):
    """Like kill -9: nothing of BenchMARL's or of ours catches it."""


class CutOff(Callback):
    """Ends a run at one moment of one iteration.

    Args:
        moment (str): ``"collected"``, ``"updated"`` (after the first update),
            ``"trained"`` or ``"evaluated"``.
        iteration (int): which, from 0 on.
    """

    def __init__(self, moment: str, iteration: int) -> None:
        super().__init__()
        self.moment = moment
        self.iteration = iteration

    def _cut(self, moment: str) -> None:
        is_now = self.experiment.n_iters_performed == self.iteration
        if is_now and self.moment == moment:
            raise CutOffError

    def on_batch_collected(self, batch: TensorDictBase) -> None:
        self._cut("collected")

    def on_train_step(self, batch: TensorDictBase, group: str) -> None:
        self._cut("updated")

    def on_train_end(self, training_td: TensorDictBase, group: str) -> None:
        self._cut("trained")

    def on_evaluation_end(self, rollouts: list[TensorDictBase]) -> None:
        self._cut("evaluated")


def run_until_cut_off(experiment: Experiment) -> None:
    """Run; it must not come to its end."""
    try:
        experiment.run()
    except CutOffError:
        return
    raise AssertionError("the run has ended")


def last(folder: Path) -> Path:
    """The newest checkpoint of a run."""
    return checkpoints(folder)[-1]


def go_on(folder: Path, **patch: Any) -> Experiment:
    """The experiment from its newest checkpoint, as ``resume.py`` makes it."""
    return Experiment.reload_from_file(str(last(folder)), experiment_patch=patch)


def everything(folder: Path) -> dict[str, Any]:
    """All that a run has left in its folder, number by number."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder)).replace(folder.name, "NAME")
        if not path.is_file() or DIFFERS.search(name):
            continue
        if path.suffix == ".pt":
            content = torch.load(path, weights_only=True)
            found |= {
                f"{name}{key}".replace(folder.name, "NAME"): value
                for key, value in leaves(content)
                if not DIFFERS.search(key)
            }
        else:
            found[name] = path.read_bytes()
    return found


def leaves(content: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers, strings and lists of numbers in what a checkpoint holds."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, f"{before}/{key}")
    elif isinstance(content, (list, tuple)):
        for number, value in enumerate(content):
            yield from leaves(value, f"{before}/{number}")
    elif isinstance(content, torch.Tensor):
        # Bytes: NaN is equal to itself then.
        data = content.detach().contiguous().view(-1).view(torch.uint8)
        yield before, (str(content.dtype), tuple(content.shape), data.tolist())
    else:
        yield before, repr(content)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Where what two runs have left differs."""
    return sorted(
        name for name in one.keys() | other.keys() if one.get(name) != other.get(name)
    )


Build = Callable[..., Experiment]
