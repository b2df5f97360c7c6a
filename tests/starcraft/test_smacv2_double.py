"""The double of smacv2 keeps the real package's contract, and can be trained on."""

from __future__ import annotations

import copy
import inspect
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from double_contract import (
    KEYWORDS,
    PLAYABLE,
    SMACV2_SIZES,
    V1_SIZES,
    check_sizes,
    make,
    make_smacv2,
    play,
    smacv2_options,
    stop,
)
from double_package import (
    double_environment,
    focus_fire,
    installed_double,
    random_actions,
    read_log,
)
from fabricated_installation import make_game, make_packages
from torchrl.envs.libs.smacv2 import SMACv2Env, SMACv2Wrapper
from torchrl.envs.utils import check_env_specs

pytestmark = pytest.mark.slow

TINY = [
    "experiment.max_n_frames=60",
    "experiment.off_policy_collected_frames_per_batch=30",
    "experiment.off_policy_n_envs_per_worker=1",
    "experiment.off_policy_n_optimizer_steps=2",
    "experiment.off_policy_train_batch_size=16",
    "experiment.off_policy_memory_size=100",
    "experiment.evaluation_interval=30",
    "experiment.evaluation_episodes=1",
    "experiment.loggers=[csv]",
    "experiment.render=False",
    "model.num_cells=[16]",
    "hydra.run.dir=out",
]


@pytest.fixture
def double(monkeypatch):
    """Install the double as ``smacv2``; calls of it choose its quirks."""
    with installed_double(monkeypatch):

        def switch(quirks):
            monkeypatch.setenv("SMACV2_DOUBLE", quirks)

        yield switch


@pytest.mark.parametrize("map_name", V1_SIZES)
def test_v1_sizes(double, map_name):
    double(PLAYABLE)
    check_sizes(make(map_name), V1_SIZES[map_name])


def test_all_v1_maps_are_there(double):
    from smacv2.env.starcraft2.maps import smac_maps

    assert set(V1_SIZES) | {"10gen_terran", "10gen_zerg", "10gen_protoss"} == set(
        smac_maps.get_smac_map_registry()
    )


@pytest.mark.parametrize("race", ["protoss", "terran", "zerg"])
@pytest.mark.parametrize("teams", SMACV2_SIZES, ids=lambda teams: f"{teams[0]}v")
def test_smacv2_sizes(double, race, teams):
    sizes = SMACV2_SIZES[teams][:2] if race == "protoss" else SMACV2_SIZES[teams][2:]
    env = make_smacv2(f"{race}_{teams[0]}_vs_{teams[1]}")
    check_sizes(env, (*teams, 200, 6 + teams[1], *sizes))


def test_optional_features_have_their_sizes(double):
    double("")
    options = ("pathing_grid", "terrain_height", "last_action", "timestep_number")
    env = make(state_timestep_number=True, **{f"obs_{name}": True for name in options})
    check_sizes(env, (3, 3, 60, 9, 30 + 8 + 9 + 2 * 9 + 1, 49))


def test_constructor(double):
    from smacv2 import log
    from smacv2.env import StarCraft2Env

    parameters = inspect.signature(StarCraft2Env).parameters
    assert {name: p.default for name, p in parameters.items()} == KEYWORDS
    with pytest.raises(KeyError, match="'nope'"):
        make("nope")
    with pytest.raises(TypeError, match="nope"):
        make(nope=1)
    with pytest.raises(KeyError, match="capability_config"):
        make_smacv2().__class__(map_name="10gen_protoss")
    env = make(difficulty=7)
    with pytest.raises(ZeroDivisionError):
        env.get_stats()
    env.close()
    assert log.count("launch") == 0
    with pytest.raises(KeyError, match="7"):
        env.reset()
    with pytest.raises(KeyError, match="2005"):
        make(use_unit_ranges=True).reset()


def test_masks_and_the_dead(double):
    env = make("8m")
    env.reset()
    rng = np.random.default_rng(0)
    shot = died = False
    done = False
    while not done:
        masks = np.array(env.get_avail_actions())
        observations, state = env.get_obs(), env.get_state()
        for agent, unit in env.agents.items():
            row = state[: 8 * 4].reshape(8, 4)[agent]
            if unit.health == 0:
                assert masks[agent].tolist() == [1] + [0] * 13
                assert not observations[agent].any()
                assert not row.any()
                died = True
                continue
            assert masks[agent, :2].tolist() == [0, 1]
            assert row[0] == pytest.approx(unit.health / 45)
            for enemy, other in env.enemies.items():
                x, y = other.pos.x - unit.pos.x, other.pos.y - unit.pos.y
                near = np.hypot(x, y) <= 6 and other.health > 0
                assert masks[agent, 6 + enemy] == near
                shot |= near
        _, done, info = env.step(random_actions(env, rng))
    assert shot
    assert died
    assert info["dead_allies"] == sum(u.health == 0 for u in env.agents.values())


