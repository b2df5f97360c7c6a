"""Experiments that cannot work are refused at once and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarl.algorithms import EnsembleAlgorithmConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models import MlpConfig
from refusals import is_empty
from small_tasks import SmallTask
from torchrl.data import Composite, MultiCategorical
from torchrl.envs import EnvBase

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.registration import ALGORITHM_CONFIGS

Build = Callable[..., Experiment]


@pytest.fixture
def build(tiny_experiment: ExperimentConfig, tiny_model: MlpConfig) -> Build:
    """Make an experiment out of a task, an algorithm and changed settings."""

    def build_experiment(
        task: TaskClass,
        algorithm: AlgorithmConfig,
        **settings: Any,
    ) -> Experiment:
        for field, value in settings.items():
            setattr(tiny_experiment, field, value)
        return Experiment(
            task=task,
            algorithm_config=algorithm,
            model_config=tiny_model,
            seed=0,
            config=tiny_experiment,
        )

    return build_experiment


def test_recent_data_with_prioritized_replay_is_refused(
    build: Build, save_folder: Path
) -> None:
    message = r"recent_fraction=0.25 with .*prioritized.*=True is not allowed.*=0"
    with pytest.raises(ValueError, match=message):
        build(
            SmallTask(),
            RemixConfig.get_from_yaml(),
            off_policy_use_prioritized_replay_buffer=True,
        )
    assert is_empty(save_folder)


def test_recent_data_inside_an_ensemble_is_refused(
    build: Build, save_folder: Path
) -> None:
    ensemble = EnsembleAlgorithmConfig(
        {
            "adversary": OwqmixConfig.get_from_yaml(),
            "agent": RemixConfig.get_from_yaml(),
        }
    )
    message = "recent_fraction=0.25 is not allowed inside an ensemble.* must be 0"
    with pytest.raises(ValueError, match=message):
        build(VmasTask.SIMPLE_TAG.get_from_yaml(), ensemble)
    assert is_empty(save_folder)


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_collection_with_gradients_is_refused(
    config: type[AlgorithmConfig], build: Build, save_folder: Path
) -> None:
    message = "collect_with_grad=True is not allowed .* must be False"
    with pytest.raises(ValueError, match=message):
        build(SmallTask(), config.get_from_yaml(), collect_with_grad=True)
    assert is_empty(save_folder)


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_task_with_continuous_actions_alone_is_refused(
    config: type[AlgorithmConfig], build: Build, save_folder: Path
) -> None:
    with pytest.raises(ValueError, match="not compatible with the action space"):
        build(SmallTask(actions="continuous"), config.get_from_yaml())
    assert is_empty(save_folder)


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_continuous_actions_that_are_said_to_be_discrete_are_refused(
    config: type[AlgorithmConfig], build: Build, save_folder: Path
) -> None:
    name = config.associated_class().__name__
    with pytest.raises(NotImplementedError, match=f"{name} needs discrete actions"):
        build(SmallTask(actions="disguised"), config.get_from_yaml())
    assert is_empty(save_folder)


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_declared_action_mask_that_is_missing_is_refused(
    config: type[AlgorithmConfig], build: Build, save_folder: Path
) -> None:
    message = r"action_mask=\('agents', 'action_mask'\) is missing"
    with pytest.raises(ValueError, match=message):
        build(SmallTask(mask="declared"), config.get_from_yaml())
    assert is_empty(save_folder)


def test_action_mask_that_is_there_is_accepted(build: Build) -> None:
    experiment = build(SmallTask(mask="real"), RemixConfig.get_from_yaml())
    assert experiment.algorithm.action_mask_key("agents") == ("agents", "action_mask")
    experiment.close()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("w_min", -1.0),
        ("terms", ["regret"]),
        ("recent_fraction", 2.0),
        ("loss_function", "l3"),
        ("hypernet_layers", 3),
        ("mixing_embed_dim", 0),
        ("td_lambda", 2.0),
        ("burn_in", "warm"),
    ],
)
def test_option_changed_by_a_script_is_refused(
    field: str, value: Any, build: Build, save_folder: Path
) -> None:
    config = RemixConfig.get_from_yaml()
    setattr(config, field, value)
    with pytest.raises(ValueError, match=field):
        build(SmallTask(), config)
    assert is_empty(save_folder)


def test_task_option_changed_by_a_script_is_refused(
    build: Build, save_folder: Path
) -> None:
    task = PredatorPreyTask.PUNISH_2.get_from_yaml()
    task.config["n_prey"] = 200
    with pytest.raises(ValueError, match="n_prey=200"):
        build(task, RemixConfig.get_from_yaml())
    assert is_empty(save_folder)


class MultiDiscreteTask(SmallTask):
    """Two choices per agent, a subclass of a single one in TorchRL."""

    def action_spec(self, env: EnvBase) -> Composite:
        spec = MultiCategorical((3, 2), shape=(2, 2))
        return Composite(agents=Composite(action=spec, shape=(2,)))


def test_multi_discrete_actions_are_refused(build: Build, save_folder: Path) -> None:
    with pytest.raises(NotImplementedError, match="MultiCategorical"):
        build(MultiDiscreteTask(), RemixConfig.get_from_yaml())
    assert is_empty(save_folder)


def test_option_added_by_name_is_refused(build: Build, save_folder: Path) -> None:
    config = RemixConfig.get_from_yaml()
    config.w_mim = 0.2
    with pytest.raises(TypeError, match=r"'w_mim' is not an option .* w_min"):
        build(SmallTask(), config)
    assert is_empty(save_folder)
