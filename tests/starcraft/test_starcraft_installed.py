"""What can be told on a machine with StarCraft II alone: ``pytest -m starcraft``."""

from __future__ import annotations

import pytest
import torch
from benchmarl.environments import Smacv2Task
from smac_play import ending, fight, full_health, make_env, play, stop

from remix_plugin.starcraft.game_files import SMAC_MAPS as MAPS
from remix_plugin.starcraft.installation import check_starcraft

PROBLEMS = check_starcraft([*MAPS, "10gen_protoss"])

pytestmark = [
    pytest.mark.starcraft,
    pytest.mark.skipif(bool(PROBLEMS), reason=" ".join(PROBLEMS)),
]


@pytest.mark.parametrize("map_name", MAPS)
def test_armies_come_back_after_every_episode(map_name: str) -> None:
    torch.manual_seed(0)
    env = make_env(map_name)
    game = env._sc2_proc
    worth = env.max_reward
    try:
        # Defeats, victories where the map is easy, and the limit where enemies wait.
        for policy in (stop, fight, None):
            env.reset()
            assert full_health(env)
            steps = play(env, policy)
            assert "lost" not in ending(steps)
            assert -0.01 < steps["next", "reward"].sum().item() < 22
            assert env.max_reward == pytest.approx(worth)
        env.reset()
        env.rollout(3)
        env.reset()
        assert full_health(env)
        assert env._sc2_proc is game
        assert env.force_restarts == 0
    finally:
        env.close()


def test_a_time_limit_is_survived() -> None:
    # The enemy of this map cannot walk.
    env = make_env("2s_vs_1sc")
    try:
        for _ in range(3):
            assert ending(play(env, stop)) == {"done", "terminated", "limit"}
            env.reset()
            assert full_health(env)
    finally:
        env.close()


def test_smacv2_of_benchmarl() -> None:
    task = Smacv2Task.PROTOSS_5_VS_5.get_from_yaml()
    env = task.get_env_fun(1, False, 0, "cpu")()
    try:
        steps = env.rollout(200)
        assert steps["next", "done"][-1]
        assert 0 <= steps["next", "reward"].sum().item() < 22
    finally:
        env.close()
