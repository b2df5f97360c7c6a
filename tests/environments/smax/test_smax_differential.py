"""SMAX against JaxMARL's own functions, battle by battle: a thousand steps a map."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from smax_battles import (
    N_ENVS,
    TASK,
    focused_actions,
    leaves,
    needs_jaxmarl,
    random_actions,
    smax_env,
    step,
)
from tensordict import TensorDictBase

pytestmark = [pytest.mark.slow, needs_jaxmarl]

# Maps, and whether the state is scaled there; else it is JaxMARL's.
MAPS = {
    "3m": True,
    "2s3z": True,
    "5m_vs_6m": False,
    "3s_vs_5z": False,
    "smacv2_5_units": True,
}
N_STEPS = 250
SEED = 5
# A type's weapon cooldown, in seconds, in the order of its index.
COOLDOWNS = (0.61, 1.07, 1.87, 0.86, 0.5, 0.59)
# The same formulae, compiled for four battles and for one, may round differently: not
# as these tests were written, but that is up to the compiler.
ROUNDING = 1e-6


class Match:
    """The batched environment, and JaxMARL's on each of its battles."""

    def __init__(self, map_name: str) -> None:
        self.env = smax_env(
            map_name=map_name, normalize_state=MAPS[map_name], seed=SEED
        )
        import jax
        from jaxmarl import make
        from jaxmarl.environments.smax import map_name_to_scenario

        self.split = jax.random.split
        self.key = jax.random.PRNGKey(SEED)
        self.theirs = make(
            "HeuristicEnemySMAX",
            scenario=map_name_to_scenario(map_name),
            see_enemy_actions=True,
            walls_cause_death=True,
            attack_mode="closest",
            max_steps=TASK["max_steps"],
            enemy_shoots=True,
        )
        self.generator = torch.Generator().manual_seed(SEED)
        self.events: Counter[str] = Counter()

    def play(self) -> None:
        """Compare all that there is after each reset and step."""
        view = self.reset()
        for _ in range(N_STEPS):
            view = self.reset() if view["done"].all() else self.step(view)

    def reset(self) -> TensorDictBase:
        """Begin all battles, both ways."""
        view = self.env.reset()
        self.key, own = self.split(self.key)
        begun = [self.theirs.reset(key) for key in self.split(own, N_ENVS)]
        self.compare_states([state for _, state in begun])
        self.compare_views(view, [seen for seen, _ in begun])
        return view

    def step(self, view: TensorDictBase) -> TensorDictBase:
        """Step all battles, both ways; two of them with a policy that often wins."""
        mask = view["agents", "action_mask"]
        action = random_actions(mask, self.generator)
        action[2:] = focused_actions(mask)[2:]
        self.key, own = self.split(self.key)
        results = [
            self.theirs.step_env(key, state, self.by_agent(chosen))
            for key, state, chosen in zip(
                self.split(own, N_ENVS), self.battles(), action.numpy(), strict=True
            )
        ]
        view = step(self.env, action)
        seen, states, rewards, dones, _ = zip(*results, strict=True)
        self.compare_states(states)
        self.compare_views(view, seen)
        self.compare_ends(view, states, dones)
        for agent in self.theirs.agents:
            expected = [[reward[agent] * TASK["reward_scale"]] for reward in rewards]
            _compare_floats("reward", view["reward"], expected)
        return view

    def by_agent(self, actions: np.ndarray) -> dict[str, np.int32]:
        """Actions of one battle, as JaxMARL takes them."""
        return {
            agent: np.int32(action)
            for agent, action in zip(self.theirs.agents, actions, strict=True)
        }

    def battles(self) -> list[Any]:
        """The state of each battle by itself."""
        import jax

        # NumPy's scalars are no arrays, which JaxMARL's state has.
        return [
            jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i, ...], self.env.battles)
            for i in range(N_ENVS)
        ]

    def compare_states(self, states: Any) -> None:
        """All that JaxMARL keeps of a battle."""
        theirs = zip(*(leaves(state) for state in states), strict=True)
        for ours, rows in zip(leaves(self.env.battles), theirs, strict=True):
            expected = np.stack(rows)
            if ours.dtype == np.float32:
                _compare_floats("battles", ours, expected)
            else:
                assert np.array_equal(ours, expected)

    def compare_views(self, view: TensorDictBase, seen: Any) -> None:
        """What agents see, agent by agent, and the state."""
        battles = self.battles()
        available = [self.theirs.get_avail_actions(battle) for battle in battles]
        for i, agent in enumerate(self.theirs.agents):
            _compare_floats(
                "observation",
                view["agents", "observation"][:, i],
                [observations[agent] for observations in seen],
            )
            mask = view["agents", "action_mask"][:, i]
            assert mask.dtype == torch.bool
            masks = np.stack([np.asarray(one[agent]) for one in available])
            assert np.array_equal(mask.numpy(), masks == 1)
        if self.env.config.normalize_state:
            states = [_scaled_state(battle.state) for battle in battles]
        else:
            states = [observations["world_state"] for observations in seen]
        _compare_floats("state", view["state"], states)

    def compare_ends(self, view: TensorDictBase, states: Any, dones: Any) -> None:
        """Flags and counts, from JaxMARL's dones and from who is alive."""
        n_allies = self.theirs.num_allies
        for row, (state, done) in enumerate(zip(states, dones, strict=True)):
            alive = [bool(x) for x in state.state.unit_alive]
            allies, enemies = alive[:n_allies], alive[n_allies:]
            assert allies == [not done[agent] for agent in self.theirs.agents]
            over = not (any(allies) and any(enemies))
            limit = bool(done["__all__"]) and not over
            expected = {
                "done": over or limit,
                "terminated": over,
                "truncated": limit,
                ("info", "episode_limit"): limit,
                ("info", "battle_won"): any(allies) and not any(enemies),
                ("info", "dead_allies"): allies.count(False),
                ("info", "dead_enemies"): enemies.count(False),
            }
            for key, value in expected.items():
                assert view[key][row].item() == value, key
                self.events[str(key)] += value


