"""BenchMARL's json is BenchMARL's: runs of all algorithms can be read together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from benchmarl.algorithms import QmixConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.eval_results import load_and_merge_json_dicts
from benchmarl.experiment import Callback
from evaluated_runs import (
    FACTOR,
    Keeper,
    absolute,
    kept,
    measured,
    steps_of,
    tag,
    whole_json,
)
from tensordict import TensorDictBase
from tiny_experiments import Build, predator_prey

from remix_plugin.algorithms.remix import RemixConfig

pytestmark = pytest.mark.slow

NAMES = ("remix", "qmix")
CONFIGS = (measured(), QmixConfig.get_from_yaml())
# Both orders in which a folder's files may come
ORDERS = ((0, 1), (1, 0))


@pytest.fixture(scope="module", params=[predator_prey, tag])
def runs(request: pytest.FixtureRequest, build: Build) -> list[Keeper]:
    """Finished runs on one task: ReMIX, its absolute metric measured, and QMIX."""
    return [kept(build(request.param(), config)) for config in CONFIGS]


def keys(content: dict[str, Any]) -> dict[str, list[str]]:
    """Names of the metrics of each step, in their order."""
    return {step: list(metrics) for step, metrics in steps_of(content).items()}


def test_keys_are_those_of_qmix_after_every_evaluation(runs: list[Keeper]) -> None:
    ours, theirs = runs
    metrics = [f"{group}_return" for group in theirs.experiment.group_map]
    metrics.append("return")
    assert [len(keeper.jsons) for keeper in runs] == [3] * 2
    for number in range(3):
        expected = {"absolute_metrics": metrics}
        for step in range(1, number + 2):
            expected[f"step_{step}"] = ["step_count", *metrics]
        assert keys(theirs.jsons[number]) == expected
        assert keys(ours.jsons[number]) == expected
    # The best policy was evaluated since then, which is none of the json's business.
    assert len(absolute(ours.experiment)["return"]) == 2 * FACTOR
    assert whole_json(ours.experiment) == ours.jsons[-1]


def test_absolute_metrics_are_the_best_single_episodes(runs: list[Keeper]) -> None:
    for keeper in runs:
        for number, content in enumerate(keeper.jsons, 1):
            data = dict(steps_of(content))
            best = data.pop("absolute_metrics")
            assert len(data) == number
            for name, value in best.items():
                assert value == [max(max(step[name]) for step in data.values())]


def merged(contents: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What BenchMARL makes of files with these contents, in this order."""
    files = []
    for number, content in enumerate(contents):
        file = folder / f"{number}.json"
        file.write_text(json.dumps(content))
        files.append(str(file))
    return load_and_merge_json_dicts(files)


@pytest.mark.parametrize("order", ORDERS, ids=["ours_first", "theirs_first"])
@pytest.mark.parametrize("n_evaluations", [1, 3], ids=["cut_off", "finished"])
def test_runs_are_merged_in_any_order(
    n_evaluations: int, order: tuple[int, ...], runs: list[Keeper], tmp_path: Path
) -> None:
    contents = [runs[i].jsons[n_evaluations - 1] for i in order]
    ((tasks),) = merged(contents, tmp_path).values()
    ((algorithms),) = tasks.values()
    assert list(algorithms) == [NAMES[i] for i in order]
    for name, keeper in zip(NAMES, runs, strict=True):
        run_data = steps_of(keeper.jsons[n_evaluations - 1])
        assert algorithms[name] == {"seed_0": run_data}
    # marl-eval asks the first for its steps and metrics, and all others for the same.
    first, second = (algorithms[NAMES[i]]["seed_0"] for i in order)
    assert [*first] == [*second]
    assert [[*metrics] for metrics in first.values()] == [
        [*metrics] for metrics in second.values()
    ]


@pytest.mark.parametrize("order", ORDERS, ids=["ours_first", "theirs_first"])
@pytest.mark.parametrize("n_evaluations", [1, 3], ids=["cut_off", "finished"])
def test_marl_eval_reads_runs_in_any_order(
    n_evaluations: int, order: tuple[int, ...], runs: list[Keeper], tmp_path: Path
) -> None:
    pytest.importorskip("marl_eval", reason="marl-eval is pip install id-marl-eval")
    from benchmarl.eval_results import Plotting

    contents = [runs[i].jsons[n_evaluations - 1] for i in order]
    raw = merged(contents, tmp_path)
    (environment,) = raw
    processed = Plotting.process_data(raw)
    assert "extra" in processed, "marl-eval prints what is wrong and goes on"
    best, curves = Plotting.create_matrices(processed, environment)
    assert {*best["mean_norm_return"]} == {*NAMES}
    for name in NAMES:
        assert best["mean_norm_return"][name].shape == (1, 1)
        assert curves["mean_norm_return"][name].shape == (1, 1, n_evaluations)


class CutOff(Callback):
    """Interrupts a run while it trains in its second iteration."""

    def on_train_step(self, batch: TensorDictBase, group: str) -> None:
        if self.experiment.n_iters_performed == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("config", [RemixConfig, QmixConfig], ids=["remix", "qmix"])
def test_run_that_is_cut_off_has_its_best_episodes(
    config: type[AlgorithmConfig], build: Build
) -> None:
    experiment = build(predator_prey(), config.get_from_yaml(), callbacks=(CutOff(),))
    with pytest.raises(KeyboardInterrupt):
        experiment.run()
    content = whole_json(experiment)
    assert keys(content) == {
        "absolute_metrics": ["agents_return", "return"],
        "step_1": ["step_count", "agents_return", "return"],
    }
    data = steps_of(content)
    assert data["absolute_metrics"]["return"] == [max(data["step_1"]["return"])]
