"""The absolute metric is that of the best policy, and finding it disturbs nothing."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from benchmarl.algorithms import MappoConfig, QmixConfig
from benchmarl.environments import TaskClass, VmasTask
from evaluated_runs import (
    FACTOR,
    FRAMES,
    Director,
    DrawingTask,
    absolute,
    episode_rows,
    evaluation_data,
    evaluations,
    everything,
    files,
    last_bias,
    measured,
    numbers,
    scalars,
    steps,
    tag,
    without,
)
from small_tasks import MAX_STEPS, SmallTask
from tensordict import TensorDict
from tiny_experiments import Build, changed, epsilons, predator_prey

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.evaluation import (
    EPISODES_FILE,
    STATE_KEY,
    EvaluationRecorder,
)

pytestmark = pytest.mark.slow

# What agents do in each iteration, the interval of evaluations, evaluated iterations,
# the best of them.
PLANS = {
    "first": ((2, 0, 1), 16, (0, 1, 2), 0),
    "middle": ((0, 2, 1), 16, (0, 1, 2), 1),
    "last": ((0, 1, 2), 16, (0, 1, 2), 2),
    "first_of_equals": ((1, 2, 2), 16, (0, 1, 2), 1),
    "none_is_good": ((0, 0, 0), 16, (0, 1, 2), 0),
    "last_is_not_evaluated": ((1, 2, 0), 32, (0, 1), 1),
    "first_and_last_is_not_evaluated": ((2, 0, 1), 32, (0, 1), 0),
    "best_is_not_evaluated": ((0, 1, 2), 32, (0, 1), 1),
}


@pytest.mark.parametrize(
    ("plan", "interval", "evaluated", "best"), [*PLANS.values()], ids=[*PLANS]
)
def test_best_policy_is_evaluated(
    plan: tuple[int, ...],
    interval: int,
    evaluated: tuple[int, ...],
    best: int,
    build: Build,
) -> None:
    director = Director(*plan)
    experiment = director.direct(
        build(
            SmallTask(),
            measured(),
            evaluation_interval=interval,
            share_policy_params=False,
        )
    )
    experiment.run()
    assert director.acted == [
        *(number for number in evaluated for _ in range(MAX_STEPS)),
        *[best] * MAX_STEPS * FACTOR,
    ]
    returns = [[1.5 * plan[number]] * 2 for number in evaluated]
    assert [step["return"] for step in steps(experiment)] == returns
    assert [one["return"] for one in evaluations(experiment)] == returns
    assert absolute(experiment)["return"] == [1.5 * plan[best]] * 2 * FACTOR
    rows = episode_rows(experiment, "absolute")
    assert numbers(rows, "frames") == [FRAMES * (best + 1)] * 2 * FACTOR
    assert scalars(experiment, "absolute_return") == [(2, 1.5 * plan[best])]
    # The run ends with the policy that it has arrived at.
    assert last_bias(experiment).max() == 102


def balance() -> TaskClass:
    """Continuous, of VMAS, which draws from torch's global random state."""
    task = VmasTask.BALANCE.get_from_yaml()
    task.config.update(max_steps=5)
    return task


DISTURBED = {
    "remix": (DrawingTask, RemixConfig, {}),
    "remix_32": (DrawingTask, RemixConfig, {"evaluation_interval": 32}),
    "remix_static": (DrawingTask, RemixConfig, {"evaluation_static": True}),
    "remix_gru": (predator_prey, RemixConfig, {"model": "gru"}),
    "remix_tag_32": (tag, RemixConfig, {"evaluation_interval": 32}),
    "qmix_32": (predator_prey, QmixConfig, {"evaluation_interval": 32}),
    "mappo_32": (balance, MappoConfig, {"evaluation_interval": 32}),
}


@pytest.mark.parametrize(
    ("task", "config", "options"), [*DISTURBED.values()], ids=[*DISTURBED]
)
def test_training_is_the_same_without_the_callback(
    task: Any, config: Any, options: dict[str, Any], build: Build
) -> None:
    # Evaluations that explore draw random numbers, and so does DrawingTask.
    options = {"evaluation_deterministic_actions": False, **options}
    # One after the other: new environments seed a random state that all of VMAS shares.
    callbacks = (EvaluationRecorder(episodes_factor=2),)
    one = build(task(), config.get_from_yaml(), callbacks=callbacks, **options)
    ours = everything(one)
    other = build(task(), config.get_from_yaml(), **options)
    if evaluation_data(other):
        without(other, EvaluationRecorder)
    theirs = everything(other)
    assert len(absolute(one)["return"]) == 2 * 2
    assert EPISODES_FILE not in files(other)
    for name, value in theirs.items():
        assert ours[name] == value, name
    assert len(ours["states"]) == 3
    # The exploration, too, is among them.
    if config is not MappoConfig:
        assert any(name.endswith(".eps") for name in ours["policy"])


