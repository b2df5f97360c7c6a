"""Algorithms attach their callbacks once, and leave the user's alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
from benchmarl.algorithms import EnsembleAlgorithmConfig, MappoConfig, QmixConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.experiment import Callback
from evaluated_runs import FRAMES, measured, tag
from small_tasks import SmallTask
from tiny_experiments import Build, changed, name_of, predator_prey

from remix_plugin.algorithms.burn_in import StoredStates
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.run_folder import NewRunFolder
from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.callbacks.attaching import (
    attach,
    attached,
    is_last_iteration,
    keeps_results,
)
from remix_plugin.callbacks.evaluation import EvaluationRecorder
from remix_plugin.callbacks.exact_resume import ExactResume
from remix_plugin.callbacks.finite import StopNotFinite
from remix_plugin.callbacks.projection_weights import ProjectionWeights
from remix_plugin.callbacks.videos import Videos
from remix_plugin.registration import ALGORITHM_CONFIGS

FOR_ALL = [Videos, StopNotFinite, EvaluationRecorder, ExactResume]
WITH_WEIGHTS = ("remix", "owqmix", "cwqmix")


class Mine(EvaluationRecorder):
    """A user's own; BenchMARL pickles it."""


class MyWeights(ProjectionWeights):
    """A user's own."""


@pytest.mark.parametrize(
    "config", ALGORITHM_CONFIGS, ids=[name_of(config) for config in ALGORITHM_CONFIGS]
)
def test_each_algorithm_attaches_what_it_has_data_for(
    config: type[AlgorithmConfig], build: Build
) -> None:
    experiment = build(SmallTask(), config.get_from_yaml())
    kinds = [type(callback) for callback in experiment.callbacks]
    has_weights = name_of(config) in WITH_WEIGHTS
    assert kinds == [*FOR_ALL, *[ProjectionWeights] * has_weights, NewRunFolder]
    assert all(one.experiment is experiment for one in experiment.callbacks)


@pytest.mark.parametrize(("burn_in", "stores"), [("zero", False), ("stored", True)])
def test_stored_states_are_kept_where_they_are_asked_for(
    burn_in: str, stores: bool, build: Build
) -> None:
    algorithm = changed(TunedQmixConfig, burn_in=burn_in)
    experiment = build(SmallTask(), algorithm, model="fused_gru")
    kinds = [type(callback) for callback in experiment.callbacks]
    assert kinds == [*FOR_ALL, *[StoredStates] * stores, NewRunFolder]
    assert all(one.experiment is experiment for one in experiment.callbacks)


def test_algorithms_of_an_ensemble_attach_one_for_all(build: Build) -> None:
    remix = changed(RemixConfig, recent_fraction=0)
    for other in (remix, QmixConfig.get_from_yaml()):
        algorithm = EnsembleAlgorithmConfig({"adversary": other, "agent": remix})
        experiment = build(tag(), algorithm)
        kinds = [type(callback) for callback in experiment.callbacks]
        assert kinds == [*FOR_ALL, ProjectionWeights, NewRunFolder]


def test_callbacks_of_the_user_are_kept(build: Build) -> None:
    mine, weights = Mine(episodes_factor=1), MyWeights()
    experiment = build(SmallTask(), measured(), callbacks=(mine, weights))
    assert experiment.callbacks[:2] == [mine, weights]
    kinds = [type(callback) for callback in experiment.callbacks[2:]]
    assert kinds == [Videos, StopNotFinite, ExactResume, NewRunFolder]
    # What the user has given is not set by the algorithm's option.
    assert mine.episodes_factor == 1
    given = [Callback()]
    experiment.callbacks = given
    attach(experiment, mine, weights, Mine())
    assert len(given) == 1
    assert experiment.callbacks == [given[0], mine, weights]
    assert mine.experiment is weights.experiment is experiment


def test_each_kind_is_found_or_made(build: Build) -> None:
    experiment = build(predator_prey(), QmixConfig.get_from_yaml())
    first = attached(experiment, EvaluationRecorder(3))
    assert first.episodes_factor == 3
    assert attached(experiment, EvaluationRecorder(4)) is first
    assert experiment.callbacks == [first]
    assert first.experiment is experiment


@pytest.mark.parametrize(
    "make",
    [lambda: Mine(2), StopNotFinite, ExactResume, StoredStates, MyWeights, Videos],
    ids=["Evaluation", "StopNotFinite", "ExactResume", "Stored", "Weights", "Videos"],
)
def test_callbacks_are_pickled_as_they_were_made(
    make: Callable[[], Callback], build: Build
) -> None:
    # BenchMARL does so in the experiment's constructor, of which they know by then, and
    # again whenever a checkpoint is loaded.
    callback = make()
    experiment = build(
        SmallTask(),
        changed(RemixConfig, burn_in="stored"),
        model="fused_gru",
        callbacks=(callback,),
        max_n_frames=FRAMES,
    )
    experiment.run()
    assert vars(callback)["experiment"] is experiment
    again = pickle.loads(pickle.dumps(callback))
    with (experiment.folder_name / "config.pkl").open("rb") as file:
        *_, (in_config,) = [pickle.load(file) for _ in range(8)]
    for one in (again, in_config):
        assert type(one) is type(callback)
        assert vars(one) == vars(make())
        assert one.experiment is None


def test_list_of_the_user_is_left_alone(build: Build) -> None:
    experiment = build(predator_prey(), QmixConfig.get_from_yaml())
    assert experiment.callbacks == []
    given: list[Callback] = []
    experiment.callbacks = given
    attach(experiment, EvaluationRecorder())
    assert given == []
    assert len(experiment.callbacks) == 1


class Iterations(Callback):
    """Asks in each iteration whether it is the last."""

    def __init__(self) -> None:
        super().__init__()
        self.last: list[bool] = []

    def on_batch_collected(self, batch: object) -> None:
        self.last.append(is_last_iteration(self.experiment))


@pytest.mark.parametrize(
    ("limits", "n_iterations"),
    [
        ({"max_n_frames": 48}, 3),
        ({"max_n_frames": 40}, 3),
        ({"max_n_frames": None, "max_n_iters": 2}, 2),
        ({"max_n_frames": 48, "max_n_iters": 1}, 1),
    ],
    ids=["frames", "part", "iterations", "both"],
)
def test_last_iteration_is_known(
    limits: dict[str, int | None], n_iterations: int, build: Build
) -> None:
    iterations = Iterations()
    experiment = build(
        SmallTask(),
        RemixConfig.get_from_yaml(),
        callbacks=(iterations,),
        evaluation=False,
        **limits,
    )
    experiment.run()
    assert iterations.last == [False] * (n_iterations - 1) + [True]
    assert not is_last_iteration(experiment)


def test_last_iteration_on_policy_is_known(build: Build) -> None:
    iterations = Iterations()
    experiment = build(
        predator_prey(),
        MappoConfig.get_from_yaml(),
        callbacks=(iterations,),
        evaluation=False,
        on_policy_collected_frames_per_batch=24,
    )
    experiment.run()
    assert iterations.last == [False, True]


@pytest.mark.parametrize(
    ("loggers", "create_json", "keeps"),
    [(["csv"], False, True), ([], True, True), ([], False, False)],
)
def test_results_are_kept_in_loggers_or_json(
    loggers: list[str], create_json: bool, keeps: bool, build: Build
) -> None:
    experiment = build(
        SmallTask(),
        RemixConfig.get_from_yaml(),
        loggers=loggers,
        create_json=create_json,
    )
    assert keeps_results(experiment) is keeps
