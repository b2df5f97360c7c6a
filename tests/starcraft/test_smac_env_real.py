"""SMAC's environment with the real package, over the simulated game."""

from __future__ import annotations

import random

import pytest
import torch
from double_contract import V1_SIZES
from simulated_battle import ARMIES, ENEMIES
from smac_backend import BACKEND, real_package
from smac_play import (
    ending,
    expected_max_reward,
    fight,
    full_health,
    make_env,
    play,
    step,
    stop,
)
from smac_views import ALLIED_TYPES, expected_observation
from torchrl.envs.utils import check_env_specs

real_package()
MAPS = ["3m", "5m_vs_6m", "2s3z", "3s_vs_5z", "MMM2"]


def make(map_name="3m", **options):
    return make_env(map_name, backend=BACKEND, **options)


def units_of_the_game(game):
    return {unit.tag for unit in game.battle.units}


def known_units(env):
    return {unit.tag for unit in [*env.agents.values(), *env.enemies.values()]}


@pytest.mark.parametrize("map_name", V1_SIZES)
def test_sizes_are_the_tabulated_ones(simulated_game, map_name):
    n_agents, n_enemies, limit, n_actions, n_obs, n_state = V1_SIZES[map_name]
    env = make(map_name)
    td = env.reset()
    assert td["agents", "observation"].shape == (n_agents, n_obs)
    assert td["agents", "action_mask"].shape == (n_agents, n_actions)
    assert td["state"].shape == (n_state,)
    assert (env.n_enemies, env.episode_limit) == (n_enemies, limit)
    assert env.full_action_spec["agents", "action"].space.n == n_actions
    assert env.max_reward == expected_max_reward(env)
    assert full_health(env)


@pytest.mark.parametrize("map_name", MAPS)
def test_specs_hold(simulated_game, map_name):
    torch.manual_seed(0)
    check_env_specs(make(map_name))


def test_specs_hold_with_all_options(simulated_game):
    torch.manual_seed(0)
    names = ("last_action", "pathing_grid", "terrain_height", "timestep_number")
    options = {f"obs_{name}": True for name in names}
    env = make("MMM2", state_timestep_number=True, state_last_action=False, **options)
    check_env_specs(env)
    assert env.observation_spec["state"].shape == (322 - 10 * 18 + 1,)
    n_obs = 176 + 8 + 9 + 9 * 18 + 1
    assert env.observation_spec["agents", "observation"].shape == (10, n_obs)
    if BACKEND == "smac":
        env = make("3m", obs_instead_of_state=True)
        check_env_specs(env)
        td = env.reset()
        assert torch.equal(td["state"], td["agents", "observation"].flatten())


@pytest.mark.parametrize("map_name", MAPS)
def test_episodes_in_a_row_take_one_game(simulated_game, map_name):
    game = simulated_game
    torch.manual_seed(0)
    env = make(map_name)
    worth = expected_max_reward(env)
    game.options.idle_enemies = True
    for policy, idle, flags in (
        (fight, True, {"won"}),
        (stop, False, set()),
        (stop, True, {"limit"}),
        (fight, True, {"won"}),
        (None, False, None),
    ):
        game.options.idle_enemies = idle
        td = env.reset()
        assert full_health(env)
        assert known_units(env) == units_of_the_game(game)
        assert not td["info"]["connection_lost"]
        steps = play(env, policy)
        if flags is not None:
            assert ending(steps) == {"done", "terminated", *flags}
        if flags == {"limit"}:
            assert len(steps) == env.episode_limit
        if flags == {"won"}:
            # Shields come back, and are shot away again.
            assert 19.999 < steps["next", "reward"].sum().item() < 20.5
            assert steps["next", "info", "dead_enemies"][-1] == env.n_enemies
        assert env.max_reward == pytest.approx(worth)
    assert game.launches == len(game.running) == 1
    assert env.force_restarts == 0
    env.close()
    env.close()
    assert not game.running


def test_a_won_battle_returns_twenty(simulated_game):
    simulated_game.options.idle_enemies = True
    env = make("5m_vs_6m")
    assert env.max_reward == 530
    assert play(env, fight)["next", "reward"].sum().item() == pytest.approx(20)
    # Whoever dies at once counts as much.
    td = env.reset()
    for unit in simulated_game.battle.side(ENEMIES):
        unit.health = 0.5
    rewards = 0.0
    while not td["done"]:
        td = step(env, fight, td)
        rewards += td["reward"].item()
    assert rewards == pytest.approx(20)


