"""Names, files and registries of tasks agree, however a task is loaded."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmarl.environments import task_config_registry
from benchmarl.hydra_config import load_task_config_from_hydra
from config_files import BENCHMARL_CONF, CONFIGS, TASK_MEMBERS, read, stems, typed
from omegaconf import DictConfig, OmegaConf

pytestmark = pytest.mark.slow

Compose = Callable[[str], DictConfig]

# Environments whose tasks, one for each map, share a YAML, with their numbers of maps.
SHARED = {"smax": 19, "smac": 23}


@pytest.fixture(scope="module")
def compose_task(compose_benchmarl: Callable[..., DictConfig]) -> Compose:
    """A task's part of BenchMARL's config; made once for each, since it takes time."""

    @lru_cache
    def compose(name: str) -> DictConfig:
        return compose_benchmarl("algorithm=remix", f"task={name}").task

    return compose


def _read_task(name: str) -> dict[str, Any]:
    """What a task's YAML says, with what its environment's tasks share."""
    environment = name.split("/")[0]
    shared = read("environment", environment) if environment in SHARED else {}
    own = read("task", name)
    assert not set(shared) & set(own)
    return {**shared, **own}


@pytest.mark.parametrize("name", TASK_MEMBERS)
def test_task_is_registered_under_its_yaml(name: str) -> None:
    assert task_config_registry[name] is TASK_MEMBERS[name]
    assert TASK_MEMBERS[name].get_task().name.lower() == name.split("/")[1]


def test_every_task_has_a_yaml_and_the_reverse() -> None:
    assert stems(CONFIGS, "task") == set(TASK_MEMBERS)


def test_every_shared_yaml_has_its_tasks_and_the_reverse() -> None:
    assert stems(CONFIGS, "environment") == set(SHARED)
    assert not stems(BENCHMARL_CONF, "environment")
    environments = [name.split("/")[0] for name in TASK_MEMBERS]
    for environment, n_maps in SHARED.items():
        assert environments.count(environment) == n_maps


@pytest.mark.parametrize(
    "name", [name for name in TASK_MEMBERS if name.split("/")[0] in SHARED]
)
def test_maps_differ_in_their_name_alone(name: str) -> None:
    environment, stem = name.split("/")
    own = yaml.safe_load((CONFIGS / "task" / f"{name}.yaml").read_text())
    defaults = [f"{environment}_{stem}_config", f"/environment/{environment}@_here_"]
    assert own.pop("defaults") == [*defaults, "_self_"]
    assert set(own) == {"map_name"}
    assert own["map_name"].lower() == stem


@pytest.mark.parametrize("name", TASK_MEMBERS)
def test_task_yaml_hydra_and_dataclass_agree(name: str, compose_task: Compose) -> None:
    loaded = TASK_MEMBERS[name].get_from_yaml()
    composed = load_task_config_from_hydra(compose_task(name), name)
    assert composed == loaded
    schema = type(loaded).config_class
    assert type(OmegaConf.to_object(compose_task(name))) is schema
    written = _read_task(name)
    assert sorted(written) == sorted(f.name for f in dataclasses.fields(schema))
    assert typed(loaded.config) == typed(composed.config) == typed(written)


@pytest.mark.parametrize("name", TASK_MEMBERS)
def test_task_is_loaded_from_a_path(name: str, tmp_path: Path) -> None:
    written = _read_task(name)
    changes = {
        "matrix_game": {"payoff": [[1, 2], [3, 4]]},
        "predator_prey": {"n_prey": 3},
        "smax": {"max_steps": 7},
        "smac": {"step_mul": 4},
    }[name.split("/")[0]]
    assert set(changes) <= set(written)
    written.update(changes)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(written))
    assert TASK_MEMBERS[name].get_from_yaml(str(path)).config == written


@pytest.mark.parametrize("environment", SHARED)
def test_task_from_a_path_may_build_upon_the_shared_yaml(
    environment: str, tmp_path: Path
) -> None:
    own = {"map_name": "8m", "reward_scale": {"smax": 2.5, "smac": False}[environment]}
    defaults = [f"/environment/{environment}@_here_", "_self_"]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"defaults": defaults, **own}))
    loaded = TASK_MEMBERS[f"{environment}/3m"].get_from_yaml(str(path)).config
    assert loaded == {**_read_task(f"{environment}/3m"), **own}
    path.write_text(yaml.safe_dump({"defaults": ["/environment/nope@_here_"], **own}))
    with pytest.raises(FileNotFoundError, match=r"environment='nope' .* smac, smax"):
        TASK_MEMBERS[f"{environment}/3m"].get_from_yaml(str(path))


@pytest.mark.parametrize("name", TASK_MEMBERS)
def test_task_is_type_checked_without_a_warning(
    name: str, compose_task: Compose
) -> None:
    config = compose_task(name)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*TaskConfig.*")
        TASK_MEMBERS[name].get_from_yaml()
        load_task_config_from_hydra(config, name)
