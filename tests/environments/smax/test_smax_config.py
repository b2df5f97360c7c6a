"""Every option of SMAX is validated, with a message that helps; so is its task."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from smax_battles import N_ENVS, needs_jaxmarl, smax_config, smax_env
from tensordict import TensorDict

from remix_plugin.environments.smax.common import SmaxTask
from remix_plugin.environments.smax.config import SmaxConfig
from remix_plugin.environments.smax.env import SmaxEnv
from remix_plugin.environments.smax.maps import MAPS

FLAGS = ("enemy_shoots", "normalize_state", "terminate_at_limit")


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("max_steps", 0, "an integer >= 1"),
        ("max_steps", -3, "an integer >= 1"),
        ("reward_scale", 0, "a number > 0"),
        ("reward_scale", -1.5, "a number > 0"),
        ("reward_scale", float("nan"), "a number > 0"),
        ("reward_scale", float("inf"), "a number > 0"),
        ("map_name", "MMM2", ", ".join(repr(name) for name in MAPS)),
        ("map_name", "3M", "'3m', '8m'"),
        ("map_name", None, "'3m', '8m'"),
    ],
)
def test_config_names_option_value_and_what_is_allowed(
    field: str, value: Any, allowed: str
) -> None:
    with pytest.raises(ValueError, match="not allowed") as error:
        smax_config(**{field: value})
    assert f"{field}={value!r} is not allowed: it must be" in str(error.value)
    assert allowed in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_steps", value) for value in (2.0, True, "3", None)]
    + [("reward_scale", value) for value in (False, "1", None)]
    + [(field, value) for field in FLAGS for value in (0, 1, "true", None)],
)
def test_config_refuses_wrong_types(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"{field}={value!r} is not allowed: it must"):
        smax_config(**{field: value})


def test_config_has_no_defaults() -> None:
    with pytest.raises(TypeError, match="missing 6 required"):
        SmaxConfig()


def test_config_refuses_unknown_options() -> None:
    with pytest.raises(TypeError, match="n_wolves"):
        smax_config(n_wolves=1)


def test_there_is_a_task_for_each_map() -> None:
    assert [task.name.lower() for task in SmaxTask] == list(MAPS)
    for task in SmaxTask:
        assert task.get_from_yaml().config == vars(
            smax_config(map_name=task.name.lower())
        )


def test_task_without_an_environment() -> None:
    task = SmaxTask["3M"].get_from_yaml()
    assert task.max_steps(None) == 101
    assert task.has_render(None) is False
    assert task.env_name() == "smax"
    assert task.supports_discrete_actions()
    task.config["max_steps"] = 7
    assert task.max_steps(None) == 8
    task.config["max_steps"] = 0
    with pytest.raises(ValueError, match="max_steps=0 is not allowed"):
        task.get_env_fun(1, False, 0, "cpu")


def test_log_info_reports_episodes_that_ended() -> None:
    flags = {
        "battle_won": torch.tensor([[[True], [True]], [[False], [False]]]),
        "episode_limit": torch.tensor([[[True], [False]], [[False], [True]]]),
    }
    done = torch.tensor([[[False], [True]], [[False], [True]]])
    batch = TensorDict({"next": {"done": done, "info": flags}}, batch_size=[2, 2])
    task = SmaxTask["3M"].get_from_yaml()
    assert task.log_info(batch) == {
        "collection/info/win_rate": 0.5,
        "collection/info/episode_limit_rate": 0.5,
    }
    batch["next", "done"] = torch.zeros_like(done)
    assert task.log_info(batch) == {}


@needs_jaxmarl
@pytest.mark.parametrize("num_envs", [0, -1])
def test_environment_refuses_an_empty_batch(num_envs: int) -> None:
    with pytest.raises(ValueError, match=rf"num_envs={num_envs} .* must be >= 1"):
        SmaxEnv(smax_config(), num_envs=num_envs)


@needs_jaxmarl
def test_task_makes_the_environment() -> None:
    task = SmaxTask["3S_VS_5Z"].get_from_yaml()
    assert task.supports_continuous_actions() is False
    env = task.get_env_fun(N_ENVS, False, 0, "cpu")()
    assert isinstance(env, SmaxEnv)
    assert env.batch_size == (N_ENVS,)
    assert env.config == smax_config(map_name="3s_vs_5z")
    assert task.group_map(env) == {"agents": ["ally_0", "ally_1", "ally_2"]}


@needs_jaxmarl
def test_specs_of_the_task_have_no_batch() -> None:
    task = SmaxTask["3M"].get_from_yaml()
    env = smax_env()
    leaves = {
        name: {key: tuple(leaf.shape) for key, leaf in spec.items(True, True)}
        for name, spec in (
            ("observation", task.observation_spec(env)),
            ("mask", task.action_mask_spec(env)),
            ("action", task.action_spec(env)),
            ("state", task.state_spec(env)),
            ("info", task.info_spec(env)),
        )
    }
    assert leaves == {
        "observation": {("agents", "observation"): (3, 75)},
        "mask": {("agents", "action_mask"): (3, 8)},
        "action": {("agents", "action"): (3,)},
        "state": {"state": (72,)},
        "info": {
            ("info", key): (1,)
            for key in ("battle_won", "episode_limit", "dead_allies", "dead_enemies")
        },
    }