@pytest.mark.parametrize(("plan", "best"), [((2, 0, 0), 0), ((0, 0, 2), 2)])
def test_episodes_of_the_absolute_metric_explore_like_the_evaluation(
    plan: tuple[int, ...], best: int, build: Build
) -> None:
    # As the best policy did: by half after the first iteration, not after the others.
    experiment = Director(*plan).direct(
        build(
            SmallTask(),
            measured(),
            share_policy_params=False,
            evaluation_deterministic_actions=False,
            exploration_eps_end=0.0,
            exploration_anneal_frames=32,
        )
    )
    experiment.run()
    assert {row["frames"] for row in episode_rows(experiment, "absolute")} == {
        str(FRAMES * (best + 1))
    }
    assert (set(absolute(experiment)["return"]) == {3.0}) == (best == 2)
    assert epsilons(experiment) == [0.0]


def rollout(total: float) -> TensorDict:
    """One step of one agent."""
    following = {"reward": torch.tensor([[total]]), "done": torch.tensor([[True]])}
    return TensorDict({"agents": TensorDict({}, [1, 1]), "next": following}, [1])


@pytest.mark.parametrize(
    ("returns", "best"),
    [
        ([[1.0, 5.0], [4.0, 4.0], [3.0, 3.0]], 2),
        ([[4.0, 4.0], [9.0, -2.0], [4.0, 4.0]], 1),
        ([[-3.0, -3.0], [-2.0, -2.0], [-4.0, 0.0]], 2),
        ([[math.nan, 9.0], [1.0, 1.0], [0.0, 0.0]], 2),
        ([[math.nan, 9.0], [math.nan, 1.0], [0.0, math.nan]], 0),
    ],
)
def test_best_has_the_largest_mean_return(
    returns: list[list[float]], best: int, tmp_path: Path
) -> None:
    policy = torch.nn.Linear(1, 1)
    callback = EvaluationRecorder()
    experiment = SimpleNamespace(
        task=None,
        group_map={"agents": ["agent_0"]},
        callbacks=[],
        policy=policy,
        total_frames=0,
        n_iters_performed=0,
        on_policy=False,
        config=SimpleNamespace(
            get_max_n_iters=lambda on_policy: 9, loggers=[], create_json=False
        ),
        folder_name=tmp_path,
        logger=SimpleNamespace(log=lambda *_, **__: None),
    )
    attach(experiment, callback)
    callback.on_batch_collected(TensorDict())
    for number, values in enumerate(returns, 1):
        experiment.total_frames = number
        with torch.no_grad():
            policy.weight.fill_(float(number))
        callback.on_evaluation_end([rollout(value) for value in values])
    state: dict[str, Any] = {}
    callback.on_state_dict(state)
    assert state[STATE_KEY]["best_frames"] == best
    assert bool(state[STATE_KEY]["best_policy"]) == (best > 0)
    if best:
        assert state[STATE_KEY]["best_policy"]["weight"].item() == best
        assert state[STATE_KEY]["best_return"] == sum(returns[best - 1]) / 2