def test_a_reset_within_an_episode_takes_no_other_game(simulated_game):
    env = make("5m_vs_6m")
    for _ in range(3):
        td = env.reset()
        assert full_health(env)
        for _ in range(6):
            td = step(env, fight, td)
        assert not full_health(env)
    play(env)
    step(env)
    env.reset()
    assert full_health(env)
    assert (simulated_game.launches, env.max_reward) == (1, 530)


def test_a_reset_after_a_reset_begins_no_other_episode(simulated_game):
    env = make()
    respawns = simulated_game.battle.respawns
    first, second = env.reset(), env.reset()
    assert simulated_game.battle.respawns == respawns == 0
    assert torch.equal(first["agents", "observation"], second["agents", "observation"])
    assert torch.equal(first["state"], second["state"])


def test_restart_after_a_draw(simulated_game):
    env = make("3m")
    for _ in range(3):
        td = step(env)
        simulated_game.battle.kill(list(units_of_the_game(simulated_game)))
        assert ending(step(env, td=td)) == {"done", "terminated"}
        env.reset()
        assert full_health(env)
        assert known_units(env) == units_of_the_game(simulated_game)
    assert simulated_game.launches == 1


@pytest.mark.parametrize("map_name", ["5m_vs_6m", *ALLIED_TYPES])
@pytest.mark.parametrize("hidden", [False, True], ids=["all near", "one hidden"])
def test_agents_see_all_in_sight(simulated_game, map_name, hidden):
    random.seed(0)
    simulated_game.options.hidden_enemy = hidden
    env = make(map_name)
    deaths = 0
    for _ in range(2):
        td = env.reset()
        for _ in range(25):
            masks = td["agents", "action_mask"].tolist()
            expected = [
                expected_observation(env._env, agent, mask)
                for agent, mask in enumerate(masks)
            ]
            torch.testing.assert_close(
                td["agents", "observation"], torch.tensor(expected)
            )
            deaths += td["info", "dead_enemies"].item()
            if td["done"]:
                break
            td = step(env, fight, td)
    assert deaths


@pytest.mark.parametrize("map_name", ALLIED_TYPES)
def test_types_of_allies_are_those_of_the_army(simulated_game, map_name):
    env = make(map_name)
    bits = env.unit_type_bits
    for observation in (env.reset(), step(env), play(env)[-1]["next"]):
        alive = ~observation["agents", "action_mask"][:, 0]
        codes = observation["agents", "observation"][:, -bits:]
        assert torch.equal(codes.sum(-1), alive.float())
    codes = env.reset()["agents", "observation"][:, -bits:].sum(0).int().tolist()
    army = ARMIES[map_name][0]
    # The map's types, and so the code, are in the order of their names.
    assert codes == [army.count(kind) for kind in sorted(set(army))]


@pytest.mark.parametrize("continuing", [False, True])
def test_time_limit(simulated_game, continuing):
    simulated_game.options.idle_enemies = True
    env = make("3m", continuing_episode=continuing)
    for _ in range(2):
        steps = play(env, stop)
        assert len(steps) == 60
        end = "truncated" if continuing else "terminated"
        assert ending(steps) == {"done", "limit", end}
        assert not steps["next", "info", "episode_limit"][:-1].any()
    # A battle that ends earlier is terminated in any case.
    assert ending(play(env, fight)) == {"done", "terminated", "won"}


def test_dead_agents_see_nothing_and_do_nothing(simulated_game):
    env = make("8m")
    steps = play(env, stop)
    died = steps["next", "agents", "action_mask"][..., 0]
    assert died.any(0).all()
    assert not steps["next", "agents", "observation"][died].any()
    assert (steps["next", "agents", "action_mask"][died].sum(-1) == 1).all()
    counted = steps["next", "info", "dead_allies"]
    assert torch.equal(counted, died.sum(-1))


def test_unavailable_action_is_refused(simulated_game):
    env = make("3m")
    td = env.reset()
    with pytest.raises(RuntimeError, match="out-of-bounds"):
        env.step(td.set(("agents", "action"), torch.zeros(3, dtype=torch.int64)))
