"""The table of SMAX's maps against JaxMARL's, and against what was measured."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from smax_battles import needs_jaxmarl, smax_config, smax_env

from remix_plugin.environments.smax.maps import MAPS, UNIT_TYPES

pytestmark = pytest.mark.slow

# Name: allies, enemies, length of observations and of states, number of actions.
SIZES = {
    "3m": (3, 3, 75, 72, 8),
    "8m": (8, 8, 205, 192, 13),
    "25m": (25, 25, 647, 600, 30),
    "5m_vs_6m": (5, 6, 140, 132, 11),
    "10m_vs_11m": (10, 11, 270, 252, 16),
    "27m_vs_30m": (27, 30, 738, 684, 35),
    "2s3z": (5, 5, 127, 120, 10),
    "3s5z": (8, 8, 205, 192, 13),
    "3s5z_vs_3s6z": (8, 9, 218, 204, 14),
    "3s_vs_5z": (3, 5, 101, 96, 10),
    "6h_vs_8z": (6, 8, 179, 168, 13),
    "smacv2_5_units": (5, 5, 127, 120, 10),
    "smacv2_10_units": (10, 10, 257, 240, 15),
    "smacv2_20_units": (20, 20, 517, 480, 25),
    "corridor": (6, 24, 387, 360, 29),
    "8m_vs_9m": (8, 9, 218, 204, 14),
    "3s_vs_3z": (3, 3, 75, 72, 8),
    "3s_vs_4z": (3, 4, 88, 84, 9),
    "2m_vs_1z": (2, 1, 36, 36, 6),
}
# What JaxMARL does not have.
OURS = {
    "corridor": (["zealot"] * 6, ["zergling"] * 24),
    "8m_vs_9m": (["marine"] * 8, ["marine"] * 9),
    "3s_vs_3z": (["stalker"] * 3, ["zealot"] * 3),
    "3s_vs_4z": (["stalker"] * 3, ["zealot"] * 4),
    "2m_vs_1z": (["marine"] * 2, ["zealot"]),
}


def test_all_maps_are_measured() -> None:
    assert set(MAPS) == set(SIZES)
    assert len(MAPS) == 19


@pytest.mark.parametrize("name", MAPS)
def test_sizes_follow_the_formulae(name: str) -> None:
    n_allies, n_enemies = len(MAPS[name].allies), len(MAPS[name].enemies)
    assert SIZES[name] == (
        n_allies,
        n_enemies,
        13 * (n_allies - 1 + n_enemies) + 10,
        12 * (n_allies + n_enemies),
        5 + n_enemies,
    )
    assert {*MAPS[name].allies, *MAPS[name].enemies} <= set(UNIT_TYPES)


@pytest.mark.parametrize("name", OURS)
def test_units_of_our_own_maps(name: str) -> None:
    allies, enemies = OURS[name]
    assert list(MAPS[name].allies) == allies
    assert list(MAPS[name].enemies) == enemies
    assert not MAPS[name].generated


@needs_jaxmarl
@pytest.mark.parametrize("name", MAPS)
def test_environment_has_these_sizes(name: str) -> None:
    env = smax_env(map_name=name)
    n_allies, _, n_features, state_size, n_actions = SIZES[name]
    spec = env.full_observation_spec_unbatched
    assert spec["agents", "observation"].shape == (n_allies, n_features)
    assert spec["agents", "action_mask"].shape == (n_allies, n_actions)
    assert spec["state"].shape == (state_size,)
    assert env.full_action_spec_unbatched["agents", "action"].shape == (n_allies,)
    assert env.full_action_spec["agents", "action"].space.n == n_actions
    assert env.group_map == {"agents": [f"ally_{i}" for i in range(n_allies)]}


@needs_jaxmarl
def test_scenarios_are_those_of_jaxmarl() -> None:
    # Imported by the environment first, which keeps it quiet.
    smax_env()
    from jaxmarl.environments.smax.smax_env import MAP_NAME_TO_SCENARIO

    assert set(MAP_NAME_TO_SCENARIO) == set(MAPS) - set(OURS)
    for name, theirs in MAP_NAME_TO_SCENARIO.items():
        ours = smax_env(map_name=name)._engine.env
        assert ours.scenario.tolist() == theirs.unit_types.tolist()
        assert ours.scenario.dtype == theirs.unit_types.dtype
        for field in (
            "num_allies",
            "num_enemies",
            "smacv2_position_generation",
            "smacv2_unit_type_generation",
        ):
            assert getattr(ours, field) == getattr(theirs, field)
    for name in OURS:
        env = smax_env(map_name=name)._engine.env
        units = [UNIT_TYPES[index] for index in env.scenario.tolist()]
        assert units == [unit for side in OURS[name] for unit in side]
        assert not env.smacv2_position_generation
        assert not env.smacv2_unit_type_generation


@needs_jaxmarl
def test_engine_has_the_keywords_of_jaxmarls_learners() -> None:
    env = smax_env(max_steps=7, enemy_shoots=False)._engine.env
    assert tuple(env.unit_type_names) == UNIT_TYPES
    assert env.see_enemy_actions
    assert env.walls_cause_death
    assert env.attack_mode == "closest"
    assert (env.max_steps, env.enemy_shoots) == (7, False)


def test_listing_maps_needs_no_jaxmarl() -> None:
    assert smax_config(map_name="corridor").map_name in MAPS
    # So does this file, where Python is too old for it.
    assert find_spec("remix_plugin.environments.smax.maps") is not None
