"""Whole episodes of Predator-Prey: how they end, perfect teams, one actor per cell."""

from __future__ import annotations

import pytest
import torch
from predator_prey_worlds import (
    GONE,
    Cell,
    Scene,
    available_actions,
    place,
    published_config,
)

from remix_plugin.environments.predator_prey.env import PredatorPreyEnv
from remix_plugin.environments.predator_prey.world import (
    CATCH,
    RIGHT,
    STAY,
    UP,
    World,
)


def test_terminates_when_no_prey_lives() -> None:
    scene = Scene([(4, 4), (4, 6), (9, 9)], [(4, 5), GONE])
    outcome = scene.step([CATCH, CATCH, STAY])
    assert outcome.predators == [GONE, GONE, (9, 9)]
    assert outcome.ended == (True, False)


def test_terminates_when_every_predator_is_frozen() -> None:
    scene = Scene([(4, 4), (4, 6), GONE], [(4, 5), (9, 9)])
    outcome = scene.step([CATCH, CATCH, STAY])
    assert outcome.prey == [GONE, (9, 8)]
    assert outcome.ended == (True, False)


def test_time_limit_truncates_without_terminating() -> None:
    scene = Scene([(4, 4)], [(9, 9)], prey_rest_probability=1.0)
    ends = [scene.step([STAY]).ended for _ in range(200)]
    assert ends == [(False, False)] * 199 + [(False, True)]


def test_end_in_the_last_step_is_a_termination() -> None:
    scene = Scene([(4, 4), (4, 6)], [(4, 5)], max_steps=1)
    outcome = scene.step([CATCH, CATCH])
    assert outcome.ended == (True, False)
    assert outcome.view["done"].item()


PAIRS: dict[str, list[tuple[Cell, Cell, Cell]]] = {
    # Prey, then the two predators beside it.
    "rows": [((r, 4), (r, 3), (r, 5)) for r in (0, 3, 6, 9)],
    "columns": [((4, c), (3, c), (5, c)) for c in (0, 3, 6, 9)],
    "corners": [
        ((0, 0), (0, 1), (1, 0)),
        ((0, 9), (0, 8), (1, 9)),
        ((9, 0), (9, 1), (8, 0)),
        ((9, 9), (9, 8), (8, 9)),
    ],
    "angles": [
        ((2, 2), (2, 3), (3, 2)),
        ((2, 7), (1, 7), (2, 6)),
        ((7, 2), (6, 2), (7, 3)),
        ((7, 7), (7, 8), (6, 7)),
    ],
}
FOUR_MORE: list[Cell] = [(1, 5), (5, 4), (8, 5), (5, 1)]


@pytest.mark.parametrize("name", PAIRS)
def test_perfect_team_at_once_returns_forty(name: str) -> None:
    pairs = PAIRS[name]
    predators = [cell for _, *two in pairs for cell in two]
    scene = Scene(predators, [prey for prey, *_ in pairs] + FOUR_MORE)
    outcome = scene.step([CATCH] * 8)
    assert outcome.reward == 40.0
    assert outcome.predators == [GONE] * 8
    assert outcome.prey[:4] == [GONE] * 4
    assert outcome.ended == (True, False)
    assert outcome.view["info", "prey_caught"].item() == 4


@pytest.mark.parametrize("name", PAIRS)
def test_perfect_team_pair_by_pair_returns_forty(name: str) -> None:
    pairs = PAIRS[name]
    predators = [cell for _, *two in pairs for cell in two]
    prey = [prey for prey, *_ in pairs] + FOUR_MORE
    scene = Scene(predators, prey, prey_rest_probability=1.0)
    rewards, ends = [], []
    for turn in range(4):
        actions = [CATCH if agent // 2 == turn else STAY for agent in range(8)]
        outcome = scene.step(actions)
        rewards.append(outcome.reward)
        ends.append(outcome.ended)
    assert rewards == [10.0] * 4
    assert sum(rewards) == 40.0
    assert ends == [(False, False)] * 3 + [(True, False)]


def test_pair_hunts_a_moving_prey_into_a_corner() -> None:
    scene = Scene([(0, 6), (2, 9)], [(0, 8)])
    first = scene.step([RIGHT, UP], prey_move=[0.0])
    assert (first.predators, first.prey) == ([(0, 7), (1, 9)], [(0, 9)])
    second = scene.step([RIGHT, STAY])
    assert (second.predators, second.prey) == ([(0, 8), (1, 9)], [(0, 9)])
    third = scene.step([CATCH, CATCH])
    assert [first.reward, second.reward, third.reward] == [0.0, 0.0, 10.0]
    assert third.ended == (True, False)


def _living_cells_are_distinct(world: World, parking: int) -> bool:
    cells, _ = torch.cat([world.predators, world.prey], dim=-1).sort(-1)
    clash = (cells[:, 1:] == cells[:, :-1]) & (cells[:, 1:] != parking)
    return not clash.any()


def test_no_cell_ever_holds_two() -> None:
    config = published_config(grid_height=6, grid_width=6)
    num_envs, n_steps = 1000, 100
    env = PredatorPreyEnv(config, num_envs=num_envs, seed=0)
    parking = place(config, [[GONE] * 8], [[GONE] * 8]).predators[0, 0].item()
    generator = torch.Generator().manual_seed(0)
    now = env.reset()
    for _ in range(n_steps):
        mask = now["agents", "action_mask"]
        now["agents", "action"] = available_actions(mask, generator, catch_weight=5.0)
        stepped, now = env.step_and_maybe_reset(now)
        assert _living_cells_are_distinct(env.world, parking)
        state = stepped["next", "state"].unflatten(-1, (-1, 2))
        assert state.sum(-1).max() <= 1
    assert num_envs * n_steps >= 100_000
