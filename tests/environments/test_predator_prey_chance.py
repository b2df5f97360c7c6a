"""The odds of Predator-Prey: starts, orders, moves of prey, a random team's return."""

from __future__ import annotations

import pytest
import torch
from predator_prey_worlds import (
    Cell,
    available_actions,
    cells_of,
    place,
    published_config,
    rows_of,
    with_actions,
)

from remix_plugin.environments.predator_prey.env import PredatorPreyEnv
from remix_plugin.environments.predator_prey.world import DOWN, RIGHT, STAY, UP


def test_uniform_policy_returns_what_the_original_returns() -> None:
    num_envs = 256
    env = PredatorPreyEnv(published_config(), num_envs=num_envs, seed=0)
    generator = torch.Generator().manual_seed(0)
    now = env.reset()
    returns = torch.zeros(num_envs, 1)
    playing = torch.ones(num_envs, 1, dtype=torch.bool)
    for _ in range(200):
        mask = now["agents", "action_mask"]
        now["agents", "action"] = available_actions(mask, generator)
        stepped, now = env.step_and_maybe_reset(now)
        returns += stepped["next", "reward"] * playing
        playing &= ~stepped["next", "done"]
    assert not playing.any()
    # The original: about -99 +- 29 over 20 episodes.
    assert -115 < returns.mean() < -85
    assert 15 < returns.std() < 45


CROWDS: dict[str, tuple[list[Cell], Cell]] = {
    "open": ([(0, 0), (0, 1), (0, 2)], (2, 2)),
    "edge": ([(4, 4), (4, 3), (4, 2)], (0, 2)),
    "corner": ([(4, 4), (4, 3), (4, 2)], (0, 0)),
    "one_beside": ([(2, 3), (4, 3), (4, 2)], (2, 2)),
    "two_beside": ([(2, 3), (1, 2), (4, 2)], (2, 2)),
    "three_beside": ([(2, 3), (1, 2), (2, 1)], (2, 2)),
}


@pytest.mark.parametrize("name", CROWDS)
def test_prey_moves_uniformly_to_free_neighbors(name: str) -> None:
    predators, (row, column) = CROWDS[name]
    num_envs = 8000
    config = published_config(grid_height=5, grid_width=5, n_predators=3, n_prey=1)
    env = PredatorPreyEnv(config, num_envs=num_envs, seed=0)
    env.reset()
    env.world = place(config, [predators] * num_envs, [[(row, column)]] * num_envs)
    env.step(with_actions(torch.full((num_envs, 3), STAY)))
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    around = [(row + down, column + right) for down, right in steps]
    inside = [cell for cell in around if min(cell) >= 0 and max(cell) < 5]
    free = [cell for cell in inside if cell not in predators]
    arrived = [cell for (cell,) in cells_of(config, env.world.prey)]
    assert set(arrived) == set(free)
    _assert_uniform([arrived.count(cell) for cell in free])


def test_predators_act_in_a_uniformly_random_order() -> None:
    num_envs = 8000
    config = published_config(n_predators=3, n_prey=1)
    env = PredatorPreyEnv(config, num_envs=num_envs, seed=0)
    env.reset()
    # All three want the cell (4, 5), and one gets it.
    world = place(config, [[(4, 4), (3, 5), (5, 5)]], [[(9, 9)]])
    env.world = rows_of(world, torch.zeros(num_envs, dtype=torch.long))
    env.step(with_actions(torch.tensor([[RIGHT, DOWN, UP]] * num_envs)))
    winners = [row.index((4, 5)) for row in cells_of(config, env.world.predators)]
    _assert_uniform([winners.count(who) for who in range(3)])


def test_prey_act_in_a_uniformly_random_order() -> None:
    num_envs = 8000
    config = published_config(grid_height=1, grid_width=5, n_predators=2, n_prey=2)
    env = PredatorPreyEnv(config, num_envs=num_envs, seed=0)
    env.reset()
    # Between the prey is the only free cell, and one gets it.
    world = place(config, [[(0, 0), (0, 4)]], [[(0, 1), (0, 3)]])
    env.world = rows_of(world, torch.zeros(num_envs, dtype=torch.long))
    env.step(with_actions(torch.full((num_envs, 2), STAY)))
    winners = [row.index((0, 2)) for row in cells_of(config, env.world.prey)]
    _assert_uniform([winners.count(who) for who in range(2)])


@pytest.mark.parametrize("kind", ["predators", "prey"])
def test_reset_places_actors_uniformly(kind: str) -> None:
    config = published_config(grid_height=4, grid_width=5)
    env = PredatorPreyEnv(config, num_envs=4000, seed=0)
    env.reset()
    for actor in (0, 7):
        drawn = cells_of(config, getattr(env.world, kind)[:, actor : actor + 1])
        counts = [drawn.count([divmod(cell, 5)]) for cell in range(20)]
        assert sum(counts) == 4000
        _assert_uniform(counts)


def _assert_uniform(counts: list[int]) -> None:
    """No count is five standard deviations from its expectation."""
    total, share = sum(counts), 1 / len(counts)
    spread = (total * share * (1 - share)) ** 0.5
    for count in counts:
        assert abs(count - total * share) <= 5 * spread
