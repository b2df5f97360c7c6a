"""Models that do not fit an algorithm or its options are refused at once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from benchmarl.algorithms import EnsembleAlgorithmConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models import GruConfig, LstmConfig, MlpConfig, SequenceModelConfig
from benchmarl.models.common import ModelConfig
from refusals import FromHydra, is_empty
from small_tasks import SmallTask
from tiny_experiments import NETWORKS, changed, name_of, tiny_fused_gru

from remix_plugin.algorithms.discrete_maddpg import DiscreteMaddpgConfig
from remix_plugin.algorithms.dop import DopConfig
from remix_plugin.algorithms.qatten import QattenConfig
from remix_plugin.algorithms.qplex import QplexConfig
from remix_plugin.algorithms.qtran import QtranConfig
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

Build = Callable[..., Experiment]
# They make no model of ``critic_model``.
WITHOUT_CRITIC = [
    (TunedQmixConfig, {}),
    (QplexConfig, {}),
    (QattenConfig, {}),
    (QtranConfig, {"arch": "coma"}),
]
WITH_CRITIC = [
    config
    for config in ALGORITHM_CONFIGS
    if config.has_centralized_critic() and config is not DiscreteMaddpgConfig
]


@pytest.fixture
def models(tiny_model: MlpConfig, tiny_gru: GruConfig) -> dict[str, ModelConfig]:
    """Small models by name."""
    lstm = LstmConfig(**vars(tiny_gru))
    sequence = SequenceModelConfig(
        model_configs=[tiny_fused_gru(), copy.deepcopy(tiny_model)],
        intermediate_sizes=[4],
    )
    return {
        "Mlp": tiny_model,
        "Gru": tiny_gru,
        "Lstm": lstm,
        "SequenceModel": sequence,
        "FusedGru": tiny_fused_gru(),
    }


@pytest.fixture
def build(tiny_experiment: ExperimentConfig, models: dict[str, ModelConfig]) -> Build:
    """Make an experiment: its algorithm, models by name, task."""

    def build_experiment(
        algorithm: AlgorithmConfig,
        model: str,
        critic: str,
        task: TaskClass | None = None,
    ) -> Experiment:
        return Experiment(
            task=task or SmallTask(),
            algorithm_config=algorithm,
            model_config=copy.deepcopy(models[model]),
            critic_model_config=copy.deepcopy(models[critic]),
            seed=0,
            config=tiny_experiment,
        )

    return build_experiment


@pytest.mark.parametrize("config", WITH_CRITIC)
@pytest.mark.parametrize("critic", ["Gru", "FusedGru"])
def test_recurrent_critic_without_recurrent_model_is_refused(
    config: type[AlgorithmConfig], critic: str, build: Build, save_folder: Path
) -> None:
    message = rf"critic_model={critic} with model=Mlp is not allowed.* recurrent model"
    with pytest.raises(ValueError, match=message):
        build(config.get_from_yaml(), "Mlp", critic)
    assert is_empty(save_folder)


@pytest.mark.parametrize("model", ["Mlp", "Gru"])
def test_recurrent_critic_of_actions_not_taken_is_refused(
    model: str, build: Build, save_folder: Path
) -> None:
    message = "critic_model=Gru is not allowed .* it must not be recurrent"
    with pytest.raises(ValueError, match=message):
        build(DiscreteMaddpgConfig.get_from_yaml(), model, "Gru")
    assert is_empty(save_folder)


def test_recurrent_critic_is_refused_on_the_command_line(
    experiment_from_hydra: FromHydra, save_folder: Path
) -> None:
    with pytest.raises(ValueError, match="critic_model=Gru with model=Mlp"):
        experiment_from_hydra(
            "algorithm=remix",
            "task=predator_prey/punish_2",
            "model@critic_model=layers/gru",
        )
    assert is_empty(save_folder)


@pytest.mark.parametrize(("config", "options"), WITHOUT_CRITIC)
def test_critic_that_is_not_used_may_be_recurrent(
    config: type[AlgorithmConfig], options: dict[str, str], build: Build
) -> None:
    experiment = build(changed(config, **options), "Mlp", "Gru")
    loss = experiment.losses["agents"]
    networks = NETWORKS[name_of(config)][0] - {"feature_network"}
    parts = [getattr(loss, name) for name in networks]
    modules = {type(module).__name__ for part in parts for module in part.modules()}
    assert "Mlp" in modules
    assert "Gru" not in modules
    experiment.close()


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
@pytest.mark.parametrize("model", ["Mlp", "Gru", "Lstm", "SequenceModel"])
def test_states_are_stored_only_for_the_fused_gru(
    config: type[AlgorithmConfig], model: str, build: Build, save_folder: Path
) -> None:
    message = (
        f"burn_in='stored' is not allowed with a model of class {model}: it must be "
        "'zero', or recurrent models must be model=layers/fused_gru"
    )
    with pytest.raises(ValueError, match=message):
        build(changed(config, burn_in="stored"), model, model)
    assert is_empty(save_folder)


@pytest.mark.parametrize("config", WITH_CRITIC)
def test_states_of_a_critic_are_stored_only_for_the_fused_gru(
    config: type[AlgorithmConfig], build: Build, save_folder: Path
) -> None:
    algorithm = changed(config, burn_in="stored")
    with pytest.raises(ValueError, match=r"'stored' is not allowed .* class Gru"):
        build(algorithm, "FusedGru", "Gru")
    with pytest.raises(ValueError, match=r"'stored' is not allowed .* class Gru"):
        build(algorithm, "Gru", "FusedGru")
    assert is_empty(save_folder)


@pytest.mark.parametrize(("config", "options"), WITHOUT_CRITIC)
def test_critic_that_is_not_used_needs_no_stored_state(
    config: type[AlgorithmConfig], options: dict[str, str], build: Build
) -> None:
    algorithm = changed(config, burn_in="stored", **options)
    build(algorithm, "FusedGru", "Gru").close()


def test_stored_states_are_refused_on_the_command_line(
    experiment_from_hydra: FromHydra, save_folder: Path
) -> None:
    with pytest.raises(ValueError, match=r"burn_in='stored' .* class Mlp"):
        experiment_from_hydra(
            "algorithm=qplex", "task=predator_prey/punish_2", "algorithm.burn_in=stored"
        )
    assert is_empty(save_folder)


@pytest.mark.parametrize(
    "config", [config for config in ALGORITHM_CONFIGS if not config.on_policy()]
)
def test_longer_returns_inside_an_ensemble_need_a_recurrent_model(
    config: type[AlgorithmConfig], build: Build, save_folder: Path
) -> None:
    has_recent = config in (RemixConfig, DopConfig)
    recent = {"recent_fraction": 0.0} if has_recent else {}
    ensemble = EnsembleAlgorithmConfig(
        {
            "adversary": OwqmixConfig.get_from_yaml(),
            "agent": changed(config, td_lambda=0.6, **recent),
        }
    )
    message = "td_lambda=0.6 is not allowed inside an ensemble .* must be 0"
    with pytest.raises(ValueError, match=message):
        build(ensemble, "Mlp", "Mlp", VmasTask.SIMPLE_TAG.get_from_yaml())
    assert is_empty(save_folder)


def test_lstm_without_stored_states_trains(build: Build) -> None:
    experiment = build(TunedQmixConfig.get_from_yaml(), "Lstm", "Lstm")
    experiment.run()
    parameters = experiment.losses["agents"].parameters()
    assert all(torch.isfinite(parameter).all() for parameter in parameters)
