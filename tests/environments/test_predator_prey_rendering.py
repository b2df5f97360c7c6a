"""The pictures of Predator-Prey."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from predator_prey_worlds import (
    Cell,
    available_actions,
    copy_of,
    place,
    published_config,
    random_draws,
    with_actions,
)
from tensordict import TensorDict

from remix_plugin.environments.predator_prey.config import PredatorPreyConfig
from remix_plugin.environments.predator_prey.env import PredatorPreyEnv
from remix_plugin.environments.predator_prey.rendering import CELL, HEADER, MARGIN
from remix_plugin.environments.predator_prey.world import CATCH, STAY


def test_render_moves_what_moved() -> None:
    config = published_config(n_predators=1, n_prey=1, capture_size=1)
    before, after = (
        _frame(config, predators=[predator], prey=[prey])
        for predator, prey in (((2, 7), (8, 3)), ((2, 8), (9, 3)))
    )
    assert before.dtype == np.uint8
    assert before.shape[-1] == 3
    assert before.shape == after.shape
    changed = np.argwhere((before != after).any(-1))
    cells = {((y - HEADER) // CELL, (x - MARGIN) // CELL) for y, x in changed.tolist()}
    assert cells == {(2, 7), (2, 8), (8, 3), (9, 3)}


def test_render_tells_predators_from_prey() -> None:
    config = published_config(n_predators=1, n_prey=1, capture_size=1)
    one = _frame(config, predators=[(2, 7)], prey=[(8, 3)])
    other = _frame(config, predators=[(8, 3)], prey=[(2, 7)])
    assert not np.array_equal(one, other)


def _frame(
    config: PredatorPreyConfig, predators: list[Cell], prey: list[Cell]
) -> np.ndarray:
    env = PredatorPreyEnv(config, num_envs=1, seed=0)
    env.world = place(config, [predators], [prey])
    return env.render()


def test_render_follows_a_step() -> None:
    env = PredatorPreyEnv(published_config(), num_envs=2, seed=0)
    view = env.reset()
    first = env.render(index=1)
    assert np.array_equal(first, env.render(mode="rgb_array", index=1))
    assert not np.array_equal(first, env.render(index=0))
    view["agents", "action"] = available_actions(
        view["agents", "action_mask"], torch.Generator().manual_seed(0)
    )
    env.step(view)
    assert not np.array_equal(first, env.render(index=1))


def test_render_after_a_reset_shows_a_fresh_episode() -> None:
    config = published_config(n_predators=2, n_prey=2)
    env = PredatorPreyEnv(config, num_envs=2, seed=0)
    env.world = place(config, [[(4, 4), (9, 9)]] * 2, [[(4, 5), (0, 0)]] * 2)
    alone = with_actions(torch.tensor([[CATCH, STAY]] * 2))
    env.step_with(alone, random_draws(config, 2, torch.Generator().manual_seed(0)))
    kept = env.render(index=1)
    env._reset(TensorDict({"_reset": torch.tensor([[True], [False]])}, batch_size=2))
    fresh = PredatorPreyEnv(config, num_envs=2)
    fresh.world = copy_of(env.world)
    assert np.array_equal(env.render(index=0), fresh.render(index=0))
    # The other row goes on: its step is counted and its return is not zero.
    assert np.array_equal(kept, env.render(index=1))
    assert not np.array_equal(kept, fresh.render(index=1))


def test_render_when_everybody_has_left() -> None:
    config = published_config(n_predators=2, n_prey=1)
    env = PredatorPreyEnv(config, num_envs=1, seed=0)
    env.world = place(config, [[None, None]], [[None]])
    assert env.render().dtype == np.uint8


def test_render_refuses_another_mode() -> None:
    env = PredatorPreyEnv(published_config(), num_envs=1, seed=0)
    env.reset()
    with pytest.raises(ValueError, match=r"mode='human' .* 'rgb_array'"):
        env.render(mode="human")
