"""SMAC's environment over the double of smacv2, which needs no StarCraft."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cloudpickle
import pytest
import torch
from double_contract import V1_SIZES
from double_package import installed_double, read_log
from fabricated_installation import make_game, make_packages
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
from torchrl.envs import SerialEnv
from torchrl.envs.utils import check_env_specs

from remix_plugin.environments.smac.common import SmacTask
from remix_plugin.environments.smac.game import get_game_class
from remix_plugin.starcraft.installation import StarCraftError

pytestmark = pytest.mark.slow


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch, log: Path) -> Iterator[Callable]:
    """Install the double, with all quirks of the real package; calls add some."""
    get_game_class.cache_clear()
    with installed_double(monkeypatch, log=log):
        yield lambda quirks: monkeypatch.setenv("SMACV2_DOUBLE", quirks)
    get_game_class.cache_clear()


@pytest.fixture
def installed_game(double: Callable, tmp_path: Path) -> Iterator[None]:
    """A StarCraft folder and pysc2, as the check of the installation wants them."""
    game, packages = tmp_path / "StarCraftII", tmp_path / "site"
    # Undone before the double is: what is restored must not have the double in it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SC2PATH", str(make_game(game, maps=["3m"])))
        patch.syspath_prepend(make_packages(packages, "pysc2"))
        yield


def events(log, name):
    return [event for event in read_log(log) if event["event"] == name]


def win(env):
    """Play until a battle is won, which the first policy does in most."""
    for _ in range(20):
        for unit in env._controller.world.units if full_health(env) else ():
            if unit.owner == 2:
                unit.health, unit.shield = 1.0, 0.0
        steps = play(env, fight)
        if "won" in ending(steps):
            return steps
    raise AssertionError("no battle was won")


@pytest.mark.parametrize("map_name", V1_SIZES)
def test_sizes_and_specs(double, log, map_name):
    torch.manual_seed(0)
    n_agents, n_enemies, limit, n_actions, n_obs, n_state = V1_SIZES[map_name]
    env = make_env(map_name)
    td = env.reset()
    assert td["agents", "observation"].shape == (n_agents, n_obs)
    assert td["agents", "action_mask"].shape == (n_agents, n_actions)
    assert td["state"].shape == (n_state,)
    assert (env.n_enemies, env.episode_limit) == (n_enemies, limit)
    assert env.full_action_spec["agents", "action"].space.n == n_actions
    check_env_specs(env)
    env.close()
    assert len(events(log, "launch")) == len(events(log, "close")) == 1


def test_types_of_entries(double):
    env = make_env()
    td = env.rollout(2)
    types = {
        ("agents", "observation"): torch.float32,
        ("agents", "action_mask"): torch.bool,
        ("agents", "action"): torch.int64,
        "state": torch.float32,
        ("next", "reward"): torch.float32,
        ("next", "info", "dead_allies"): torch.int64,
        **dict.fromkeys(
            [("next", key) for key in ("done", "terminated", "truncated")]
            + [
                ("next", "info", key)
                for key in ("battle_won", "episode_limit", "connection_lost")
            ],
            torch.bool,
        ),
    }
    for key, dtype in types.items():
        assert td[key].dtype == dtype
    assert td["next", "reward"].shape == (2, 1)
    assert td["next", "info", "connection_lost"].shape == (2,)


@pytest.mark.parametrize("map_name", ["3m", "5m_vs_6m", "2s3z", "3s_vs_5z", "MMM2"])
def test_episodes_in_a_row_take_one_game(double, log, map_name):
    env = make_env(map_name)
    worth = expected_max_reward(env)
    steps = win(env)
    # Medivacs may heal what is then shot a second time.
    assert 19.999 < steps["next", "reward"].sum().item() < 20.5
    assert ending(steps) == {"done", "terminated", "won"}
    for policy in (stop, None, stop):
        env.reset()
        assert full_health(env)
        assert env.max_reward == pytest.approx(worth)
        assert ending(play(env, policy)) >= {"done", "terminated"}
    step(env)
    env.reset()
    assert full_health(env)
    env.close()
    assert len(events(log, "launch")) == len(events(log, "close")) == 1


def test_resets_before_the_first_episode_has_ended(double, log):
    env = make_env("5m_vs_6m")
    for _ in range(3):
        env.reset()
        step(env)
    assert env.max_reward == 530
    assert len(events(log, "launch")) == 1


@pytest.mark.parametrize("map_name", ["5m_vs_6m", *ALLIED_TYPES])
def test_agents_see_all_in_sight(double, map_name):
    env = make_env(map_name)
    hidden, deaths = 0, 0
    for _ in range(2):
        td = env.reset()
        while not td["done"]:
            td = step(env, fight, td)
            expected = [
                expected_observation(env._env, agent, mask)
                for agent, mask in enumerate(td["agents", "action_mask"].tolist())
            ]
            torch.testing.assert_close(
                td["agents", "observation"], torch.tensor(expected)
            )
            n_features = env.get_obs_enemy_feats_size()[1]
            seen = td["agents", "observation"][:, 4 : 4 + env.n_enemies * n_features]
            seen = seen.view(env.n_agents, env.n_enemies, -1).any(-1)
            hidden += (seen.any(-1) & ~seen.all(-1)).sum().item()
            deaths += td["info", "dead_enemies"].item()
    assert hidden
    assert deaths


def test_masks_are_honored_and_the_dead_are_zeros(double):
    torch.manual_seed(0)
    env = make_env("8m")
    steps = torch.cat([play(env) for _ in range(3)])
    mask = steps["agents", "action_mask"]
    taken = steps["agents", "action"].unsqueeze(-1)
    assert mask.gather(-1, taken).all()
    dead = mask[..., 0]
    assert dead.any()
    assert not mask[dead][:, 1:].any()
    assert not steps["agents", "observation"][dead].any()
    assert mask[~dead][:, 1].all()
    td = env.reset()
    with pytest.raises(RuntimeError, match="out-of-bounds"):
        env.step(td.set(("agents", "action"), torch.zeros(8, dtype=torch.int64)))


@pytest.mark.parametrize("continuing", [False, True])
def test_time_limit(double, continuing):
    # The enemy of this map cannot walk.
    env = make_env("2s_vs_1sc", continuing_episode=continuing)
    steps = play(env, stop)
    assert len(steps) == 300
    end = "truncated" if continuing else "terminated"
    assert ending(steps) == {"done", "limit", end}
    assert not steps["next", "info", "episode_limit"][:-1].any()
    assert ending(play(env, fight)) >= {"done", "terminated"}


def test_defeat_is_terminated(double):
    env = make_env(continuing_episode=True)
    assert ending(play(env, stop)) == {"done", "terminated"}


@pytest.mark.parametrize("at", [2, 60])
def test_lost_connection(double, log, at):
    double(f"lost_connection_at={at}")
    env = make_env()
    for _ in range(10):
        steps = play(env, fight)
        if env.force_restarts:
            break
        assert "lost" not in ending(steps)
    assert ending(steps) == {"done", "truncated", "lost"}
    assert steps["next", "reward"][-1] == 0
    assert not steps["next", "info", "connection_lost"][:-1].any()
    env.reset()
    assert full_health(env)
    assert "lost" not in ending(play(env, fight))
    assert (env.force_restarts, env.max_reward) == (1, 365)
    env.close()
    assert len(events(log, "launch")) == len(events(log, "close")) == 2


@pytest.mark.parametrize("quirk", ["at_reset=2", "at_spawn=2", "at_spawn=1"])
def test_connection_lost_in_a_reset(double, log, quirk):
    double(f"lost_connection_{quirk}")
    env = make_env()
    for _ in range(3):
        td = env.reset()
        assert full_health(env)
        known = {unit.tag for unit in [*env.agents.values(), *env.enemies.values()]}
        assert known == {unit.tag for unit in env._controller.world.units}
        assert not td["info", "connection_lost"]
        assert "lost" not in ending(play(env, fight))
    assert (env.force_restarts, env.max_reward) == (1, 365)
    assert len(events(log, "launch")) == 2


@pytest.mark.parametrize("quirk", ["1", "2"])
def test_units_that_fail_to_appear_once(double, quirk):
    double(f"units_fail_to_spawn={quirk}")
    env = make_env()
    for _ in range(3):
        env.reset()
        assert full_health(env)
        assert env.max_reward == 365
        play(env, fight)
    assert env.force_restarts == 1


def test_two_games_lost_at_the_start_of_an_episode(double, log):
    double("lost_connection_at_spawn=2+3")
    env = make_env()
    play(env, fight)
    env.reset()
    assert full_health(env)
    known = {unit.tag for unit in [*env.agents.values(), *env.enemies.values()]}
    assert known == {unit.tag for unit in env._controller.world.units}
    assert (env.force_restarts, env.max_reward) == (2, 365)
    assert "lost" not in ending(play(env, fight))
    assert len(events(log, "launch")) == 3


def test_games_lost_at_every_start(double, log):
    double("lost_connection_at_spawn=1-99")
    with pytest.raises(StarCraftError, match=r"map 3m could be started: 3 games"):
        make_env()
    assert len(events(log, "launch")) == len(events(log, "close")) == 3


def test_games_lost_at_every_start_of_a_later_episode(double, log):
    double("lost_connection_at_spawn=2-99")
    env = make_env()
    play(env, fight)
    with pytest.raises(StarCraftError, match=r"map 3m could be started: 3 games"):
        env.reset()
    assert len(events(log, "launch")) == len(events(log, "close")) == 3


def test_units_that_never_appear(double, monkeypatch, log):
    monkeypatch.setattr("smacv2.fight.World.create", lambda *_: None)
    with pytest.raises(StarCraftError, match=r"map 3m could be started: 3 games"):
        make_env()
    assert len(events(log, "launch")) == len(events(log, "close")) == 3


def test_launch_errors_are_explained(double, monkeypatch):
    error = FileNotFoundError(2, "No such file or directory", "/nowhere/Versions")

    def fail(*args):
        raise error

    monkeypatch.setattr("smacv2.env.starcraft2.starcraft2.Game", fail)
    with pytest.raises(StarCraftError, match="3m") as raised:
        make_env()
    assert raised.value.__cause__ is error


def test_a_game_that_cannot_be_started_is_closed(double, monkeypatch, log):
    monkeypatch.setattr("smacv2.env.starcraft2.starcraft2.DIFFICULTIES", {})
    # What is kept of the error keeps the game alive.
    with pytest.raises(KeyError, match="7") as raised:
        make_env()
    assert len(events(log, "launch")) == len(events(log, "close")) > 0
    assert raised.value.args == ("7",)


def test_environment_says_what_it_cannot(double):
    env = make_env()
    with pytest.raises(NotImplementedError):
        env.set_seed(0)
    double("broken_render")
    with pytest.raises(TypeError, match="shuffle"):
        make_env().render()


def test_picture(double):
    assert make_env().render().shape == (128, 128, 3)


def test_every_environment_has_its_own_seed(installed_game, log):
    make_one = SmacTask["3M"].get_task().get_env_fun(2, False, 5, "cpu")
    first = make_one()
    env = SerialEnv(2, make_one)
    steps = env.rollout(3, stop)
    assert steps.batch_size == (2, 3)
    assert not torch.equal(*steps["agents", "observation"][:, 0])
    env.close()
    first.close()
    launched, closed = events(log, "launch"), events(log, "close")
    # One of them, for the specs, is closed at once.
    assert [event["seed"] for event in launched] == [5, 6, 7, 8]
    games = {event["game"] for event in launched}
    # Games of earlier tests may be closed meanwhile.
    assert {event["game"] for event in closed} >= games
    assert len(games) == 4


def test_processes_get_functions_with_seeds_of_their_own(installed_game, log):
    make_one = SmacTask["3M"].get_task().get_env_fun(2, False, 5, "cpu")
    make_one().close()
    # As ParallelEnv sends it, to one process after the other.
    for _ in range(3):
        cloudpickle.loads(cloudpickle.dumps(make_one))().close()
    make_one().close()
    assert [event["seed"] for event in events(log, "launch")] == [5, 6, 7, 8, 9]


def test_no_seed_is_no_seed(installed_game, log):
    make_one = SmacTask["3M"].get_task().get_env_fun(2, False, None, "cpu")
    for _ in range(2):
        make_one().close()
    assert [event["seed"] for event in events(log, "launch")] == [None, None]


def test_a_missing_map_is_told_before_anything_starts(installed_game, log):
    task = SmacTask["8M"].get_task()
    with pytest.raises(StarCraftError, match=r"8m\.SC2Map"):
        task.get_env_fun(1, False, 0, "cpu")
    assert not events(log, "launch")
