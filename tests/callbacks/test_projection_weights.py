"""The histograms of a run count every transition that it has sampled."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarl.algorithms import EnsembleAlgorithmConfig, QmixConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.experiment import Callback
from evaluated_runs import files, tag, weight_rows
from small_tasks import SmallTask
from tensordict import TensorDictBase
from tiny_experiments import Build, changed

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import CwqmixConfig, OwqmixConfig
from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE


class Recorder(Callback):
    """Keeps the weights of each update, with its group and iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int, list[float]]] = []

    def on_train_step(self, batch: TensorDictBase, group: str) -> None:
        loss = self.experiment.losses[group]
        if hasattr(loss, "weighting"):
            weights = batch.get(loss.tensor_keys.projection_weight)
            assert weights.numel() == batch.numel()
            number = self.experiment.n_iters_performed
            self.seen.append((group, number, weights.double().flatten().tolist()))

    def count(self, group: str, iterations: set[int], w_max: float) -> dict[str, int]:
        """Bins by the names of their columns, counted one by one."""
        counts = {f"{w_max * number / 50:g}": 0 for number in range(51)}
        counts["beyond"] = 0
        names = list(counts)
        for name, number, weights in self.seen:
            if name == group and number in iterations:
                for weight in weights:
                    distances = [abs(weight - w_max * i / 50) for i in range(51)]
                    assert min(distances) <= w_max / 100 + 1e-6
                    counts[names[distances.index(min(distances))]] += 1
        return counts


def recorded(
    build: Build, task: Any, algorithm: AlgorithmConfig, **settings: Any
) -> tuple[Recorder, list[dict[str, str]]]:
    """Run; the weights of all updates, and rows of the csv."""
    recorder = Recorder()
    experiment = build(task, algorithm, callbacks=(recorder,), **settings)
    experiment.run()
    return recorder, weight_rows(experiment)


def check(
    row: dict[str, str],
    recorder: Recorder,
    iterations: set[int],
    w_max: float = 1.0,
    group: str = "agents",
) -> dict[str, int]:
    """The row says what was recorded; its counts."""
    counts = {k: int(v) for k, v in row.items() if k not in ("group", "frames")}
    assert row["group"] == group
    assert counts == recorder.count(group, iterations, w_max)
    assert list(counts) == [*recorder.count(group, set(), w_max)]
    return {name: count for name, count in counts.items() if count}


BETWEEN = changed(
    RemixConfig, normalization="max", w_min=0.05, recent_fraction=0.5, recent_size=16
)


def test_each_interval_has_a_row(build: Build) -> None:
    recorder, rows = recorded(build, SmallTask(), BETWEEN)
    assert [row["frames"] for row in rows] == ["16", "32", "48"]
    filled = set()
    for number, row in enumerate(rows):
        counts = check(row, recorder, {number})
        assert sum(counts.values()) == 2 * 16
        assert all(0.05 <= float(name) + 0.01 <= 1.01 for name in counts)
        filled |= set(counts)
    # What is between the smallest and the largest is told apart.
    assert len(filled) > 4


def test_last_interval_may_be_shorter(build: Build) -> None:
    recorder, rows = recorded(build, SmallTask(), BETWEEN, evaluation_interval=32)
    assert [row["frames"] for row in rows] == ["32", "48"]
    assert sum(check(rows[0], recorder, {0, 1}).values()) == 2 * 2 * 16
    assert sum(check(rows[1], recorder, {2}).values()) == 2 * 16


@pytest.mark.parametrize(
    ("options", "model"),
    [({"td_lambda": 0.6}, "mlp"), ({}, "gru"), ({"td_lambda": 0.6}, "gru")],
    ids=["td_lambda", "gru", "both"],
)
def test_every_step_of_rows_counts(
    options: dict[str, Any], model: str, build: Build
) -> None:
    # Of 18 frames come 5 steps in each of 4 environments; a batch of 16 is 4 rows.
    recorder, rows = recorded(
        build,
        SmallTask(),
        changed(CwqmixConfig, **options),
        model=model,
        off_policy_collected_frames_per_batch=18,
        evaluation_interval=36,
        max_n_frames=54,
    )
    assert [row["frames"] for row in rows] == ["60"]
    assert sum(check(rows[0], recorder, {0, 1, 2}).values()) == 3 * 2 * 4 * 5


def test_weights_of_owqmix_are_two(build: Build) -> None:
    recorder, rows = recorded(build, SmallTask(), OwqmixConfig.get_from_yaml())
    found = [check(row, recorder, {number}) for number, row in enumerate(rows)]
    assert {name for counts in found for name in counts} == {"0.1", "1"}
    assert [sum(counts.values()) for counts in found] == [2 * 16] * 3


@pytest.mark.parametrize(("w_min", "w_max"), [(0.4, 2.0), (0.12, 0.3)])
def test_bins_end_at_the_largest_weight(
    w_min: float, w_max: float, build: Build
) -> None:
    algorithm = changed(RemixConfig, w_min=w_min, w_max=w_max, normalization="max")
    recorder, rows = recorded(build, SmallTask(), algorithm, evaluation_interval=48)
    (row,) = rows
    counts = check(row, recorder, {0, 1, 2}, w_max)
    assert sum(counts.values()) == 3 * 2 * 16
    half = w_max / 100
    assert all(w_min - half <= float(n) <= w_max + 1e-9 for n in counts)
    assert {f"{w_min:g}", f"{w_max:g}"} <= set(counts)


def test_groups_are_counted_apart(build: Build) -> None:
    options = {"recent_fraction": 0, "normalization": "max"}
    algorithm = EnsembleAlgorithmConfig(
        {
            "adversary": changed(RemixConfig, w_max=2.0, **options),
            "agent": changed(RemixConfig, w_min=0.5, **options),
        }
    )
    recorder, rows = recorded(build, tag(), algorithm, evaluation_interval=48)
    w_max = {"adversary": 2.0, "agent": 1.0}
    assert [row["group"] for row in rows] == ["adversary", "agent"]
    for row in rows:
        own = {name: cell for name, cell in row.items() if cell}
        numbers = {k: int(v) for k, v in own.items() if k not in ("group", "frames")}
        expected = recorder.count(row["group"], {0, 1, 2}, w_max[row["group"]])
        assert numbers == expected
        assert sum(numbers.values()) == 3 * 2 * 16


def test_groups_without_weights_have_no_rows(build: Build) -> None:
    algorithm = EnsembleAlgorithmConfig(
        {
            "adversary": QmixConfig.get_from_yaml(),
            "agent": changed(RemixConfig, recent_fraction=0),
        }
    )
    recorder, rows = recorded(build, tag(), algorithm, evaluation_interval=32)
    assert [(row["group"], row["frames"]) for row in rows] == [
        ("agent", "32"),
        ("agent", "48"),
    ]
    check(rows[0], recorder, {0, 1}, group="agent")
    check(rows[1], recorder, {2}, group="agent")


@pytest.mark.parametrize("create_json", [True, False])
def test_rows_are_written_where_results_are(create_json: bool, build: Build) -> None:
    experiment = build(
        SmallTask(),
        RemixConfig.get_from_yaml(),
        loggers=[],
        create_json=create_json,
        evaluation=False,
    )
    experiment.run()
    assert (WEIGHTS_FILE in files(experiment)) == create_json
