"""The tasks of SMAC and their options; nothing here needs a game."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarl.environments import task_config_registry
from benchmarl.hydra_config import load_task_config_from_hydra
from double_contract import KEYWORDS, V1_SIZES
from smac_play import make_config
from tensordict import TensorDict

from remix_plugin.environments.smac import common
from remix_plugin.environments.smac.common import SmacClass, SmacTask
from remix_plugin.environments.smac.config import SmacConfig
from remix_plugin.environments.smac.game import get_game_class
from remix_plugin.starcraft.game_files import SMAC_MAPS as MAPS
from remix_plugin.starcraft.installation import StarCraftError

pytestmark = pytest.mark.slow

OPTIONS = [field.name for field in dataclasses.fields(SmacConfig)]
FLAGS = [name for name in OPTIONS if name.startswith(("obs_", "state_"))]
FLAGS += ["continuing_episode", "reward_sparse", "reward_only_positive", "reward_scale"]
NUMBERS = {
    "step_mul": "an integer >= 1",
    "move_amount": "a number > 0",
    "reward_scale_rate": "a number > 0",
    "reward_death_value": "a number >= 0",
    "reward_win": "a number >= 0",
    "reward_negative_scale": "a number >= 0",
    "reward_defeat": "a number <= 0",
}
CHOICES = {
    "map_name": ("'3m', '8m', ", ["3M", "nope", "10gen_terran", None]),
    "backend": ("'smacv2', 'smac'", ["pysc2", None]),
    "difficulty": ("'1', '2', .*'9', 'A'", ["0", "10", "a", 7, None]),
}
BAD = [(name, value, "true or false") for name in FLAGS for value in (1, None, "yes")]
BAD += [
    (name, value, allowed)
    for name, allowed in NUMBERS.items()
    for value in ("1", None, True, float("nan"), float("inf"))
]
BAD += [(name, 0, NUMBERS[name]) for name in ("step_mul", "move_amount")]
BAD += [("reward_scale_rate", 0, NUMBERS["reward_scale_rate"])]
BAD += [("step_mul", 2.0, NUMBERS["step_mul"])]
BAD += [(name, -0.5, NUMBERS[name]) for name in NUMBERS if name != "reward_defeat"]
BAD += [("reward_defeat", 0.5, NUMBERS["reward_defeat"])]
BAD += [("game_version", 4.1, "string in quotes, or null")]
BAD += [
    (name, value, allowed)
    for name, (allowed, values) in CHOICES.items()
    for value in values
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_bad_value_is_refused(name: str, value: Any, allowed: str) -> None:
    said = re.escape(f"{name}={value!r} is not allowed: it must be ")
    allowed = allowed if name in CHOICES else re.escape(allowed)
    with pytest.raises((TypeError, ValueError), match=f"{said}.*{allowed}"):
        SmacConfig(**{**vars(make_config()), name: value})
    task = SmacTask["3M"].get_task()
    task.config[name] = value
    with pytest.raises((TypeError, ValueError), match=said):
        task.get_env_fun(1, False, 0, "cpu")


def test_state_of_observations_needs_the_original() -> None:
    options = {**vars(make_config()), "obs_instead_of_state": True}
    with pytest.raises(ValueError, match=r"obs_instead_of_state=True .* 'smac'"):
        SmacConfig(**options)
    assert SmacConfig(**{**options, "backend": "smac"}).obs_instead_of_state


def test_every_option_is_tested() -> None:
    assert {*OPTIONS} == {*FLAGS, *NUMBERS, *CHOICES, "game_version"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step_mul", 1),
        ("move_amount", 0.5),
        ("reward_win", 0),
        ("reward_defeat", -200),
        ("game_version", "4.10"),
        ("difficulty", "A"),
        ("backend", "smac"),
    ],
)
def test_good_value_is_taken(name: str, value: Any) -> None:
    assert getattr(make_config(**{name: value}), name) == value


def test_unknown_and_missing_options_are_refused() -> None:
    config = SmacTask["3M"].get_task().config
    with pytest.raises(TypeError, match="sight_range"):
        SmacClass("3M", {**config, "sight_range": 9})
    with pytest.raises(TypeError, match="step_mul"):
        SmacClass("3M", {k: v for k, v in config.items() if k != "step_mul"})


def test_defaults_are_those_of_the_packages() -> None:
    options = make_config("3m").game_options()
    assert options == {name: KEYWORDS[name] for name in options} | {"map_name": "3m"}
    assert {*options} | {"backend"} == {*OPTIONS}


def test_maps_are_the_tabulated_ones() -> None:
    assert {*MAPS} == {*V1_SIZES}
    assert len(MAPS) == 23
    assert [task.name for task in SmacTask] == [name.upper() for name in MAPS]


@pytest.mark.parametrize("map_name", MAPS)
def test_task_of_a_map(map_name: str, compose_benchmarl: Any) -> None:
    member = SmacTask[map_name.upper()]
    name = f"smac/{map_name.lower()}"
    assert task_config_registry[name] is member
    task = member.get_task()
    assert isinstance(task, SmacClass)
    assert task.config["map_name"] == map_name
    composed = compose_benchmarl("algorithm=remix", f"task={name}")
    assert load_task_config_from_hydra(composed.task, name) == task
    assert task.config == {**SmacTask["3M"].get_task().config, "map_name": map_name}


def test_mmm2_plays_mmm2(compose_benchmarl: Any) -> None:
    assert compose_benchmarl("algorithm=remix", "task=smac/mmm2").task.map_name == (
        "MMM2"
    )


def test_difficulty_needs_no_quotes_on_the_command_line(compose_benchmarl: Any) -> None:
    cfg = compose_benchmarl("algorithm=remix", "task=smac/3m", "task.difficulty=5")
    task = load_task_config_from_hydra(cfg.task, "smac/3m")
    assert task.options.difficulty == "5"


def test_members_and_tasks_are_pickled() -> None:
    for member in SmacTask:
        assert pickle.loads(pickle.dumps(member)) is member
        task = member.get_task()
        assert pickle.loads(pickle.dumps(task)) == task == copy.deepcopy(task)
    assert pickle.loads(pickle.dumps(make_config())) == make_config()


def test_missing_game_is_told_before_a_run_has_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # What BenchMARL asks first.
    monkeypatch.setenv("SC2PATH", str(tmp_path))
    with pytest.raises(StarCraftError, match=re.escape(str(tmp_path))):
        SmacTask["3M"].get_task().supports_continuous_actions()


def test_what_tasks_say_of_themselves() -> None:
    task = SmacTask["1C3S5Z"].get_task()
    assert task.env_name() == "smac"
    assert task.supports_discrete_actions()


@pytest.mark.parametrize("fails", [False, True])
def test_rendering_needs_a_pysc2_that_can(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr(common, "rendering_fails", lambda: fails)
    assert SmacTask["3M"].get_task().has_render(None) is not fails


def test_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    get_game_class.cache_clear()
    monkeypatch.setitem(sys.modules, "smacv2", None)
    monkeypatch.setitem(sys.modules, "smacv2.env", None)
    with pytest.raises(ImportError, match="smacv2"):
        get_game_class("smacv2")


def flags(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)


def test_rates_that_are_logged() -> None:
    # Two won, one at its limit, two lost by their connections, of five that ended.
    info = {
        "battle_won": flags(1, 0, 1, 0, 0, 0, 0),
        "episode_limit": flags(0, 0, 0, 1, 0, 0, 0),
        "connection_lost": flags(0, 0, 0, 0, 1, 0, 1),
    }
    done = flags(1, 0, 1, 1, 1, 0, 1).unsqueeze(-1)
    batch = TensorDict({"next": {"info": info, "done": done}}).auto_batch_size_()
    batch["next"].batch_size = batch.batch_size = [7]
    logged = SmacClass.log_info(batch)
    assert logged == {
        "collection/info/win_rate": pytest.approx(2 / 3),
        "collection/info/episode_limit_rate": pytest.approx(1 / 3),
        "collection/info/lost_connections": 2,
    }
    nothing = SmacClass.log_info(batch[[1, 5]])
    assert nothing == {"collection/info/lost_connections": 0}
