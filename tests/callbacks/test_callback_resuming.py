"""Runs that go on from a checkpoint know what their callbacks had kept."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarl.algorithms import QmixConfig
from benchmarl.experiment import Callback, Experiment
from evaluated_runs import (
    FACTOR,
    FRAMES,
    Director,
    absolute,
    episode_rows,
    evaluation_data,
    evaluations,
    last_bias,
    measured,
    run_data,
    scalars,
    steps,
    weight_rows,
    without,
)
from small_tasks import SmallTask
from tensordict import TensorDictBase
from tiny_experiments import Build, predator_prey

from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.evaluation import STATE_KEY, EvaluationRecorder
from remix_plugin.callbacks.projection_weights import ProjectionWeights

pytestmark = pytest.mark.slow


def reload(experiment: Experiment, frames: int, **patch: Any) -> Experiment:
    """The experiment again, from its checkpoint after so many frames."""
    path = experiment.folder_name / "checkpoints" / f"checkpoint_{frames}.pt"
    return Experiment.reload_from_file(str(path), experiment_patch=patch)


def directed(build: Build, plan: tuple[int, ...]) -> Experiment:
    """A finished run with a checkpoint of each iteration."""
    experiment = build(
        SmallTask(),
        measured(),
        share_policy_params=False,
        checkpoint_interval=FRAMES,
    )
    Director(*plan).direct(experiment).run()
    return experiment


@pytest.mark.parametrize("best", [0, 2], ids=["before", "after"])
def test_best_policy_before_the_checkpoint_is_known(best: int, build: Build) -> None:
    plan = (2, 0, 1) if best == 0 else (1, 0, 2)
    experiment = directed(build, plan)
    again = reload(experiment, 2 * FRAMES)
    (callback,) = evaluation_data(again)
    assert callback.experiment is again
    director = Director(*plan)
    director.direct(again).run()
    assert director.acted == [2] * 3 + [best] * 3 * FACTOR
    assert absolute(again)["return"] == [1.5 * plan[best]] * 2 * FACTOR
    # No evaluation is lost, or there twice.
    returns = [[1.5 * number] * 2 for number in plan]
    assert [one["return"] for one in evaluations(again)] == returns
    assert [step["return"] for step in steps(again)] == returns
    assert [step["step_count"] for step in steps(again)] == [16, 32, 48]
    assert run_data(again)["absolute_metrics"]["return"] == [1.5 * max(plan)]
    assert episode_rows(again, "absolute")[-1]["frames"] == str(FRAMES * (best + 1))
    assert last_bias(again).max() == 102


def test_finished_run_can_be_made_longer(build: Build) -> None:
    plan = (1, 0, 0, 2)
    experiment = build(
        SmallTask(),
        measured(),
        share_policy_params=False,
        checkpoint_at_end=True,
    )
    Director(*plan).direct(experiment).run()
    assert absolute(experiment)["return"] == [1.5] * 2 * FACTOR
    again = reload(experiment, 3 * FRAMES, max_n_frames=4 * FRAMES)
    Director(*plan).direct(again).run()
    # Those of its earlier end are gone.
    assert absolute(again)["return"] == [3.0] * 2 * FACTOR
    assert scalars(again, "absolute_return") == [(3, 3.0)]
    returns = [[1.5 * number] * 2 for number in plan]
    assert [one["return"] for one in evaluations(again)] == returns


def test_absolute_metric_of_an_earlier_end_is_dropped_at_once(build: Build) -> None:
    # Not only when there is a new one: the longer run may be cut off before.
    experiment = build(SmallTask(), measured(), checkpoint_at_end=True)
    experiment.run()
    before = evaluations(experiment)
    again = reload(experiment, 3 * FRAMES, max_n_frames=4 * FRAMES)
    assert len(absolute(again)["return"]) == 2 * FACTOR
    attach(again, Interrupt())
    with pytest.raises(KeyboardInterrupt):
        again.run()
    assert absolute(again) == {}
    assert evaluations(again) == before


class Interrupt(Callback):
    """Ends a run before its first update."""

    def on_batch_collected(self, batch: TensorDictBase) -> None:
        raise KeyboardInterrupt


def test_what_is_loaded_is_what_was_saved(build: Build) -> None:
    experiment = directed(build, (0, 2, 1))
    (before,) = evaluation_data(experiment)
    (after,) = evaluation_data(reload(experiment, 3 * FRAMES))
    states: list[dict[str, Any]] = [{}, {}]
    for callback, state in zip((before, after), states, strict=True):
        callback.on_state_dict(state)
    one, same = (state[STATE_KEY] for state in states)
    policy, same_policy = one.pop("best_policy"), same.pop("best_policy")
    assert one == same == {"best_return": 3.0, "best_frames": 2 * FRAMES}
    assert list(policy) == list(same_policy)
    assert all(
        bool((policy[name] == same_policy[name]).all()) for name in tensors(policy)
    )
    assert [name for name in tensors(policy) if name.endswith("2.bias")]


def tensors(policy: dict[str, Any]) -> list[str]:
    """Names of its tensors: a state has sizes, too."""
    return [name for name, value in policy.items() if hasattr(value, "device")]


def test_checkpoint_made_without_the_callbacks_is_loaded(build: Build) -> None:
    plan = (2, 1, 0)
    experiment = build(
        SmallTask(),
        measured(),
        share_policy_params=False,
        checkpoint_interval=FRAMES,
    )
    without(experiment, EvaluationRecorder, ProjectionWeights)
    Director(*plan).direct(experiment).run()
    again = reload(experiment, FRAMES)
    Director(*plan).direct(again).run()
    # The best since
    assert absolute(again)["return"] == [1.5] * 2 * FACTOR
    assert [row["frames"] for row in weight_rows(again)] == ["32", "48"]


def test_algorithm_of_benchmarl_is_continued(build: Build) -> None:
    # One that was given the callback is pickled with it; one that had it attached not.
    for is_given in (True, False):
        callback = EvaluationRecorder(episodes_factor=2)
        experiment = build(
            predator_prey(),
            QmixConfig.get_from_yaml(),
            callbacks=(callback,) if is_given else (),
            checkpoint_interval=FRAMES,
        )
        attach(experiment, callback)
        experiment.run()
        again = reload(experiment, 2 * FRAMES)
        found = evaluation_data(again)
        assert len(found) == is_given
        for one in found:
            assert one is not callback
            assert one.experiment is again
            assert one.episodes_factor == 2
        attach(again, EvaluationRecorder(episodes_factor=2))
        again.run()
        assert len(absolute(again)["return"]) == 2 * 2


class Weights(Callback):
    """Counts the weights of every iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, list[float]] = {}

    def on_train_step(self, batch: TensorDictBase, group: str) -> None:
        number = self.experiment.n_iters_performed
        weights = batch["projection_weight"].flatten().tolist()
        self.seen.setdefault(number, []).extend(weights)


