"""How tests make and play battles of SMAC, whatever package they are of."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDictBase

from remix_plugin.environments.smac.common import SmacTask
from remix_plugin.environments.smac.config import SmacConfig
from remix_plugin.environments.smac.env import SmacEnv

NO_OP, STOP, EAST, FIRST_TARGET = 0, 1, 4, 6


def make_config(map_name: str = "3m", **changes: Any) -> SmacConfig:
    """The options of a task, with some of them changed."""
    task = SmacTask[map_name.upper()].get_task()
    return SmacConfig(**{**task.config, **changes})


def make_env(map_name: str = "3m", seed: int | None = 0, **changes: Any) -> SmacEnv:
    """A started environment."""
    return SmacEnv(make_config(map_name, **changes), seed=seed)


def stop(td: TensorDictBase) -> TensorDictBase:
    """Policy: all stand still."""
    dead = td["agents", "action_mask"][..., NO_OP]
    return td.set(("agents", "action"), (~dead).long())


def fight(td: TensorDictBase) -> TensorDictBase:
    """Policy: all shoot the first target in range, and go east to find one."""
    mask = td["agents", "action_mask"]
    targets = mask[..., FIRST_TARGET:]
    action = torch.where(mask[..., EAST], EAST, STOP)
    in_range = targets.any(-1)
    action = torch.where(in_range, targets.long().argmax(-1) + FIRST_TARGET, action)
    return td.set(("agents", "action"), torch.where(mask[..., NO_OP], NO_OP, action))


def play(env: Any, policy: Any = None) -> TensorDictBase:
    """An episode, from its reset to its end; without a policy actions are random."""
    steps = env.rollout(env.episode_limit + 1, policy)
    assert steps["next", "done"].flatten().tolist() == [False] * (len(steps) - 1) + [
        True
    ]
    return steps


def step(env: SmacEnv, policy: Any = stop, td: TensorDictBase | None = None) -> Any:
    """What a step leads to; ``td`` is what the last one has led to."""
    return env.step(policy(env.reset() if td is None else td))["next"]


def ending(steps: TensorDictBase) -> dict[str, bool | int]:
    """How an episode ended: its flags and its number of steps."""
    last = steps["next"] if "next" in steps.keys() else steps
    last = last[-1] if last.batch_dims else last
    info = last["info"]
    flags = {"won": info["battle_won"], "limit": info["episode_limit"]}
    flags |= {"lost": info["connection_lost"]}
    flags |= {key: last[key] for key in ("done", "terminated", "truncated")}
    return {key for key, flag in flags.items() if flag.item()}


def full_health(env: SmacEnv) -> bool:
    """Whether all units are there and unharmed."""
    units = [*env.agents.values(), *env.enemies.values()]
    return len(units) == env.n_agents + env.n_enemies and all(
        (unit.health, unit.shield) == (unit.health_max, unit.shield_max)
        for unit in units
    )


def expected_max_reward(env: SmacEnv) -> float:
    """What all there is to earn is worth; dead enemies keep their maxima."""
    worth = sum(unit.health_max + unit.shield_max for unit in env.enemies.values())
    return 200 + 10 * env.n_enemies + worth
