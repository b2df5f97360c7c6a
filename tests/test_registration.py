"""Names, files and registries agree, however a config is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmarl.algorithms import Qmix, algorithm_config_registry
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import Task, task_config_registry
from benchmarl.experiment import ExperimentConfig
from benchmarl.hydra_config import (
    load_model_config_from_hydra,
)
from benchmarl.models import GruConfig, model_config_registry
from config_files import BENCHMARL_CONF, CONFIGS, TASK_MEMBERS, read, stems, typed
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

import remix_plugin
from remix_plugin import configs
from remix_plugin.algorithms.remix import Remix, RemixConfig
from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.models.fused_gru import FusedGruConfig
from remix_plugin.registration import ALGORITHM_CONFIGS, MODELS

pytestmark = pytest.mark.slow

Compose = Callable[..., DictConfig]

ALGORITHMS = {
    config.associated_class().__name__.lower(): config for config in ALGORITHM_CONFIGS
}
LONGER_RETURNS = ("vdac", "vdacsum", "dop", "coma")
MODEL_YAMLS = [path.stem for path in sorted((CONFIGS / "model").rglob("*.yaml"))]
EXPERIMENTS = [path.stem for path in sorted((CONFIGS / "experiment").glob("*.yaml"))]
YAMLS = [
    str(path.relative_to(CONFIGS).with_suffix(""))
    for path in sorted(CONFIGS.rglob("*.yaml"))
]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithm_is_registered_under_its_class_name(name: str) -> None:
    assert algorithm_config_registry[name] is ALGORITHMS[name]


def test_every_algorithm_has_a_yaml_and_one_of_the_paper_and_the_reverse() -> None:
    papers = {f"paper/{name}" for name in ALGORITHMS}
    assert stems(CONFIGS, "algorithm") == set(ALGORITHMS) | papers


@pytest.mark.parametrize("group", ["algorithm", "task", "experiment", "model"])
def test_no_config_shadows_one_of_benchmarl(group: str) -> None:
    assert stems(BENCHMARL_CONF, group)
    assert not stems(CONFIGS, group) & stems(BENCHMARL_CONF, group)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithm_yaml_hydra_and_dataclass_agree(
    name: str, compose_benchmarl: Compose
) -> None:
    loaded = ALGORITHMS[name].get_from_yaml()
    cfg = compose_benchmarl(f"algorithm={name}", "task=matrix_game/qtran")
    composed = OmegaConf.to_object(cfg.algorithm)
    assert type(loaded) is type(composed) is ALGORITHMS[name]
    fields = [field.name for field in dataclasses.fields(ALGORITHMS[name])]
    written = read("algorithm", name)
    assert sorted(written) == sorted(fields)
    assert typed(vars(loaded)) == typed(vars(composed)) == typed(written)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_paper_settings_differ_in_what_they_say_alone(
    name: str, compose_benchmarl: Compose
) -> None:
    cfg = compose_benchmarl(f"algorithm=paper/{name}", "task=matrix_game/qtran")
    composed = OmegaConf.to_object(cfg.algorithm)
    assert type(composed) is ALGORITHMS[name]
    changed = read("algorithm", "paper", name)
    path = configs.config_path("algorithm", "paper", name)
    assert ALGORITHMS[name].get_from_yaml(str(path)) == composed
    assert vars(composed) == {**vars(ALGORITHMS[name].get_from_yaml()), **changed}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_shared_options_have_the_defaults_of_remix(name: str) -> None:
    own, remix = read("algorithm", name), read("algorithm", "remix")
    for field in ("double_q", "delay_value", "loss_function", "burn_in"):
        assert own.get(field, remix[field]) == remix[field]
    # Actor-critics have longer returns by default.
    assert own["td_lambda"] == (0.8 if name in LONGER_RETURNS else 0.0)


@pytest.mark.parametrize("config", MODELS)
def test_model_is_registered_under_its_yaml(config: Any) -> None:
    assert model_config_registry[config.registry_name] is config
    assert config.registry_name in MODEL_YAMLS
    assert read("model", "layers", config.registry_name)["name"] == (
        config.registry_name
    )
    class_name = config.associated_class().__name__.lower()
    assert class_name == config.registry_name.replace("_", "")


@pytest.mark.parametrize("name", MODEL_YAMLS)
def test_model_yaml_hydra_and_dataclass_agree(
    name: str, compose_benchmarl: Compose
) -> None:
    path = configs.config_path("model", "layers", name)
    written = read("model", "layers", name)
    config = model_config_registry[written.pop("name")]
    assert sorted(written) == sorted(f.name for f in dataclasses.fields(config))
    loaded = config.get_from_yaml(str(path))
    cfg = compose_benchmarl(
        "algorithm=remix", "task=matrix_game/qtran", f"model=layers/{name}"
    )
    assert load_model_config_from_hydra(cfg.model) == loaded
    # Classes are written by name.
    values = {
        key: f"{value.__module__.split('.modules')[0]}.{value.__name__}"
        if isinstance(value, type)
        else value
        for key, value in vars(loaded).items()
    }
    assert typed(values) == typed(written)
    if config in MODELS and name == config.registry_name:
        assert config.get_from_yaml() == loaded


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_config_equals_the_composed_one(
    name: str, compose_benchmarl: Compose
) -> None:
    loaded = remix_plugin.get_experiment_config(name)
    cfg = compose_benchmarl(
        "algorithm=remix", "task=matrix_game/qtran", f"experiment={name}"
    )
    composed = OmegaConf.to_object(cfg.experiment)
    assert isinstance(composed, ExperimentConfig)
    # Values alone: BenchMARL's own base_experiment has whole numbers for floats.
    assert loaded == composed
    assert loaded != ExperimentConfig.get_from_yaml()


@pytest.mark.parametrize(
    "config",
    [
        *ALGORITHM_CONFIGS,
        *MODELS,
        *dict.fromkeys(type(t.get_task()) for t in TASK_MEMBERS.values()),
    ],
)
def test_configs_have_no_defaults_in_python(config: Any) -> None:
    for field in dataclasses.fields(getattr(config, "config_class", config)):
        assert field.default is dataclasses.MISSING
        assert field.default_factory is dataclasses.MISSING


@pytest.mark.parametrize("name", YAMLS)
def test_every_key_is_commented(name: str) -> None:
    # Neighboring keys may share the comment above the first of them.
    above = ""
    lines = (CONFIGS / name).with_suffix(".yaml").read_text().splitlines()
    uncommented = []
    for line in lines:
        is_key = line[:1].isalpha() and not line.startswith("defaults:")
        if is_key and not (above.startswith("#") or above == "commented key"):
            uncommented.append(line)
        above = "commented key" if is_key else line
    assert not uncommented


@pytest.mark.parametrize("name", YAMLS)
def test_numbers_mean_the_same_to_both_yaml_readers(name: str) -> None:
    # "5e-4" is a string to PyYAML and a float to OmegaConf.
    path = (CONFIGS / name).with_suffix(".yaml")
    content = yaml.safe_load(path.read_text())
    assert typed(content) == typed(OmegaConf.to_container(OmegaConf.load(path)))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithm_is_loaded_from_a_path(name: str, tmp_path: Path) -> None:
    written = {**read("algorithm", name), "td_lambda": 0.25}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(written))
    assert vars(ALGORITHMS[name].get_from_yaml(str(path))) == written


def test_registering_again_is_harmless() -> None:
    algorithms, tasks = dict(algorithm_config_registry), dict(task_config_registry)
    models = dict(model_config_registry)
    remix_plugin.register()
    remix_plugin.register()
    assert algorithm_config_registry == algorithms
    assert task_config_registry == tasks
    assert model_config_registry == models


def test_algorithm_of_the_same_name_is_refused() -> None:
    class OtherConfig(RemixConfig):
        """Another config of an algorithm called Remix."""

    store = ConfigStore.instance()
    with pytest.raises(ValueError, match="'remix' is already registered"):
        remix_plugin.register_algorithm(OtherConfig)
    assert algorithm_config_registry["remix"] is RemixConfig
    schema = store.load("algorithm/remix_options.yaml").node
    assert OmegaConf.get_type(schema) is RemixConfig


def test_name_of_a_benchmarl_algorithm_is_refused() -> None:
    class OtherConfig(RemixConfig):
        """Would take the place of BenchMARL's QMIX."""

        @staticmethod
        def associated_class() -> type[Any]:
            return Qmix

    before = algorithm_config_registry["qmix"]
    with pytest.raises(ValueError, match="'qmix' is already registered"):
        remix_plugin.register_algorithm(OtherConfig)
    assert algorithm_config_registry["qmix"] is before


