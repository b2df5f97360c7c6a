"""Projection weights are counted in bins around centers of equal distance."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.projection_weights import (
    N_BINS,
    STATE_KEY,
    WEIGHTS_FILE,
    ProjectionWeights,
    bin_centers,
    count_weights,
)
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss

BEYOND = N_BINS + 1


def counted(weights: list[float], largest: float, valid: Any = None) -> dict[int, int]:
    """Bins that are not empty."""
    weight = torch.tensor(weights, dtype=torch.float64)[:, None]
    mask = torch.ones_like(weight) if valid is None else torch.tensor(valid)[:, None]
    counts = count_weights(weight, mask.bool(), largest)
    assert counts.dtype == torch.int64
    assert counts.shape == (N_BINS + 2,)
    return {i: n for i, n in enumerate(counts.tolist()) if n}


@pytest.mark.parametrize("largest", [1.0, 0.3, 2.5, 7.0])
def test_each_center_has_a_bin(largest: float) -> None:
    centers = bin_centers(largest)
    assert len(centers) == N_BINS + 1
    assert (centers[0], centers[-1]) == (0.0, largest)
    assert centers == pytest.approx([largest * i / 50 for i in range(51)])
    assert counted(centers, largest) == dict.fromkeys(range(51), 1)
    width = largest / 50
    below = [center - 0.499 * width for center in centers[1:]]
    assert counted(below, largest) == dict.fromkeys(range(1, 51), 1)
    above = [center + 0.499 * width for center in centers]
    assert counted(above, largest) == dict.fromkeys(range(51), 1)


def test_halves_go_to_a_neighbor() -> None:
    # Numbers that are exact in binary; those with an even number, as Python rounds.
    halves = [0.5, 1.5, 2.5, 49.5]
    assert counted(halves, 50.0) == {0: 1, 2: 2, 50: 1}
    # Just below one, which a product in single precision would not tell.
    counts = count_weights(torch.tensor([[0.03]]), torch.tensor([[True]]), 1.0)
    assert counts.argmax() == 1


def test_weights_without_a_bin_are_beyond() -> None:
    assert counted([1.009, 1.0101, 1.011, 2.0], 1.0) == {50: 1, BEYOND: 3}
    assert counted([math.nan, math.inf, 1e300], 1.0) == {BEYOND: 3}
    assert counted([50.4, 50.6, 51.4, 51.6], 50.0) == {50: 1, BEYOND: 3}
    assert counted([], 1.0) == {}


def test_padding_does_not_count() -> None:
    weights = [0.1, 0.1, math.nan, 1.0, math.nan]
    valid = [True, False, False, True, True]
    assert counted(weights, 1.0, valid) == {5: 1, 50: 1, BEYOND: 1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_weights_of_any_shape_and_type(dtype: torch.dtype) -> None:
    weight = torch.tensor([[[0.0], [0.1], [1.0]], [[0.1], [0.5], [1.0]]], dtype=dtype)
    weight.requires_grad_()
    valid = torch.ones(2, 3, 1, dtype=torch.bool)
    valid[1, 2] = False
    counts = count_weights(weight, valid, 1.0)
    assert not counts.requires_grad
    assert {i: n for i, n in enumerate(counts.tolist()) if n} == {
        0: 1,
        5: 2,
        25: 1,
        50: 1,
    }
    # As batches have it: without the last dimension.
    assert torch.equal(count_weights(weight, valid.squeeze(-1), 1.0), counts)


@settings(max_examples=100, deadline=None)
@given(
    entries=st.lists(
        st.tuples(st.floats(0, 30, width=32) | st.just(math.nan), st.booleans())
    ),
    largest=st.floats(0.1, 20),
)
def test_each_valid_weight_counts_once(
    entries: list[tuple[float, bool]], largest: float
) -> None:
    expected = [0] * (N_BINS + 2)
    for weight, is_valid in entries:
        if is_valid:
            number = math.nan if math.isnan(weight) else weight * (50 / largest)
            expected[round(number) if number <= 50.5 else BEYOND] += 1
    weight = torch.tensor([w for w, _ in entries], dtype=torch.float32)[:, None]
    valid = torch.tensor([v for _, v in entries], dtype=torch.bool)[:, None]
    counts = count_weights(weight, valid, largest).tolist()
    assert counts == expected
    assert sum(counts) == sum(is_valid for _, is_valid in entries)


class Loss(WeightedProjectionLoss):
    """As much of one as is needed."""

    def __init__(self, w_max: float, **keys: Any) -> None:
        torch.nn.Module.__init__(self)
        self.weighting = SimpleNamespace(w_max=w_max)
        self._tensor_keys = self._AcceptedKeys(**keys)

    @property
    def tensor_keys(self) -> Any:
        return self._tensor_keys


def in_experiment(folder: Path, **largest: float) -> ProjectionWeights:
    """The callback in an experiment with a group for each ``w_max``."""
    callback = ProjectionWeights()
    config = SimpleNamespace(
        evaluation_interval=16,
        loggers=[],
        create_json=True,
        train_device="cpu",
        get_max_n_iters=lambda on_policy: 9,
    )
    experiment = SimpleNamespace(
        callbacks=[],
        losses={group: Loss(value) for group, value in largest.items()},
        config=config,
        folder_name=folder,
        total_frames=0,
        n_iters_performed=0,
        on_policy=False,
    )
    attach(experiment, callback)  # type: ignore[arg-type]
    return callback


def batch(weights: list[float], valid: list[bool] | None = None) -> TensorDict:
    """Of transitions; with padding where any is invalid."""
    entries: dict[Any, Any] = {"projection_weight": torch.tensor(weights)[:, None]}
    if valid is not None:
        entries["collector", "mask"] = torch.tensor(valid)
    return TensorDict(entries, [len(weights)])


def iterate(callback: ProjectionWeights, frames: int, **weights: list[float]) -> None:
    """An iteration with an update for each group."""
    callback.experiment.total_frames = frames
    for group, values in weights.items():
        callback.on_train_step(batch(values), group)
        callback.on_train_end(TensorDict(), group)


def rows(folder: Path) -> list[dict[str, str]]:
    """Of the csv, but for empty bins."""
    with (folder / WEIGHTS_FILE).open(newline="") as file:
        return [
            {name: cell for name, cell in row.items() if cell not in ("", "0")}
            for row in csv.DictReader(file)
        ]


def test_padding_of_batches_is_left_out(tmp_path: Path) -> None:
    callback = in_experiment(tmp_path, agents=1.0)
    callback.on_train_step(batch([0.1, 0.1, 0.5], [True, False, True]), "agents")
    callback.on_train_step(batch([0.1, math.nan], [True, False]), "agents")
    callback.experiment.total_frames = 16
    callback.on_train_end(TensorDict(), "agents")
    row = {"group": "agents", "frames": "16", "0.1": "2", "0.5": "1"}
    assert rows(tmp_path) == [row]


def test_entries_have_the_names_that_the_loss_gives_them(tmp_path: Path) -> None:
    callback = in_experiment(tmp_path, agents=1.0)
    names = {"projection_weight": ("agents", "weight"), "valid": ("agents", "real")}
    callback.experiment.losses["agents"] = Loss(1.0, **names)
    one = batch([0.2, 0.3], [True, True])
    one["agents", "weight"] = torch.tensor([[0.5], [0.7]])
    one["agents", "real"] = torch.tensor([False, True])
    callback.on_train_step(one, "agents")
    callback.experiment.total_frames = 16
    callback.on_train_end(TensorDict(), "agents")
    assert rows(tmp_path) == [{"group": "agents", "frames": "16", "0.7": "1"}]


def test_rows_begin_anew_with_each_interval(tmp_path: Path) -> None:
    callback = in_experiment(tmp_path, agents=1.0)
    for frames in (8, 16, 24, 32, 40):
        iterate(callback, frames, agents=[1.0, 0.5] if frames < 20 else [0.2])
    assert rows(tmp_path) == [
        {"group": "agents", "frames": "16", "0.5": "2", "1": "2"},
        {"group": "agents", "frames": "32", "0.2": "2"},
    ]
    callback.experiment.n_iters_performed = 8
    iterate(callback, 44, agents=[0.2])
    assert rows(tmp_path)[2:] == [{"group": "agents", "frames": "44", "0.2": "2"}]


def test_groups_have_bins_of_their_own(tmp_path: Path) -> None:
    callback = in_experiment(tmp_path, wide=2.0, narrow=1.0)
    iterate(callback, 16, wide=[0.04, 2.0], narrow=[0.02, 1.0, 9.0])
    assert rows(tmp_path) == [
        {"group": "wide", "frames": "16", "0.04": "1", "2": "1"},
        {"group": "narrow", "frames": "16", "0.02": "1", "1": "1", "beyond": "1"},
    ]
    # Cells of another group's bins are empty: no such weight could be.
    with (tmp_path / WEIGHTS_FILE).open(newline="") as file:
        wide, narrow = csv.DictReader(file)
    assert wide["0.02"] == narrow["2"] == ""
    assert wide["1"] == narrow["0.04"] == "0"
    for row, largest in ((wide, 2.0), (narrow, 1.0)):
        names = [name for name, cell in row.items() if cell and name[0].isdigit()]
        assert sorted(map(float, names)) == pytest.approx(bin_centers(largest))


def test_weights_of_a_plain_module_have_bins_up_to_one(tmp_path: Path) -> None:
    callback = in_experiment(tmp_path, agents=2.0)
    # As a loss takes it: no Weighting, so without w_max.
    callback.experiment.losses["agents"].weighting = torch.nn.Identity()
    iterate(callback, 16, agents=[0.5, 1.0, 1.5])
    row = {"group": "agents", "frames": "16", "0.5": "1", "1": "1", "beyond": "1"}
    assert rows(tmp_path) == [row]


def test_file_is_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = in_experiment(tmp_path, agents=1.0)
    iterate(callback, 16, agents=[1.0])
    before = (tmp_path / WEIGHTS_FILE).read_bytes()

    def fail(*_: Any) -> None:
        raise OSError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="cut off"):
            iterate(callback, 32, agents=[0.5])
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == before
    iterate(callback, 48, agents=[0.5])
    assert [row["frames"] for row in rows(tmp_path)] == ["16", "32", "48"]
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS_FILE]


def test_updates_wait_for_no_device(tmp_path: Path) -> None:
    # A meta tensor has no values: whatever the host asks for, it fails.
    callback = in_experiment(tmp_path, agents=1.0)
    one = batch([0.1, 1.0], [True, False]).to("meta")
    for _ in range(3):
        callback.on_train_step(one, "agents")
        callback.on_train_step(one.exclude(("collector", "mask")), "agents")
    callback.experiment.total_frames = 8
    callback.on_train_end(TensorDict(), "agents")
    callback.experiment.total_frames = 16
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        callback.on_train_end(TensorDict(), "agents")


def test_other_losses_have_no_weights(tmp_path: Path) -> None:
    callback = in_experiment(tmp_path, agents=1.0)
    callback.experiment.losses["others"] = torch.nn.Linear(1, 1)
    iterate(callback, 16, others=[0.5])
    assert not list(tmp_path.iterdir())
    iterate(callback, 32, others=[0.5], agents=[0.5])
    assert [row["group"] for row in rows(tmp_path)] == ["agents"]


def test_state_does_not_follow_the_callback(tmp_path: Path) -> None:
    callback = in_experiment(tmp_path, agents=1.0)
    iterate(callback, 16, agents=[1.0])
    iterate(callback, 24, agents=[0.5])
    state: dict[str, Any] = {}
    callback.on_state_dict(state)
    iterate(callback, 32, agents=[0.1])
    assert [row["frames"] for row in state[STATE_KEY]["rows"]] == [16]
    again = in_experiment(tmp_path, agents=1.0)
    again.on_load_state_dict(state)
    iterate(again, 32, agents=[0.2])
    iterate(again, 48, agents=[0.3])
    assert rows(tmp_path)[1:] == [
        {"group": "agents", "frames": "32", "0.2": "1", "0.5": "1"},
        {"group": "agents", "frames": "48", "0.3": "1"},
    ]
    assert len(state[STATE_KEY]["rows"]) == 1
