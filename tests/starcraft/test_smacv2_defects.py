"""What the unmodified smacv2 gets wrong on SMAC's maps; ours must not.

Each test names a reason why our environment overrides something. Should one fail with
a newer smacv2, that override can go.
"""

from __future__ import annotations

import numpy as np
import pytest
from real_smacv2 import real_smacv2
from torchrl.envs.libs.smacv2 import SMACv2Env

starcraft2 = real_smacv2()

STOP, EAST = 1, 4
MOVE_FEATURES = 4
SMACV2_5_VS_5 = {
    "n_units": 5,
    "n_enemies": 5,
    "team_gen": {
        "dist_type": "weighted_teams",
        "unit_types": ["stalker", "zealot", "colossus"],
        "exception_unit_types": [],
        "weights": [0.45, 0.45, 0.1],
        "observe": True,
    },
    "start_positions": {
        "dist_type": "surrounded_and_reflect",
        "p": 0.5,
        "map_x": 32,
        "map_y": 32,
    },
}


def fight(env):
    """Play one episode: shoot the first enemy in range, else go east."""
    total = 0.0
    for _ in range(env.episode_limit):
        masks = np.array(env.get_avail_actions())
        targets = masks[:, 6:].argmax(-1) + 6
        actions = np.where(masks[:, 6:].any(-1), targets, EAST)
        actions = np.where(masks[:, EAST] | (actions > 5), actions, STOP)
        reward, done, info = env.step(np.where(masks[:, 0], 0, actions))
        total += reward
        if done:
            break
    return total, info


def seen_enemies(env, agent):
    """How many enemies have features in the observation of an agent."""
    n_enemies, n_features = env.get_obs_enemy_feats_size()
    observation = env.get_obs()[agent][MOVE_FEATURES:]
    return int(
        observation[: n_enemies * n_features].reshape(n_enemies, -1).any(-1).sum()
    )


@pytest.mark.parametrize("map_name", ["3m", "5m_vs_6m", "3s_vs_5z"])
def test_second_episode_of_a_v1_map_never_starts(simulated_game, map_name):
    from simulated_battle import EndlessRestart

    env = starcraft2.StarCraft2Env(map_name=map_name)
    env.reset()
    fight(env)
    with pytest.raises(EndlessRestart, match=map_name):
        env.reset()
    # It is the map that comes back; a map without the trigger stays empty.
    assert simulated_game.battle.respawns >= 1


def test_second_episode_starts_on_a_map_without_the_trigger(simulated_game):
    from smacv2.env import StarCraftCapabilityEnvWrapper

    env = StarCraftCapabilityEnvWrapper(
        map_name="10gen_protoss", capability_config=SMACV2_5_VS_5
    )
    for _ in range(3):
        observations, state = env.reset()
        assert len(observations) == 5 and state.shape == (env.get_state_size(),)
        fight(env)
    assert simulated_game.launches == 1


def test_an_enemy_nobody_has_seen_wipes_those_before_it(simulated_game):
    simulated_game.options.hidden_enemy = True
    env = starcraft2.StarCraft2Env(map_name="5m_vs_6m")
    env.reset()
    distances = [
        [env.distance(a.pos.x, a.pos.y, e.pos.x, e.pos.y) for e in env.enemies.values()]
        for a in env.agents.values()
    ]
    assert [sum(d < 9 for d in row) for row in distances] == [5] * 5
    assert [seen_enemies(env, agent) for agent in range(5)] == [0] * 5


def test_all_enemies_are_seen_once_none_is_hidden(simulated_game):
    env = starcraft2.StarCraft2Env(map_name="5m_vs_6m")
    env.reset()
    assert [seen_enemies(env, agent) for agent in range(5)] == [6] * 5


def test_each_reset_before_the_first_finished_episode_counts_the_enemies(
    simulated_game,
):
    env = starcraft2.StarCraft2Env(map_name="5m_vs_6m")
    expected = [530, 800, 1070]
    for launches, max_reward in enumerate(expected, start=1):
        env.reset()
        assert env.max_reward == pytest.approx(max_reward)
        assert simulated_game.launches == launches
    # The replaced games are left running: nobody closes them.
    assert len(simulated_game.running) == len(expected)


