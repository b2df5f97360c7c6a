"""What the double of smacv2 must have in common with the real package."""

from __future__ import annotations

from pathlib import Path

import benchmarl
import numpy as np
import yaml

# Map: allies, enemies, limit, actions, observation, state; from the real package.
V1_SIZES = {
    "1c3s5z": (9, 9, 180, 15, 162, 270),
    "3s_vs_5z": (3, 5, 250, 11, 48, 68),
    "5m_vs_6m": (5, 6, 70, 12, 55, 98),
    "6h_vs_8z": (6, 8, 150, 14, 78, 140),
    "MMM2": (10, 12, 180, 18, 176, 322),
    "corridor": (6, 24, 400, 30, 156, 282),
    "3m": (3, 3, 60, 9, 30, 48),
    "8m": (8, 8, 120, 14, 80, 168),
    "25m": (25, 25, 150, 31, 250, 950),
    "8m_vs_9m": (8, 9, 120, 15, 85, 179),
    "10m_vs_11m": (10, 11, 150, 17, 105, 243),
    "27m_vs_30m": (27, 30, 180, 36, 285, 1170),
    "MMM": (10, 10, 150, 16, 160, 290),
    "2s3z": (5, 5, 120, 11, 80, 120),
    "3s5z": (8, 8, 150, 14, 128, 216),
    "3s5z_vs_3s6z": (8, 9, 170, 15, 136, 230),
    "3s_vs_3z": (3, 3, 150, 9, 36, 54),
    "3s_vs_4z": (3, 4, 200, 10, 42, 61),
    "2m_vs_1z": (2, 1, 150, 7, 16, 26),
    "2s_vs_1sc": (2, 1, 300, 7, 17, 27),
    "so_many_baneling": (7, 32, 100, 38, 202, 397),
    "bane_vs_bane": (24, 24, 200, 30, 336, 984),
    "2c_vs_64zg": (2, 64, 400, 70, 332, 342),
}
# Teams: observation and state of Protoss, of Terran and Zerg.
SMACV2_SIZES = {
    (5, 5): (92, 130, 82, 120),
    (10, 10): (182, 310, 162, 290),
    (10, 11): (191, 327, 170, 306),
    (20, 20): (362, 820, 322, 780),
    (20, 23): (389, 901, 346, 858),
}
# All arguments of the real constructor and their defaults.
KEYWORDS = {
    "map_name": "8m",
    "step_mul": 8,
    "move_amount": 2,
    "difficulty": "7",
    "game_version": None,
    "seed": None,
    "continuing_episode": False,
    "obs_all_health": True,
    "obs_own_health": True,
    "obs_last_action": False,
    "obs_pathing_grid": False,
    "obs_terrain_height": False,
    "obs_instead_of_state": False,
    "obs_timestep_number": False,
    "obs_own_pos": False,
    "obs_starcraft": True,
    "conic_fov": False,
    "num_fov_actions": 12,
    "state_last_action": True,
    "state_timestep_number": False,
    "reward_sparse": False,
    "reward_only_positive": True,
    "reward_death_value": 10,
    "reward_win": 200,
    "reward_defeat": 0,
    "reward_negative_scale": 0.5,
    "reward_scale": True,
    "reward_scale_rate": 20,
    "use_unit_ranges": False,
    "min_attack_range": 2,
    "kill_unit_step_mul": 2,
    "fully_observable": False,
    "capability_config": {},
    "replay_dir": "",
    "replay_prefix": "",
    "window_size_x": 1920,
    "window_size_y": 1200,
    "heuristic_ai": False,
    "heuristic_rest": False,
    "debug": False,
    "prob_obs_enemy": 1.0,
    "action_mask": True,
}
# Switches off what a v1 map does not survive, or reads types from, in stock code.
PLAYABLE = "no_endless_restart,no_misread_types"


def make(map_name="3m", **options):
    from smacv2.env import StarCraft2Env

    return StarCraft2Env(map_name, **{"seed": 0, **options})


def smacv2_options(task):
    folder = Path(benchmarl.__file__).parent / "conf" / "task" / "smacv2"
    return yaml.safe_load((folder / f"{task}.yaml").read_text())


def make_smacv2(task="protoss_5_vs_5", **options):
    from smacv2.env import StarCraftCapabilityEnvWrapper

    return StarCraftCapabilityEnvWrapper(
        **{"seed": 0, **smacv2_options(task), **options}
    )


def play(env, policy):
    """Rewards and the last information of an episode, without its reset."""
    rewards = []
    for _ in range(env.episode_limit):
        reward, done, info = env.step(policy(env))
        rewards.append(reward)
        if done:
            break
    assert done
    return rewards, info


def stop(env):
    return [mask.index(1) for mask in env.get_avail_actions()]


def enemy_features(env, agent):
    n_enemies, width = env.get_obs_enemy_feats_size()
    start = env.get_obs_move_feats_size()
    observation = env.get_obs_agent(agent)
    return observation[start : start + n_enemies * width].reshape(n_enemies, width)


def check_sizes(env, sizes):
    n_agents, n_enemies, limit, n_actions, n_obs, n_state = sizes
    assert (env.n_agents, env.n_enemies) == (n_agents, n_enemies)
    assert env.episode_limit == limit
    assert env.n_actions == env.get_total_actions() == n_actions
    assert (env.get_obs_size(), env.get_state_size()) == (n_obs, n_state)
    assert env.get_env_info()["obs_shape"] == n_obs
    observations, state = env.reset()
    assert isinstance(observations, list)
    assert np.shape(observations) == (n_agents, n_obs)
    assert state.shape == (n_state,)
    assert {x.dtype for x in [*observations, state]} == {np.dtype("float32")}
    assert np.shape(env.get_avail_actions()) == (n_agents, n_actions)
    assert (len(env.agents), len(env.enemies)) == (n_agents, n_enemies)
