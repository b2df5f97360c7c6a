"""The double of smacv2 errs as the real package does, and stops when told to."""

from __future__ import annotations

import pytest
from double_contract import PLAYABLE, enemy_features, make, make_smacv2, play, stop
from double_package import focus_fire, installed_double


@pytest.fixture
def double(monkeypatch):
    """Install the double as ``smacv2``; calls of it choose its quirks."""
    with installed_double(monkeypatch):

        def switch(quirks):
            monkeypatch.setenv("SMACV2_DOUBLE", quirks)

        yield switch


def test_max_reward_grows_until_an_episode_has_finished(double):
    from smacv2 import log

    env = make("5m_vs_6m")
    for resets, expected in enumerate([530, 800, 1070], start=1):
        env.reset()
        assert env.max_reward == expected
        assert log.count("launch") == resets
    double("no_growing_reward,no_endless_restart")
    env = make("5m_vs_6m")
    for _ in range(3):
        env.reset()
    assert env.max_reward == 530
    assert log.count("launch") == 4
    env.close()
    env.close()
    assert log.EVENTS[-1]["event"] == "close"
    # Those that were replaced are closed by their finalizers.
    assert log.count("close") == 4


def test_v1_map_is_never_empty(double):
    from smacv2.env import StarCraft2Env
    from smacv2.quirks import EndlessRestart

    env = make()
    env.reset()
    play(env, focus_fire)
    with pytest.raises(EndlessRestart, match="3m"):
        env.reset()

    class KillsOnce(StarCraft2Env):
        def _restart(self):
            units = [*self.agents.values(), *self.enemies.values()]
            self._kill_units([unit.tag for unit in units if unit.health > 0])
            self._controller.step(1)
            self._controller.step(1)

    env = KillsOnce("3m", seed=0)
    for _ in range(3):
        env.reset()
        assert {unit.health for unit in env.enemies.values()} == {45}
        play(env, focus_fire)
    assert env._episode_count == 3


def test_unseen_enemy_wipes_those_before_it(double):
    def sights(*, told):
        env = make("5m_vs_6m")
        env.reset()
        for unit in [*env.agents.values(), *env.enemies.values()]:
            unit.pos.x, unit.pos.y = 10.0, 16.0
        env.enemies[3].pos.x = 30.0
        env.obs_enemies[:] = told
        env.enemy_tags = [None] * 6
        return [enemy_features(env, agent).any(-1).tolist() for agent in range(5)]

    sight = [True, True, True, False, True, True]
    assert sights(told=0) == [[False] * 4 + [True] * 2] * 5
    assert sights(told=1) == [sight] * 5
    double("no_wiped_features")
    assert sights(told=0) == [sight] * 5


def test_dead_enemy_wipes_those_before_it(double):
    env = make()
    env.reset()
    for unit in env._controller.world.units:
        unit.pos.x = 12.0 + unit.owner
    # It dies where nobody sees the corpse.
    corpse = env._controller.world.units[-1]
    corpse.health, corpse.pos.x = 1.0, 31.0
    env.step([1, 1, 1])
    env.get_obs()
    env._kill_units([corpse.tag])
    env.step([1, 1, 1])
    assert env.enemies[2].health == 0
    assert not any(enemy_features(env, agent).any() for agent in range(3))
    env.obs_enemies[:] = 1
    assert enemy_features(env, 0).any(-1).tolist() == [True, True, False]


def test_mixed_v1_maps_misread_types(double):
    with pytest.raises(IndexError, match="out of bounds"):
        make("2s3z").reset()
    observations, _ = make("MMM").reset()
    assert [row[-3:].tolist() for row in observations] == [[0, 0, 1]] * 10
    double("no_misread_types")
    observations, _ = make("MMM").reset()
    types = [int(row[-3:].argmax()) for row in observations]
    assert types == [0, 0, 1, 1, 1, 1, 1, 1, 1, 2]


def test_lost_connection(double):
    from smacv2 import log

    double("lost_connection_at=3+4")
    env = make()
    env.reset()
    results = [env.step([1, 1, 1]) for _ in range(5)]
    assert [result == (0, True, {}) for result in results] == [0, 0, 1, 1, 0]
    assert env.force_restarts == 2
    assert log.count("launch") == 3
    # Lost games are no episodes, but units of a new game are not those of the old: the
    # environment takes all for dead.
    assert results[4] == (
        pytest.approx(20 * (3 * 10 + 3 * 45) / env.max_reward),
        True,
        {"battle_won": False, "dead_allies": 3, "dead_enemies": 3},
    )
    assert env._episode_count == 1


def test_connection_lost_in_a_reset(double):
    double(f"{PLAYABLE},lost_connection_at_reset=2,lost_connection_at_spawn=3")
    env = make()
    for restarts in range(3):
        env.reset()
        assert env.force_restarts == restarts
        if restarts < 2:
            play(env, focus_fire)
    # Nobody looked for the units of the game that replaced the second.
    assert {unit.tag for unit in env._controller.world.units}.isdisjoint(
        unit.tag for unit in env.agents.values()
    )


def test_units_that_do_not_appear(double):
    from smacv2.env.starcraft2.starcraft2 import CannotResetException

    double("units_fail_to_spawn=1+3")
    env = make_smacv2()
    assert env.reset() is None
    assert len(env.agents) == 5
    play(env, stop)
    assert env.reset() is None
    play(env, stop)
    assert env.reset() is not None
    env = make()
    with pytest.raises(CannotResetException):
        env.reset()
    env.reset()


def test_broken_render(double):
    env = make()
    env.reset()
    assert env.render(mode="rgb_array").shape == (128, 128, 3)
    double("broken_render")
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3"):
        make().render()


def test_unknown_quirk_is_refused(double):
    double("nope")
    with pytest.raises(ValueError, match="'nope'"):
        make()
