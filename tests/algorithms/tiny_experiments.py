"""Experiments that train in a second, and what the tests ask of their results."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import torch
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import TaskClass
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models import GruConfig, MlpConfig
from benchmarl.models.common import ModelConfig
from small_tasks import Recorder

from remix_plugin.environments.predator_prey.common import PredatorPreyTask

LOGGED = {
    "loss",
    "loss_projection",
    "loss_unrestricted",
    "projection_weight_mean",
    "underestimated_fraction",
    "mixer_gradient_mean",
}
STEPS = 4  # of each of the 4 environments in an iteration

Build = Callable[..., Experiment]


def predator_prey(**options: Any) -> TaskClass:
    """Three predators and two prey on a grid of 4 x 4."""
    task = PredatorPreyTask.PUNISH_2.get_from_yaml()
    size = {"grid_height": 4, "grid_width": 4, "n_predators": 3, "n_prey": 2}
    task.config.update(size, window_size=3, max_steps=6, **options)
    return task


def experiment_builder(
    tiny_experiment: ExperimentConfig, tiny_model: MlpConfig, tiny_gru: GruConfig
) -> Build:
    """A function of task, algorithm, model, callbacks and changed settings."""

    def build_experiment(
        task: TaskClass,
        algorithm: AlgorithmConfig,
        *,
        model: str = "mlp",
        seed: int = 0,
        callbacks: tuple[Any, ...] = (),
        **settings: Any,
    ) -> Experiment:
        models: dict[str, tuple[ModelConfig, ModelConfig]] = {
            "mlp": (tiny_model, copy.deepcopy(tiny_model)),
            "gru_mlp": (tiny_gru, tiny_model),
            "gru": (tiny_gru, copy.deepcopy(tiny_gru)),
        }
        config = copy.deepcopy(tiny_experiment)
        for field, value in settings.items():
            assert hasattr(config, field)
            setattr(config, field, value)
        policy, critic = models[model]
        return Experiment(
            task=task,
            algorithm_config=algorithm,
            model_config=policy,
            critic_model_config=critic,
            seed=seed,
            config=config,
            callbacks=list(callbacks),
        )

    return build_experiment


def changed(config: type[AlgorithmConfig], **options: Any) -> AlgorithmConfig:
    """The plugin's settings of an algorithm but for some options."""
    return config(**{**vars(config.get_from_yaml()), **options})


def run(experiment: Experiment) -> dict[str, list[Any]]:
    """Run to the end; the losses of every iteration by group."""
    recorder = Recorder()
    recorder.experiment = experiment
    experiment.callbacks = [*experiment.callbacks, recorder]
    experiment.run()
    return recorder.losses


def results(experiment: Experiment) -> dict[str, Any]:
    """The results json of an experiment's run."""
    path = experiment.folder_name / f"{experiment.name}.json"
    return json.loads(path.read_text())


def epsilons(experiment: Experiment) -> list[float]:
    """Exploration of each group."""
    return [float(policy[-1].eps) for policy in experiment.group_policies.values()]


def check_losses(losses: dict[str, list[Any]], groups: set[str]) -> None:
    assert set(losses) == groups
    for iterations in losses.values():
        assert len(iterations) == 3
        for update in iterations:
            assert update.batch_size == (2,)
            assert set(update.keys()) == LOGGED | {"grad_norm_loss"}
            assert all(torch.isfinite(value).all() for value in update.values())
            assert (update["projection_weight_mean"] > 0).all()
            assert (update["underestimated_fraction"] <= 1).all()
            assert (update["mixer_gradient_mean"] >= 0).all()