def test_policy_is_restored_when_the_evaluation_fails(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    director = Director(2, 0, 1)
    experiment = director.direct(
        build(SmallTask(), measured(), share_policy_params=False)
    )
    rollouts = []
    real = type(experiment.test_env).rollout

    def fail(env: Any, *args: Any, **kwargs: Any) -> Any:
        rollouts.append(last_bias(experiment).max().item())
        if len(rollouts) == 5:
            raise RuntimeError("out of memory")
        return real(env, *args, **kwargs)

    monkeypatch.setattr(type(experiment.test_env), "rollout", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        experiment.run()
    assert rollouts == [100, 101, 102, 100, 100]
    assert last_bias(experiment).max() == 102
    assert absolute(experiment) == {}
    assert [one["return"] for one in evaluations(experiment)] == [
        [3.0] * 2,
        [0.0] * 2,
        [1.5] * 2,
    ]


# An episode of SmallTask has at most 3 steps: of 10 x 2 episodes that is 60, which are
# 3% of 2000 frames; of one episode it is 30, 3% of 1000.
AT_MOST_3_PERCENT = {
    "just": (2, {"max_n_frames": 2000}, True),
    "just_not": (2, {"max_n_frames": 1999}, False),
    "one_episode": (1, {"max_n_frames": 1000}, True),
    "one_episode_just_not": (1, {"max_n_frames": 999}, False),
    "iterations": (1, {"max_n_frames": None, "max_n_iters": 2}, True),
    "fewer_iterations": (1, {"max_n_iters": 1}, False),
}


LONG_ITERATIONS = {
    "off_policy_collected_frames_per_batch": 500,
    "off_policy_n_envs_per_worker": 100,
    "off_policy_n_optimizer_steps": 1,
    "off_policy_memory_size": 500,
    "evaluation_interval": 500,
}


@pytest.mark.parametrize(
    ("episodes", "limits", "is_measured"),
    [*AT_MOST_3_PERCENT.values()],
    ids=[*AT_MOST_3_PERCENT],
)
def test_it_is_measured_by_default_where_it_costs_little(
    episodes: int, limits: dict[str, int], is_measured: bool, build: Build
) -> None:
    experiment = build(
        SmallTask(),
        RemixConfig.get_from_yaml(),
        evaluation_episodes=episodes,
        **{"max_n_frames": 2000, **LONG_ITERATIONS, **limits},
    )
    experiment.run()
    assert len(episode_rows(experiment, "absolute")) == (
        episodes * 10 if is_measured else 0
    )
    assert len(evaluations(experiment)) == experiment.n_iters_performed
    assert len(scalars(experiment, "absolute_return")) == is_measured


def test_factor_of_0_switches_it_off_where_it_costs_little(build: Build) -> None:
    experiment = build(
        SmallTask(),
        changed(RemixConfig, absolute_metric_factor=0),
        evaluation_episodes=1,
        max_n_frames=1000,
        **LONG_ITERATIONS,
    )
    experiment.run()
    assert len(evaluations(experiment)) == 2
    assert not absolute(experiment)


@pytest.mark.parametrize("factor", [0, 1, 3, None])
def test_factor_of_the_algorithm_is_that_of_the_callback(
    factor: int | None, build: Build
) -> None:
    experiment = build(SmallTask(), changed(RemixConfig, absolute_metric_factor=factor))
    (callback,) = evaluation_data(experiment)
    assert callback.episodes_factor == factor
    experiment.run()
    # Of 48 frames 60 steps are more than 3%.
    assert len(episode_rows(experiment, "absolute")) == 2 * (factor or 0)


@pytest.mark.parametrize(
    ("factor", "error"),
    [(-1, ValueError), (1.5, TypeError), (True, TypeError), ("x", TypeError)],
)
def test_bad_factor_is_named(factor: Any, error: type[Exception]) -> None:
    message = f"factor={factor!r} is not allowed: it must be an integer >= 0"
    with pytest.raises(error, match=f"episodes_{message}"):
        EvaluationRecorder(factor)
    with pytest.raises(error, match=f"absolute_metric_{message}"):
        changed(RemixConfig, absolute_metric_factor=factor)


class Watch(logging.Handler):
    """Notes how often the agents of a run had acted when something was said."""

    def __init__(self, director: Director) -> None:
        super().__init__(logging.INFO)
        self.director = director
        self.said: list[tuple[str, int]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((record.getMessage(), len(self.director.acted)))


@pytest.mark.parametrize("interval", [16, 32])
def test_it_is_announced_before_it_begins(interval: int, build: Build) -> None:
    director = Director(0, 0, 0)
    experiment = build(
        SmallTask(),
        changed(RemixConfig, absolute_metric_factor=4),
        share_policy_params=False,
        evaluation_interval=interval,
    )
    director.direct(experiment)
    watch = Watch(director)
    logger = logging.getLogger("remix_plugin.evaluation")
    level = logger.level
    logger.addHandler(watch)
    logger.setLevel(logging.INFO)
    try:
        experiment.run()
    finally:
        logger.removeHandler(watch)
        logger.setLevel(level)
    before = MAX_STEPS * (3 if interval == 16 else 2)
    assert watch.said == [("evaluating the best policy on 8 episodes", before)]
    assert len(director.acted) == before + 4 * MAX_STEPS
