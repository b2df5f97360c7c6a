"""Runs that stop where numbers stop being numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from benchmarl.experiment import Experiment
from tensordict import NestedKey, TensorDictBase, unravel_key
from torch import Tensor

from remix_plugin.callbacks.attaching import RunCallback
from remix_plugin.callbacks.exact_resume import ExactResume


class StopNotFinite(RunCallback):
    """Stops a run in which something is infinite or not a number.

    Looked at are, once in an iteration, before it is evaluated or saved: rewards and
    observations as they come from the environment, losses, parameters and the state of
    optimizers; and the rewards of evaluations. Checkpoints are therefore finite, and a
    run that has gone wrong ends with an error, not with a return of 0.

    An iteration causes one synchronization with the host.

    Raises:
        FloatingPointError: naming what was not finite, its group, the iteration, the
            frames so far and the last checkpoint.
    """

    def __init__(self) -> None:
        super().__init__()
        self._looked_at: list[tuple[str, Tensor]] = []
        self._finite: list[Tensor] = []

    def on_batch_collected(self, batch: TensorDictBase) -> None:
        """Look at what was collected."""
        self._look(_entries(batch, _observed(self.experiment)))
        self._look(_entries(batch, _rewards(batch)))

    def on_train_end(self, training_td: TensorDictBase, group: str) -> None:
        """Look at what was learnt, and after the last group at all answers."""
        experiment = self.experiment
        self._look(
            (f"{name} of group {group!r}", entry)
            for name, entry in training_td.items()
            if name.startswith("loss")
        )
        self._look(
            (f"parameter {name} of group {group!r}", parameter)
            for name, parameter in experiment.losses[group].named_parameters()
        )
        for name, optimizer in experiment.optimizers[group].items():
            self._look(
                (f"{key} of the optimizer of {name} of group {group!r}", value)
                for values in optimizer.state.values()
                for key, value in values.items()
            )
        if group == list(experiment.train_group_map)[-1]:
            self._stop_if_not_finite()

    def on_evaluation_end(self, rollouts: list[TensorDictBase]) -> None:
        """Look at the rewards of an evaluation."""
        for rollout in rollouts:
            for name, entry in _entries(rollout, _rewards(rollout)):
                self._look([(f"{name} of an evaluation", entry)])
        self._stop_if_not_finite()

    def _look(self, entries: Iterable[tuple[str, object]]) -> None:
        """Note whether each entry is finite, without waiting for the answer."""
        device = self.experiment.config.train_device
        for name, entry in entries:
            if isinstance(entry, Tensor) and entry.is_floating_point():
                self._looked_at.append((name, entry))
                finite = entry.detach().isfinite().all()
                self._finite.append(finite.to(device, non_blocking=True))

    def _stop_if_not_finite(self) -> None:
        finite, looked_at = torch.stack(self._finite), self._looked_at
        self._finite, self._looked_at = [], []
        if not finite.all():
            found = zip(finite.tolist(), looked_at, strict=True)
            wrong = [entry for is_finite, entry in found if not is_finite]
            raise FloatingPointError(self._message(*wrong[0], len(wrong) - 1))

    def _message(self, name: str, entry: Tensor, n_others: int) -> str:
        experiment = self.experiment
        others = f" (and {n_others} other entries)" if n_others else ""
        n_nan = int(entry.isnan().sum())
        return (
            f"{name} is not finite{others}: {n_nan} of its {entry.numel()} numbers are "
            f"NaN, {int(entry.isinf().sum())} infinite. Seen in iteration "
            f"{experiment.n_iters_performed}, after {experiment.total_frames} frames; "
            f"the last checkpoint is {_last_checkpoint(experiment) or 'none'}."
        )


def _last_checkpoint(experiment: Experiment) -> Path | None:
    """The newest checkpoint of a run, None before the first."""
    for callback in experiment.callbacks:
        if isinstance(callback, ExactResume):
            return callback.last_checkpoint()
    written = experiment._checkpointed_files
    return written[-1] if written else None


def _observed(experiment: Experiment) -> list[NestedKey]:
    """Entries that agents and learners see."""
    specs = (experiment.observation_spec, experiment.state_spec)
    keys = [key for spec in specs if spec is not None for key in spec.keys(True, True)]
    return [*keys, *(unravel_key(("next", key)) for key in keys)]


def _rewards(steps: TensorDictBase) -> list[NestedKey]:
    """Entries with rewards, the team's or those of groups."""
    return [
        key
        for key in steps.keys(True, True)
        if isinstance(key, tuple) and key[0] == "next" and key[-1] == "reward"
    ]


def _entries(
    steps: TensorDictBase, keys: Iterable[NestedKey]
) -> Iterator[tuple[str, Tensor]]:
    """The entries that exist, by name."""
    for key in keys:
        entry = steps.get(key, None)
        if entry is not None:
            name = key if isinstance(key, str) else "/".join(key)
            yield name, entry