def bins(weights: list[float]) -> dict[str, int]:
    """How many weights are in each bin of OW-QMIX, which knows two."""
    return {"0.1": sum(w < 0.5 for w in weights), "1": sum(w > 0.5 for w in weights)}


@pytest.mark.parametrize("frames", [16, 32])
def test_counts_are_continued_within_an_interval_and_after_it(
    frames: int, build: Build
) -> None:
    # With its first checkpoint in the middle of the first interval, which used to have
    # only the transitions since.
    experiment = build(
        SmallTask(),
        OwqmixConfig.get_from_yaml(),
        evaluation_interval=32,
        checkpoint_interval=FRAMES,
    )
    seen = Weights()
    attach(experiment, seen)
    experiment.run()
    first = weight_rows(experiment)
    again = reload(experiment, frames)
    seen_again = Weights()
    attach(again, seen_again)
    again.run()
    rows = weight_rows(again)
    assert [row["frames"] for row in rows] == ["32", "48"]
    iterations = {**seen.seen, **seen_again.seen}
    assert min(seen_again.seen) == frames // FRAMES
    for row, numbers in zip(rows, ((0, 1), (2,)), strict=True):
        expected = bins([w for number in numbers for w in iterations[number]])
        assert {name: int(row[name]) for name in expected} == expected
        assert sum(expected.values()) == 2 * 16 * len(numbers)
    if frames == 32:
        assert rows[0] == first[0]