def _scaled_state(units: Any) -> list[float]:
    """The state of one battle, feature by feature, in double precision."""
    features: list[float] = []
    for i, alive in enumerate(units.unit_alive):
        kind = int(units.unit_types[i])
        full = (45, 125, 160, 150, 35, 80)[kind]
        x, y = (float(value) / 32 for value in units.unit_positions[i])
        cooldown = float(units.unit_weapon_cooldowns[i]) / COOLDOWNS[kind]
        own = [float(units.unit_health[i]) / full, *(_unit(v) for v in (x, y))]
        own += [_unit(cooldown), *(float(kind == k) for k in range(6))]
        features += own if alive else [0.0] * 10
    features += [float(team) for team in units.unit_teams]
    return features + [int(kind) / 6 for kind in units.unit_types]


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _compare_floats(name: str, ours: Any, expected: Any) -> None:
    ours, expected = np.asarray(ours), np.asarray(expected)
    assert ours.dtype == np.float32, name
    assert ours.shape == expected.shape, name
    difference = np.abs(ours - expected).max()
    # Not equal to the nearest float, of magnitude up to 32.
    assert difference <= ROUNDING * max(1.0, np.abs(expected).max()), name


@pytest.mark.parametrize("map_name", MAPS)
def test_no_mismatch(map_name: str) -> None:
    match = Match(map_name)
    match.play()
    # A case in which nothing happens would pass without having compared anything.
    for key in ("done", "terminated"):
        assert match.events[key] > 0
    for key in ("dead_allies", "dead_enemies"):
        assert match.events[str(("info", key))] > 0
    if map_name == "3m":
        assert match.events[str(("info", "battle_won"))] > 0