@pytest.mark.parametrize(("agent", "action"), [(0, 0), (2, 6)])
def test_unavailable_action_is_refused(double, agent, action):
    env = make()
    env.reset()
    actions = [1, 1, 1]
    actions[agent] = action
    with pytest.raises(AssertionError) as error:
        env.step(np.array(actions))
    assert str(error.value) == f"Agent {agent} cannot perform action {action}"


def test_focused_fire_wins_and_random_actions_lose(double):
    double(f"{PLAYABLE},no_growing_reward")
    env = make()
    rng = np.random.default_rng(0)
    won = {"focus": 0, "random": 0}
    for _ in range(10):
        env.reset()
        rewards, info = play(env, focus_fire)
        won["focus"] += info["battle_won"]
        if info["battle_won"]:
            assert env.max_reward == 3 * 10 + 200 + 3 * 45
            assert sum(rewards) == pytest.approx(20)
            assert info["dead_enemies"] == 3
        env.reset()
        _, info = play(env, lambda env: random_actions(env, rng))
        won["random"] += info["battle_won"]
        assert info["dead_allies"] == 3 or info["battle_won"]
        assert "episode_limit" not in info
    assert won["focus"] >= 8
    assert won["random"] <= 2
    assert env.get_stats()["battles_won"] == sum(won.values())


@pytest.mark.parametrize("continuing", [False, True])
def test_limit_ends_an_episode(double, continuing):
    # The enemy of this map cannot walk.
    env = make("2s_vs_1sc", continuing_episode=continuing)
    env.reset()
    rewards, info = play(env, stop)
    assert len(rewards) == 300
    assert info == {
        "battle_won": False,
        "dead_allies": 0,
        "dead_enemies": 0,
        **({"episode_limit": True} if continuing else {}),
    }
    assert env.get_stats()["timeouts"] == 1


def test_rewards_of_other_kinds(double):
    rewards = {}
    for name, options in {
        "plain": {"reward_scale": False},
        "sparse": {"reward_scale": False, "reward_sparse": True},
        "signed": {"reward_scale": False, "reward_only_positive": False},
    }.items():
        env = make(**options)
        env.reset()
        rewards[name], _ = play(env, focus_fire)
        lost = sum(45 - unit.health for unit in env.agents.values())
        lost += 10 * sum(unit.health == 0 for unit in env.agents.values())
    assert sum(rewards["plain"]) == 3 * 10 + 200 + 3 * 45
    assert rewards["sparse"] == [0.0] * (len(rewards["sparse"]) - 1) + [1.0]
    assert sum(rewards["signed"]) == pytest.approx(sum(rewards["plain"]) - lost / 2)


def test_seed_repeats_an_episode(double):
    def states(seed):
        env = make_smacv2(seed=seed)
        rng = np.random.default_rng(0)
        found = [env.reset()[1]]
        for _ in range(15):
            env.step(random_actions(env, rng))
            found.append(env.get_state())
        return np.array(found)

    assert (states(1) == states(1)).all()
    assert (states(1)[0] != states(2)[0]).any()


def test_capabilities_are_written_in_place(double):
    config = smacv2_options("terran_10_vs_11")["capability_config"]
    before = copy.deepcopy(config)
    env = make_smacv2("terran_10_vs_11", capability_config=config)
    for key in ("team_gen", "start_positions"):
        added = {"n_units": 10, "n_enemies": 11, "env_key": key}
        assert config[key] == {**before[key], **added}
    env.reset()
    assert env.env.agents is env.agents
    with pytest.raises(AttributeError):
        _ = env.nope


def test_torchrl_wrapper(double):
    options = smacv2_options("protoss_5_vs_5")
    env = SMACv2Env(seed=0, **options)
    check_env_specs(env)
    torch.manual_seed(0)
    rollout = env.rollout(250)
    assert rollout["next", "done"][-1].item()
    assert rollout["agents", "observation"].abs().max() <= 1
    with pytest.raises(RuntimeError, match="out-of-bounds"):
        td = env.reset()
        env.step(td.set(("agents", "action"), torch.zeros(5, dtype=torch.int64)))
    assert "3m" in SMACv2Wrapper.available_envs
    env.close()


def test_benchmarl_runs_on_the_double(tmp_path):
    log = tmp_path / "log"
    environment = double_environment(log=log)
    # What is looked for before a run, though the double needs none of it
    environment["SC2PATH"] = str(make_game(tmp_path / "game"))
    site = make_packages(tmp_path / "site", "pysc2")
    environment["PYTHONPATH"] += f"{os.pathsep}{site}"
    completed = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarl.run"),
            *("algorithm=qmix", "task=smacv2/protoss_5_vs_5", *TINY),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    (results,) = tmp_path.rglob("out/**/*.json")
    seeds = json.loads(results.read_text())["smacv2"]["protoss_5_vs_5"]["qmix"]
    assert seeds["seed_0"]["step_1"]["return"]
    events = [event["event"] for event in read_log(log)]
    assert events.count("launch") == events.count("close") >= 4
    assert "episode" in events
