"""Whole experiments, small enough to run by the dozen: tasks, settings, logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarl.algorithms import EnsembleAlgorithmConfig, QmixConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.benchmark import Benchmark
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import ExperimentConfig
from benchmarl.models import MlpConfig
from small_tasks import ParameterHistory, SmallTask, parameters
from tiny_experiments import (
    LOGGED,
    NETWORKS,
    STEPS,
    Build,
    by_network,
    changed,
    check_run,
    epsilons,
    experiment_builder,
    fitting,
    frames_in_replay,
    name_of,
    predator_prey,
    results,
)

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

TASKS: dict[str, Callable[[], TaskClass]] = {
    "predator_prey": predator_prey,
    "matrix_game": MatrixGameTask.QTRAN.get_from_yaml,
    "balance": VmasTask.BALANCE.get_from_yaml,
    "simple_tag": VmasTask.SIMPLE_TAG.get_from_yaml,
    "small": SmallTask,
}
MODELS = ("mlp", "gru_mlp", "gru", "fused_gru")
# All 140 would take a minute: every algorithm on every task, every algorithm with every
# model and every task with every model.
CASES = [
    pytest.param(
        config, task, MODELS[(i + j) % 4], id="-".join([name_of(config), task])
    )
    for i, config in enumerate(ALGORITHM_CONFIGS)
    for j, task in enumerate(TASKS)
]
build = pytest.fixture(experiment_builder)


@pytest.mark.parametrize(("config", "task", "model"), CASES)
def test_experiment_trains(
    config: type[AlgorithmConfig], task: str, model: str, build: Build
) -> None:
    model = fitting(config, model)
    experiment = build(TASKS[task](), config.get_from_yaml(), model=model)
    groups = set(experiment.group_map)
    assert len(groups) == (2 if task == "simple_tag" else 1)
    before = {
        group: [by_network(parameters(loss, target=t)) for t in (False, True)]
        for group, loss in experiment.losses.items()
    }
    check_run(experiment, groups)
    for group in groups:
        steps = STEPS if experiment.algorithm.has_rnn else 1
        rows = frames_in_replay(experiment) // steps
        assert len(experiment.replay_buffers[group]) == rows
        loss = experiment.losses[group]
        for is_target, old in zip((False, True), before[group], strict=True):
            # Every network is trained, and its copy follows.
            assert set(old) == NETWORKS[name_of(config)][is_target]
            new = by_network(parameters(loss, target=is_target))
            for network, values in old.items():
                assert set(new[network]) == set(values)
                assert any(
                    not torch.equal(value, new[network][name])
                    for name, value in values.items()
                )
    explores = getattr(experiment.algorithm, "epsilon", "everywhere") != "none"
    assert epsilons(experiment) == pytest.approx([0.05] * len(groups) * explores)
    assert experiment.total_frames == 48


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_csv_logger_writes_all_losses(
    config: type[AlgorithmConfig], build: Build
) -> None:
    experiment = build(predator_prey(), config.get_from_yaml(), loggers=["csv"])
    experiment.run()
    written = {path.stem for path in experiment.folder_name.rglob("scalars/*.csv")}
    assert {f"train_agents_{key}" for key in LOGGED[name_of(config)]} <= written
    assert "collection_info_prey_caught_at_end" in written


def test_results_have_the_keys_of_benchmarl(build: Build) -> None:
    experiment = build(
        predator_prey(), RemixConfig.get_from_yaml(), evaluation=True, create_json=True
    )
    experiment.run()
    run_data = results(experiment)["predator_prey"]["punish_2"]["remix"]["seed_0"]
    assert set(run_data) == {f"step_{i}" for i in (1, 2, 3)} | {"absolute_metrics"}
    for step in (1, 2, 3):
        assert run_data[f"step_{step}"]["step_count"] == 16 * step
        assert len(run_data[f"step_{step}"]["return"]) == 2
        assert len(run_data[f"step_{step}"]["agents_return"]) == 2


@pytest.mark.parametrize(
    ("config", "model"),
    [
        pytest.param(config, MODELS[i % 4], id=f"{name_of(config)}-{MODELS[i % 4]}")
        for i, config in enumerate(ALGORITHM_CONFIGS)
    ],
)
def test_same_seed_gives_the_same_results(
    config: type[AlgorithmConfig], model: str, build: Build
) -> None:
    def outcome(seed: int) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        experiment = build(
            predator_prey(),
            config.get_from_yaml(),
            model=fitting(config, model),
            seed=seed,
            evaluation=True,
            create_json=True,
        )
        experiment.run()
        loss = experiment.losses["agents"]
        return results(experiment), parameters(loss, target=False)

    (first, weights), (second, same_weights) = outcome(3), outcome(3)
    assert first == second
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    _, other_weights = outcome(4)
    assert any(not torch.equal(weights[name], other_weights[name]) for name in weights)


def test_hard_updates_copy_the_networks_now_and_then(build: Build) -> None:
    history = ParameterHistory()
    experiment = build(
        predator_prey(),
        OwqmixConfig.get_from_yaml(),
        callbacks=(history,),
        soft_target_update=False,
        hard_target_update_frequency=2,
    )
    first = parameters(experiment.losses["agents"], target=True)
    experiment.run()
    assert len(history.target) == 6
    # TorchRL counts from zero: every third update copies.
    source = first
    for i, (online, target) in enumerate(
        zip(history.online, history.target, strict=True), start=1
    ):
        assert set(online) == set(target)
        if i % 3 == 0:
            source = online
        assert all(torch.equal(target[name], source[name]) for name in target)
        assert (i % 3 == 0) == all(
            torch.equal(target[name], online[name]) for name in target
        )


def test_soft_updates_move_the_copies_by_a_share(build: Build) -> None:
    history = ParameterHistory()
    experiment = build(
        predator_prey(),
        OwqmixConfig.get_from_yaml(),
        callbacks=(history,),
        polyak_tau=0.25,
    )
    before = parameters(experiment.losses["agents"], target=True)
    experiment.run()
    for online, target in zip(history.online, history.target, strict=True):
        for name in target:
            expected = 0.75 * before[name] + 0.25 * online[name]
            torch.testing.assert_close(target[name], expected)
        before = target


def test_benchmark_compares_remix_with_qmix(
    tiny_experiment: ExperimentConfig, tiny_model: MlpConfig, save_folder: Path
) -> None:
    tiny_experiment.evaluation = tiny_experiment.create_json = True
    benchmark = Benchmark(
        algorithm_configs=[RemixConfig.get_from_yaml(), QmixConfig.get_from_yaml()],
        model_config=tiny_model,
        tasks=[MatrixGameTask.QTRAN.get_from_yaml()],
        seeds={0, 1},
        experiment_config=tiny_experiment,
    )
    benchmark.run_sequential()
    found = set()
    for path in save_folder.rglob("*.json"):
        by_algorithm = json.loads(path.read_text())["matrix_game"]["qtran"]
        ((algorithm, by_seed),) = by_algorithm.items()
        ((seed, run_data),) = by_seed.items()
        found.add((algorithm, seed))
        assert set(run_data["step_3"]["return"]) <= {8.0, -12.0, 0.0}
    assert found == {(a, f"seed_{s}") for a in ("remix", "qmix") for s in (0, 1)}


@pytest.mark.parametrize("model", ["mlp", "gru"])
def test_ensemble_trains_each_group_its_own_way(model: str, build: Build) -> None:
    algorithm = EnsembleAlgorithmConfig(
        {
            "adversary": changed(RemixConfig, recent_fraction=0.0),
            "agent": OwqmixConfig.get_from_yaml(),
        }
    )
    experiment = build(TASKS["simple_tag"](), algorithm, model=model)
    check_run(experiment, {"adversary", "agent"})
    weightings = {
        group: type(loss.weighting).__name__
        for group, loss in experiment.losses.items()
    }
    assert weightings == {
        "adversary": "RemixWeighting",
        "agent": "OptimisticWeighting",
    }
