"""How projection weights are distributed over training."""

from __future__ import annotations

import csv
import io
import math
from functools import cache
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from remix_plugin.callbacks.attaching import (
    RunCallback,
    is_last_iteration,
    keeps_results,
)
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss
from remix_plugin.precision import has_float64
from remix_plugin.weighting.base import Weighting
from remix_plugin.whole_files import write_bytes

STATE_KEY = "projection_weights"
WEIGHTS_FILE = "projection_weights.csv"
N_BINS = 50


def bin_centers(largest: float) -> list[float]:
    """Middles of the bins of weights up to ``largest``, from 0 on."""
    return [largest * number / N_BINS for number in range(N_BINS + 1)]


def count_weights(weight: Tensor, valid: Tensor, largest: float) -> Tensor:
    """Number of weights in each bin.

    Args:
        weight (Tensor): at least 0, ``[*B, 1]``.
        valid (Tensor): entries that count, bool ``[*B, 1]``.
        largest (float): middle of the last bin but one, see :func:`bin_centers`.

    Returns:
        Tensor: int64 ``[N_BINS + 2]``: those nearest to each center, then those beyond
        the last bin, NaN among them.
    """
    number = _bin_numbers(weight.detach().flatten(), largest)
    counts = torch.zeros(N_BINS + 2, dtype=torch.int64, device=weight.device)
    return counts.index_add_(0, number, valid.flatten().long())


def _bin_numbers(weight: Tensor, largest: float) -> Tensor:
    """Bin of each weight, int64 ``[N]``, to the nearest center, halves to even."""
    beyond = N_BINS + 1
    if has_float64(weight.device):
        number = (weight.double() * (N_BINS / largest)).round()
        return number.nan_to_num(nan=beyond).clamp(0, beyond).long()
    weight = weight.float().nan_to_num(nan=math.inf, posinf=math.inf)
    return torch.bucketize(weight, _bin_edges(largest, weight.device), right=True)


@cache
def _bin_edges(largest: float, device: torch.device) -> Tensor:
    """The smallest float32 in each bin but the first, ``[N_BINS + 1]``.

    Compared with these a weight falls in the bin that float64 would give it. They are
    found once, on the CPU: a device without float64 need not be waited for.
    """
    scale = N_BINS / largest
    number = torch.arange(1, N_BINS + 2, dtype=torch.double, device="cpu")
    edge = ((number - 0.5) / scale).float()
    infinite = torch.full_like(edge, math.inf)
    for _ in range(2):
        edge = edge.nextafter(-infinite)
    for _ in range(4):
        is_reached = (edge.double() * scale).round() >= number
        edge = torch.where(is_reached, edge, edge.nextafter(infinite))
    return edge.to(device)


class ProjectionWeights(RunCallback):
    """Counts the projection weights of all sampled transitions, by their size.

    Written to ``projection_weights.csv`` in the run's folder: a row per group and
    evaluation interval, with ``group``, the ``frames`` that were collected at its end,
    a column per bin, named after its center, and ``beyond``. A row adds up to the
    transitions that were sampled in its interval, padding left out. Bins are a 50th of
    the weighting's ``w_max`` wide (1 if it has none), the first and the last centerd at
    0 and ``w_max``; cells of bins that only other groups have are empty.

    Counts stay on the device until a row is complete: an update causes no
    synchronization with the host. Both are kept in checkpoints.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, Tensor] = {}
        self._rows: list[dict[str, Any]] = []

    def on_train_step(self, batch: TensorDictBase, group: str) -> None:
        """Count the weights that the loss has written into ``batch``."""
        loss = self.experiment.losses[group]
        if not isinstance(loss, WeightedProjectionLoss):
            return
        weight = batch.get(loss.tensor_keys.projection_weight)
        valid = batch.get(loss.tensor_keys.valid, None)
        if valid is None:
            valid = torch.ones_like(weight, dtype=torch.bool)
        counts = count_weights(weight, valid, _largest(loss))
        self._counts[group] = self._counts.get(group, 0) + counts

    def on_train_end(self, training_td: TensorDictBase, group: str) -> None:
        """Complete a row at the end of an evaluation interval, and of the run."""
        experiment = self.experiment
        complete = experiment.total_frames % experiment.config.evaluation_interval == 0
        if group not in self._counts or not (complete or is_last_iteration(experiment)):
            return
        counts = self._counts.pop(group).tolist()
        centers = bin_centers(_largest(experiment.losses[group]))
        names = [*(f"{center:g}" for center in centers), "beyond"]
        row: dict[str, Any] = {"group": group, "frames": experiment.total_frames}
        row |= zip(names, counts, strict=True)
        self._rows.append(row)
        if keeps_results(experiment):
            self._write()

    def on_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put rows, and the counts of one that is incomplete, into a checkpoint."""
        state_dict[STATE_KEY] = {
            "rows": [dict(row) for row in self._rows],
            "counts": {group: kept.tolist() for group, kept in self._counts.items()},
        }

    def on_load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take rows and counts from a checkpoint, if it has any."""
        state = state_dict.get(STATE_KEY, {"rows": [], "counts": {}})
        device = self.experiment.config.train_device
        self._rows = [dict(row) for row in state["rows"]]
        self._counts = {
            group: torch.tensor(counts, device=device)
            for group, counts in state["counts"].items()
        }

    def _write(self) -> None:
        """Write all rows, whole or not at all."""
        text = io.StringIO()
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        writer = csv.DictWriter(text, names)
        writer.writeheader()
        writer.writerows(self._rows)
        path = self.experiment.folder_name / WEIGHTS_FILE
        write_bytes(path, text.getvalue().encode())


def _largest(loss: WeightedProjectionLoss) -> float:
    """Where bins end: any module that writes weights may be a loss's weighting."""
    return getattr(loss.weighting, "w_max", Weighting.w_max)