def test_torchrl_resets_twice_before_the_first_step(simulated_game):
    env = SMACv2Env(map_name="5m_vs_6m")
    env.reset()
    assert env._env.max_reward == pytest.approx(800)
    assert simulated_game.launches == 2


def test_a_won_episode_returns_less_than_twenty_after_two_resets(simulated_game):
    simulated_game.options.idle_enemies = True
    returns = []
    for resets in (1, 2):
        env = starcraft2.StarCraft2Env(map_name="5m_vs_6m")
        for _ in range(resets):
            env.reset()
        total, info = fight(env)
        assert info["battle_won"]
        returns.append(total)
    assert returns == pytest.approx([20.0, 20.0 * 530 / 800])


@pytest.mark.parametrize("lost_as", ["connection", "protocol"])
def test_lost_connection_looks_like_a_finished_episode(simulated_game, lost_as):
    simulated_game.options.lost_as = lost_as
    env = starcraft2.StarCraft2Env(map_name="3m")
    env.reset()
    simulated_game.options.lose_connection_at = 16
    assert env.step([STOP] * 3)[1:] == (
        False,
        {"battle_won": False, "dead_allies": 0, "dead_enemies": 0},
    )
    assert env.step([STOP] * 3) == (0, True, {})
    assert env.force_restarts == 1
    assert simulated_game.launches == 2
    # It did not count as an episode, so the next reset launches a third game.
    assert env._episode_count == 0
    env.reset()
    assert simulated_game.launches == 3


def test_the_time_limit_says_nothing_of_itself(simulated_game):
    simulated_game.options.idle_enemies = True
    env = starcraft2.StarCraft2Env(map_name="3m")
    env.reset()
    for step in range(1, env.episode_limit + 1):
        _, done, info = env.step([STOP] * 3)
        assert done == (step == env.episode_limit)
    assert "episode_limit" not in info and not info["battle_won"]


@pytest.mark.parametrize("map_name", ["2s3z", "3s5z", "3s5z_vs_3s6z"])
def test_stalkers_and_zealots_cannot_be_observed(simulated_game, map_name):
    # Types of agents are looked up among the standard ones, but are the map's own.
    env = starcraft2.StarCraft2Env(map_name=map_name)
    with pytest.raises(IndexError, match="out of bounds"):
        env.reset()


@pytest.mark.parametrize("map_name", ["1c3s5z", "MMM", "MMM2", "bane_vs_bane"])
def test_all_agents_of_other_mixed_maps_look_of_one_type(simulated_game, map_name):
    env = starcraft2.StarCraft2Env(map_name=map_name)
    env.reset()
    types = {env.get_unit_type_id(unit, ally=True) for unit in env.agents.values()}
    assert types == {env.unit_type_bits - 1}
    assert len({unit.unit_type for unit in env.agents.values()}) == env.unit_type_bits


def test_waiting_for_units_counts_the_enemies_at_every_look(simulated_game):
    simulated_game.options.failed_spawns = 1
    simulated_game.options.idle_enemies = True
    env = starcraft2.StarCraft2Env(map_name="3m")
    with pytest.raises(starcraft2.CannotResetException, match="waited for units"):
        env.reset()
    assert env.max_reward == pytest.approx(3 * 10 + 200 + 1000 * 3 * 45)


def test_agents_that_die_while_it_waits_for_units_break_the_reset(simulated_game):
    simulated_game.options.failed_spawns = 1
    env = starcraft2.StarCraft2Env(map_name="3m")
    with pytest.raises(ValueError, match="empty"):
        env.reset()


def test_the_seed_reaches_the_game(simulated_game):
    starcraft2.StarCraft2Env(map_name="3m", seed=7).reset()
    starcraft2.StarCraft2Env(map_name="3m").reset()
    assert simulated_game.seeds == [7, None]
