"""Episodes of other algorithms, models and tasks are kept as well."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarl.algorithms import MappoConfig, QmixConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import TaskClass, VmasTask
from evaluated_runs import (
    FACTOR,
    FRAMES,
    Keeper,
    absolute,
    evaluation_data,
    evaluations,
    files,
    kept,
    measured,
    run_data,
    scalars,
    steps_taken,
)
from tiny_experiments import Build, changed, predator_prey

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.evaluation import EvaluationRecorder
from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE
from remix_plugin.environments.smax.common import SmaxTask

pytestmark = pytest.mark.slow

THEIRS: dict[str, tuple[type[AlgorithmConfig], Any, dict[str, Any]]] = {
    "qmix": (QmixConfig, None, {}),
    "mappo": (MappoConfig, None, {}),
    "mappo_stochastic": (
        MappoConfig,
        None,
        {"evaluation_deterministic_actions": False},
    ),
    "mappo_continuous": (MappoConfig, VmasTask.BALANCE, {}),
}


@pytest.mark.parametrize(
    ("config", "vmas", "options"), [*THEIRS.values()], ids=[*THEIRS]
)
def test_algorithms_of_benchmarl_take_the_callback(
    config: type[AlgorithmConfig], vmas: Any, options: dict[str, Any], build: Build
) -> None:
    task: TaskClass = predator_prey() if vmas is None else vmas.get_from_yaml()
    if vmas is not None:
        task.config["max_steps"] = 6
    experiment = build(task, config.get_from_yaml(), evaluation_interval=32, **options)
    assert experiment.continuous_actions == (vmas is not None)
    assert not evaluation_data(experiment)
    attach(experiment, EvaluationRecorder(FACTOR))
    keeper = kept(experiment)
    assert list(run_data(experiment)) == ["absolute_metrics", "step_0", "step_1"]
    assert [len(values) for values in absolute(experiment).values()] == [2 * FACTOR] * (
        5 if vmas is None else 3
    )
    check_lengths(keeper)
    assert WEIGHTS_FILE not in files(experiment)


def check_lengths(keeper: Keeper) -> None:
    """The episodes that were kept are as long as the csv says."""
    for one, rollouts in zip(
        evaluations(keeper.experiment), keeper.rollouts, strict=True
    ):
        assert one["episode_length"] == [steps_taken(rollout) for rollout in rollouts]


def test_recurrent_agents_are_evaluated(build: Build) -> None:
    experiment = build(predator_prey(), measured(), model="gru")
    check_lengths(kept(experiment))
    lengths = [len(values) for values in absolute(experiment).values()]
    assert lengths == [2 * FACTOR] * 5


def test_battles_of_smax_have_win_rates(build: Build) -> None:
    pytest.importorskip("jaxmarl", reason="SMAX is JaxMARL's")
    task = SmaxTask["3M"].get_from_yaml()
    task.config["max_steps"] = 10
    experiment = build(
        task,
        changed(RemixConfig, absolute_metric_factor=2),
        evaluation_episodes=4,
        max_n_frames=FRAMES,
    )
    keeper = kept(experiment)
    (episodes,) = evaluations(experiment)
    (rollouts,) = keeper.rollouts
    for name, flag in (
        ("win_rate", "battle_won"),
        ("episode_limit_rate", "episode_limit"),
    ):
        last = [one[steps_taken(one) - 1]["next", "info", flag] for one in rollouts]
        assert episodes[name] == [float(value) for value in last]
        mean = sum(episodes[name]) / 4
        assert scalars(experiment, f"eval_info_{name}") == [(0, mean)]
        assert len(absolute(experiment)[name]) == 8
    assert sum(episodes["episode_limit_rate"]) > 0
