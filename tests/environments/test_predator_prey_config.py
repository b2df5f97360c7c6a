"""Every option of Predator-Prey is validated, with a message that helps."""

from __future__ import annotations

from typing import Any

import pytest
from predator_prey_worlds import published_config

from remix_plugin.environments.predator_prey.config import PredatorPreyConfig
from remix_plugin.environments.predator_prey.env import PredatorPreyEnv

INTEGERS = (
    "grid_height",
    "grid_width",
    "n_predators",
    "n_prey",
    "window_size",
    "capture_size",
    "max_steps",
)
FLOATS = ("capture_reward", "punishment", "prey_rest_probability")
FLAGS = (
    "mask_occupied",
    "include_hare_channel",
    "observe_last_action",
    "observe_agent_id",
)


@pytest.mark.parametrize("field", INTEGERS)
@pytest.mark.parametrize("value", [0, -3])
def test_config_refuses_sizes_below_one(field: str, value: int) -> None:
    match = rf"{field}={value} is not allowed: it must be an integer >= 1"
    with pytest.raises(ValueError, match=match):
        published_config(**{field: value})


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"window_size": 4}, ["window_size=4", "odd"]),
        ({"capture_size": 9}, ["capture_size=9", ">= 1", "<= 8"]),
        ({"capture_reward": -1.0}, ["capture_reward=-1.0", ">= 0"]),
        ({"capture_reward": float("inf")}, ["capture_reward=inf", ">= 0"]),
        ({"punishment": 0.5}, ["punishment=0.5", "<= 0"]),
        ({"punishment": float("nan")}, ["punishment=nan", "<= 0"]),
        ({"prey_rest_probability": -0.1}, ["prey_rest_probability=-0.1", ">= 0"]),
        ({"prey_rest_probability": 1.1}, ["prey_rest_probability=1.1", "<= 1"]),
        (
            {"n_predators": 8, "n_prey": 93},
            ["n_predators=8", "n_prey=93", "at most 100", "10 x 10"],
        ),
        (
            {"grid_height": 3, "grid_width": 5},
            ["n_predators=8", "n_prey=8", "at most 15", "3 x 5"],
        ),
    ],
)
def test_config_names_option_value_and_what_is_allowed(
    changes: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(ValueError, match="not allowed") as error:
        published_config(**changes)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field in INTEGERS for value in (2.0, True, "3", None)]
    + [(field, value) for field in FLOATS for value in (False, "1", None)]
    + [(field, value) for field in FLAGS for value in (0, 1, "true", None)],
)
def test_config_refuses_wrong_types(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"{field}={value!r} is not allowed: it must"):
        published_config(**{field: value})


def test_config_has_no_defaults() -> None:
    with pytest.raises(TypeError, match="missing 14 required"):
        PredatorPreyConfig()


def test_config_refuses_unknown_options() -> None:
    with pytest.raises(TypeError, match="n_hares"):
        published_config(n_hares=1)


def test_config_allows_a_full_grid() -> None:
    env = PredatorPreyEnv(published_config(n_prey=92), num_envs=1, seed=0)
    assert env.reset()["state"].sum() == 100