def test_task_of_the_same_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        task_config_registry, "matrix_game/qtran", MatrixGameTask.CUSTOM
    )
    with pytest.raises(ValueError, match="'matrix_game/qtran' is already registered"):
        remix_plugin.register()


def test_model_of_the_same_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(model_config_registry, "fused_gru", GruConfig)
    with pytest.raises(ValueError, match="'fused_gru' is already registered"):
        remix_plugin.register()
    assert model_config_registry["fused_gru"] is GruConfig


def test_models_have_the_sizes_of_their_sources() -> None:
    theirs, ours = vars(GruConfig.get_from_yaml()), vars(FusedGruConfig.get_from_yaml())
    for field in ("hidden_size", "n_layers", "bias", "mlp_num_cells"):
        assert ours[field] == theirs[field]
    assert ours["activation_class"] is theirs["mlp_activation_class"]
    assert ours["encoder_num_cells"] == []


def test_an_algorithm_of_the_users_own_is_registered(tmp_path: Path) -> None:
    class Mine(Remix):
        """A user's algorithm."""

    @dataclasses.dataclass
    class MineConfig(RemixConfig):
        """Its options."""

        @staticmethod
        def associated_class() -> type[Any]:
            return Mine

    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(read("algorithm", "remix")))
    remix_plugin.register_algorithm(MineConfig)
    try:
        config = algorithm_config_registry["mine"]
        assert isinstance(config.get_from_yaml(str(path)), MineConfig)
        match = r"algorithm='mine' is not one of .*remix"
        with pytest.raises(FileNotFoundError, match=match):
            config.get_from_yaml()
    finally:
        del algorithm_config_registry["mine"]


