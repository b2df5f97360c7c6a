"""The absolute metric is that of the best policy, and finding it disturbs nothing."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from benchmarl.algorithms import MappoConfig, QmixConfig
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import Callback, Experiment
from evaluated_runs import (
    FACTOR,
    FRAMES,
    Director,
    DrawingTask,
    episode_rows,
    evaluation_data,
    last_bias,
    numbers,
    run_data,
    scalars,
    steps,
    tag,
    without,
)
from small_tasks import MAX_STEPS, SmallTask
from tensordict import TensorDict
from tiny_experiments import Build, epsilons, predator_prey, run

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.evaluation import STATE_KEY, EvaluationData

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
            RemixConfig.get_from_yaml(),
            evaluation_interval=interval,
            share_policy_params=False,
        )
    )
    experiment.run()
    assert director.acted == [
        *(number for number in evaluated for _ in range(MAX_STEPS)),
        *[best] * MAX_STEPS * FACTOR,
    ]
    assert [step["return"] for step in steps(experiment)] == [
        [1.5 * plan[number]] * 2 for number in evaluated
    ]
    absolute = run_data(experiment)["absolute_metrics"]["return"]
    assert absolute == [1.5 * plan[best]] * 2 * FACTOR
    rows = episode_rows(experiment, "absolute")
    assert numbers(rows, "frames") == [FRAMES * (best + 1)] * 2 * FACTOR
    assert numbers(rows, "return") == absolute
    assert scalars(experiment, "absolute_return") == [(2, 1.5 * plan[best])]
    # The run ends with the policy that it has arrived at.
    assert last_bias(experiment).max() == 102


def random_states() -> tuple[Any, ...]:
    """Of torch, NumPy and Python."""
    name, keys, *rest = np.random.get_state()
    return torch.get_rng_state().tolist(), name, keys.tolist(), rest, random.getstate()


class States(Callback):
    """Keeps random states and parameters at each collection and each evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[tuple[Any, ...]] = []

    def on_batch_collected(self, batch: Any) -> None:
        self.states.append(random_states())


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


def everything(experiment: Experiment) -> dict[str, Any]:
    """Run; all that a run leaves behind, but for what the callback adds."""
    states = States()
    attach(experiment, states)
    losses = run(experiment)
    returns = [
        {key: value for key, value in step.items() if key.endswith("return")}
        for step in steps(experiment)
    ]
    parameters = {
        f"{group} {name}": value.tolist()
        for group, loss in experiment.losses.items()
        for name, value in loss.named_parameters()
    }
    policy = {
        name: value.tolist() if isinstance(value, torch.Tensor) else value
        for name, value in experiment.policy.state_dict().items()
    }
    return {
        "losses": {
            group: [
                {key: value.tolist() for key, value in one.items()}
                for one in iterations
            ]
            for group, iterations in losses.items()
        },
        "returns": returns,
        "parameters": parameters,
        "policy": policy,
        "states": states.states,
        "last_state": random_states(),
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
    callbacks = (EvaluationData(episodes_factor=2),)
    one = build(task(), config.get_from_yaml(), callbacks=callbacks, **options)
    ours = everything(one)
    other = build(task(), config.get_from_yaml(), **options)
    if evaluation_data(other):
        without(other, EvaluationData)
    theirs = everything(other)
    assert len(episode_rows(one, "absolute")) == 2 * 2
    assert list(run_data(other)["absolute_metrics"]["return"]) == [
        max(value for step in theirs["returns"] for value in step["return"])
    ]
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
            RemixConfig.get_from_yaml(),
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
    returns = run_data(experiment)["absolute_metrics"]["return"]
    assert (set(returns) == {3.0}) == (best == 2)
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
    returns: list[list[float]], best: int
) -> None:
    policy = torch.nn.Linear(1, 1)
    callback = EvaluationData()
    experiment = SimpleNamespace(
        task=None,
        group_map={"agents": ["agent_0"]},
        callbacks=[],
        policy=policy,
        total_frames=0,
        n_iters_performed=0,
        on_policy=False,
        config=SimpleNamespace(get_max_n_iters=lambda on_policy: 9, loggers=[]),
        logger=SimpleNamespace(json_writer=None, log=lambda *_, **__: None),
    )
    attach(experiment, callback)
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
        build(SmallTask(), RemixConfig.get_from_yaml(), share_policy_params=False)
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
    assert run_data(experiment)["absolute_metrics"] == {}
