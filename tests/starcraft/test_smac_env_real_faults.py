"""SMAC's environment with the real package: lost games, failed starts, seeds."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("pysc2", reason="the simulated game speaks pysc2's protocol")

from fabricated_installation import make_game
from pysc2.lib import remote_controller, sc_process
from simulated_battle import AGENTS
from simulated_game import SimulatedProcess, SimulatedRunConfig
from smac_backend import BACKEND, real_package
from smac_play import ending, fight, full_health, make_env, play, step, stop
from torchrl.envs import SerialEnv

from remix_plugin.environments.smac import common
from remix_plugin.environments.smac.common import SmacTask
from remix_plugin.starcraft.installation import StarCraftError

real_package()

LOST = {"done", "truncated", "lost"}


def make(map_name="3m", **options):
    return make_env(map_name, backend=BACKEND, **options)


def check_fresh(env, game):
    """The environment knows the units of the running game, all unharmed."""
    assert full_health(env)
    known = {unit.tag for unit in [*env.agents.values(), *env.enemies.values()]}
    assert known == {unit.tag for unit in game.battle.units}
    assert game.running == game.processes[-1:]


@pytest.mark.parametrize("lost_as", ["connection", "protocol"])
@pytest.mark.parametrize("episodes", [0, 2])
def test_connection_lost_in_an_episode(simulated_game, episodes, lost_as):
    game = simulated_game
    game.options.lost_as = lost_as
    game.options.idle_enemies = True
    env = make("5m_vs_6m")
    for _ in range(episodes):
        play(env, fight)
    td = step(env)
    # One has died: units of the lost and of the new game have the same tags.
    game.battle.kill([game.battle.side(AGENTS)[1].tag])
    td = step(env, td=td)
    assert td["info", "dead_allies"] == 1
    game.options.lose_connection_at = game.battle.loop + 1
    td = step(env, td=td)
    assert ending(td) == LOST
    assert td["reward"] == 0
    assert torch.isfinite(td["agents", "observation"]).all()
    assert (env.force_restarts, game.launches) == (1, 2)
    for _ in range(2):
        td = env.reset()
        check_fresh(env, game)
        assert not td["info", "connection_lost"]
        assert "lost" not in ending(step(env, td=td))
        assert ending(play(env, fight)) == {"done", "terminated", "won"}
    assert (env.force_restarts, game.launches, env.max_reward) == (1, 2, 530)
    env.close()
    assert not game.running


def test_connection_lost_again_and_again(simulated_game):
    env = make()
    for losses in range(1, 4):
        td = step(env)
        simulated_game.options.lose_connection_at = 1
        assert ending(step(env, td=td)) == LOST
        assert env.force_restarts == losses
    env.reset()
    check_fresh(env, simulated_game)
    assert env.max_reward == 365


def test_connection_lost_while_units_are_killed(simulated_game):
    env = make()
    play(env)
    simulated_game.options.lose_connection_at = simulated_game.battle.loop + 1
    env.reset()
    check_fresh(env, simulated_game)
    assert (env.force_restarts, simulated_game.launches) == (1, 2)
    assert "lost" not in ending(play(env))


@pytest.mark.parametrize("episodes", [0, 1])
def test_connection_lost_in_the_look_for_units(simulated_game, monkeypatch, episodes):
    env = make() if episodes else None
    if episodes:
        play(env)
    look, looks = SimulatedProcess._on_observation, 0
    ended = simulated_game.battle.loop if episodes else None

    def fail_once(process, request, response):
        nonlocal looks
        # With smacv2, ours looks for those to be killed first.
        looks += process.battle.loop != ended
        if looks == 1:
            response.error.append("the simulated game has a fault")
        else:
            look(process, request, response)

    monkeypatch.setattr(SimulatedProcess, "_on_observation", fail_once)
    env = env or make()
    env.reset()
    check_fresh(env, simulated_game)
    assert looks > 1
    assert (env.force_restarts, simulated_game.launches) == (1, 2)
    assert env.max_reward == 365


def test_connection_lost_while_waiting_for_units(simulated_game):
    simulated_game.options.failed_spawns = 1
    simulated_game.options.lose_connection_at = 1
    env = make()
    check_fresh(env, simulated_game)
    assert (env.force_restarts, simulated_game.launches) == (1, 2)
    assert env.max_reward == 365


@pytest.mark.parametrize("idle", [True, False], ids=["waiting", "dying"])
@pytest.mark.parametrize("episodes", [0, 1])
def test_units_that_fail_to_appear_once(simulated_game, episodes, idle):
    env = make() if episodes else None
    if episodes:
        play(env)
    simulated_game.options.idle_enemies = idle
    simulated_game.options.failed_spawns = 1
    env = env or make()
    env.reset()
    check_fresh(env, simulated_game)
    assert (simulated_game.launches, env.max_reward) == (2, 365)
    simulated_game.options.idle_enemies = True
    assert play(env, fight)["next", "reward"].sum().item() == pytest.approx(20)


@pytest.mark.parametrize("idle", [True, False], ids=["waiting", "dying"])
def test_units_that_never_appear(simulated_game, idle):
    simulated_game.options.idle_enemies = idle
    simulated_game.options.failed_spawns = 10_000
    with pytest.raises(StarCraftError, match=r"map 3m could be started: 3 games"):
        make()
    assert simulated_game.launches == 3
    assert not simulated_game.running


@pytest.mark.parametrize("steps", [3, 40])
def test_armies_that_come_back_late_are_waited_for(simulated_game, steps):
    simulated_game.options.respawn_delay = 9
    env = make()
    td = env.reset()
    for _ in range(steps):
        td = step(env, td=td)
        if td["done"]:
            break
    for _ in range(2):
        env.reset()
        check_fresh(env, simulated_game)
        assert (simulated_game.launches, env.force_restarts) == (1, 0)
        assert env.max_reward == 365
        simulated_game.options.idle_enemies = True
        won = play(env, fight)
    assert won["next", "reward"].sum().item() == pytest.approx(20)


LAUNCH_ERRORS = {
    "no folder": (FileNotFoundError(2, "No such file", "/nowhere/Versions"), "3m"),
    "no version": (
        sc_process.SC2LaunchError("No SC2 Versions found in /nowhere/Versions"),
        "not ready|could not start",
    ),
    "not executable": (
        RuntimeError("Trying to run '/nowhere/SC2_x64', but it isn't executable."),
        "not ready|could not start",
    ),
    "dies": (
        remote_controller.ConnectError(
            "Failed to connect to the SC2 websocket. Is it up?"
        ),
        "was started, but cannot be talked to",
    ),
    "unknown version": (
        ValueError("Unknown game version: 4.6.2. Known versions: ['4.10.0']."),
        r"game_version='4.6.2' is not installed",
    ),
}


@pytest.mark.parametrize("case", LAUNCH_ERRORS)
def test_launch_errors_are_explained(simulated_game, monkeypatch, case):
    error, match = LAUNCH_ERRORS[case]

    def fail(*args, **kwargs):
        raise error

    for name in ("get", "start"):
        with monkeypatch.context() as patch:
            if name == "get":
                patch.setattr("pysc2.run_configs.get", fail)
            else:
                patch.setattr(SimulatedRunConfig, "start", fail)
            with pytest.raises(StarCraftError, match=match) as raised:
                make()
        assert raised.value.__cause__ is error
    assert simulated_game.launches == 0


def test_missing_map_is_explained_and_the_game_closed(simulated_game, monkeypatch):
    error = ValueError("Map SMAC_Maps/3m.SC2Map not found in /nowhere/Maps.")

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(SimulatedRunConfig, "map_data", fail)
    with pytest.raises(StarCraftError, match="3m") as raised:
        make()
    assert raised.value.__cause__ is error
    assert simulated_game.launches == 1
    assert not simulated_game.running


@pytest.mark.parametrize("error", [ValueError("sesame"), KeyError("sesame")])
def test_unknown_errors_pass_unchanged(simulated_game, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(SimulatedRunConfig, "start", fail)
    with pytest.raises(type(error), match="sesame") as raised:
        make()
    assert raised.value is error


def test_a_game_that_cannot_be_replaced(simulated_game, monkeypatch):
    env = make()
    td = step(env)
    starts = SimulatedRunConfig.start
    error = sc_process.SC2LaunchError("No SC2 Versions found in /nowhere/Versions")

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(SimulatedRunConfig, "start", fail)
    simulated_game.options.lose_connection_at = 1
    with pytest.raises(StarCraftError):
        step(env, td=td)
    assert not simulated_game.running
    # Once the cause is gone the environment can be used again.
    monkeypatch.setattr(SimulatedRunConfig, "start", starts)
    env.reset()
    check_fresh(env, simulated_game)


def test_the_seed_reaches_the_game(simulated_game):
    for seed in (7, None):
        make(seed=seed)
    assert simulated_game.seeds == [7, None]
    with pytest.raises(NotImplementedError):
        make().set_seed(1)


@pytest.mark.parametrize("seed", [5, None])
def test_environments_of_a_task_get_seeds_of_their_own(
    simulated_game, monkeypatch, tmp_path, seed
):
    monkeypatch.setenv("SC2PATH", str(make_game(tmp_path / "StarCraftII")))
    if BACKEND == "smac":
        # Both packages are in one path where the tests of the original are run.
        monkeypatch.setattr(common, "require_starcraft", lambda *_: None)
    task = SmacTask["3M"].get_task()
    task.config["backend"] = BACKEND
    make_one = task.get_env_fun(2, False, seed, "cpu")
    envs = [make_one() for _ in range(2)]
    assert simulated_game.seeds == [seed, None if seed is None else seed + 1]
    assert len(simulated_game.running) == 2
    for env in envs:
        env.close()
    serial = SerialEnv(2, make_one)
    serial.reset()
    # One more is made to learn the specs, and closed.
    if seed is not None:
        assert simulated_game.seeds == [5, 6, 7, 8, 9]
    assert len(simulated_game.running) == 2
    serial.close()
    assert not simulated_game.running
    assert simulated_game.launches == 5


def test_actions_are_those_of_the_spec(simulated_game):
    env = make("2s3z", step_mul=1, move_amount=1.5)
    simulated_game.options.idle_enemies = True
    steps = env.rollout(3, stop)
    assert (steps["agents", "action"] == 1).all()
    assert simulated_game.battle.loop == 3