@pytest.mark.parametrize("group", ["experiment", "algorithm"])
def test_unknown_name_is_answered_with_the_known_ones(group: str) -> None:
    known = ", ".join(sorted(stems(CONFIGS, group)))
    match = rf"{group}='nope' is not one of the plugin's configs: .* {known}\.$"
    with pytest.raises(FileNotFoundError, match=match):
        configs.config_path(group, "nope")


def test_unknown_experiment_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match=r"experiment='nope'.*predator_prey"):
        remix_plugin.get_experiment_config("nope")


@pytest.mark.parametrize("name", ["predator_prey.v2", "matrix_game.yml"])
def test_unknown_name_with_a_dot_is_refused(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="predator_prey"):
        configs.config_path("experiment", name)


def test_unknown_field_of_an_experiment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("defaults:\n  - base_experiment\nlearning_rate: 0.1\n")
    monkeypatch.setattr(configs, "config_path", lambda *parts: path)
    with pytest.raises(AttributeError, match="learning_rate"):
        configs.get_experiment_config("mine")


def test_models_can_be_chosen(compose_benchmarl: Compose) -> None:
    cfg = compose_benchmarl(
        "algorithm=remix",
        "task=predator_prey/punish_2",
        "model=layers/mlp_relu_128",
        "model@critic_model=layers/mlp_relu_128",
    )
    for model in (cfg.model, cfg.critic_model):
        assert list(model.num_cells) == [128, 128]
        assert model.activation_class == "torch.nn.ReLU"


def test_configs_of_benchmarl_still_load(compose_benchmarl: Compose) -> None:
    cfg = compose_benchmarl("algorithm=qmix", "task=vmas/balance")
    config = OmegaConf.to_object(cfg.algorithm)
    assert isinstance(config, AlgorithmConfig)
    assert config == algorithm_config_registry["qmix"].get_from_yaml()
    assert isinstance(task_config_registry["vmas/balance"], Task)
