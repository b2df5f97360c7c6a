"""What agents may do and see in Predator-Prey, on situations made by hand."""

from __future__ import annotations

import pytest
import torch
from predator_prey_worlds import GONE, Cell, Cells, Scene
from tensordict import TensorDictBase

from remix_plugin.environments.predator_prey.world import CATCH, DOWN, RIGHT, STAY

WINDOW, GRID, CHANNELS = 5, 10, 2


def observed(view: TensorDictBase, agent: int) -> torch.Tensor:
    """What an agent sees, as rows x columns x channels."""
    flat = view["agents", "observation"][0, agent]
    return flat[: WINDOW * WINDOW * CHANNELS].view(WINDOW, WINDOW, CHANNELS)


@pytest.mark.parametrize(
    ("cell", "mask"),
    [
        ((0, 0), [1, 1, 0, 0, 1, 0]),
        ((0, 9), [0, 1, 1, 0, 1, 0]),
        ((9, 9), [0, 0, 1, 1, 1, 0]),
        ((9, 0), [1, 0, 0, 1, 1, 0]),
    ],
    ids=["top_left", "top_right", "bottom_right", "bottom_left"],
)
def test_mask_in_corners(cell: Cell, mask: list[int]) -> None:
    assert Scene([cell], [(5, 5)]).mask() == [mask]


@pytest.mark.parametrize("prey", [(4, 6), (5, 5), (4, 4), (3, 5)])
def test_catch_is_available_beside_a_prey(prey: Cell) -> None:
    assert Scene([(4, 5)], [prey]).mask() == [[1, 1, 1, 1, 1, 1]]


@pytest.mark.parametrize("prey", [(3, 4), (5, 6), (4, 7), GONE])
def test_catch_is_not_available_otherwise(prey: Cell | None) -> None:
    assert Scene([(4, 5)], [prey, (9, 9)]).mask() == [[1, 1, 1, 1, 1, 0]]


def test_mask_occupied_hides_moves_into_actors() -> None:
    predators, prey = [(4, 5), (5, 5), GONE], [(4, 4), GONE]
    assert Scene(predators, prey).mask()[:2] == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]]
    masked = Scene(predators, prey, mask_occupied=True).mask()
    assert masked == [[1, 0, 0, 1, 1, 1], [1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 1, 0]]


def test_frozen_agent_observes_zeros_and_may_only_stay() -> None:
    scene = Scene(
        [(4, 4), (4, 6), (5, 5)],
        [(4, 5), (0, 0)],
        observe_last_action=True,
        observe_agent_id=True,
    )
    outcome = scene.step([CATCH, CATCH, STAY])
    observation = outcome.view["agents", "observation"][0]
    assert not observation[:2].any()
    assert observation[2].any()
    mask = outcome.view["agents", "action_mask"][0].int().tolist()
    assert mask == [[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 1, 0], [1, 1, 1, 1, 1, 0]]


def test_frozen_agent_shows_nowhere_and_blocks_nobody() -> None:
    scene = Scene([(4, 4), (4, 6), (4, 3)], [(4, 5), (0, 0)])
    scene.step([CATCH, CATCH, STAY])
    outcome = scene.step([STAY, STAY, RIGHT], prey_move=[0.0, 0.999])
    assert outcome.predators == [GONE, GONE, (4, 4)]
    # The other prey went right, then left again: all that is left on the grid.
    state = outcome.view["state"].view(GRID, GRID, CHANNELS)
    assert state.nonzero().tolist() == [[0, 0, 1], [4, 4, 0]]
    assert observed(outcome.view, 2).nonzero().tolist() == [[2, 2, 0]]


@pytest.mark.parametrize("action", range(6))
def test_frozen_agent_does_nothing(action: int) -> None:
    scene = Scene([GONE, (4, 6)], [(4, 5), GONE])
    outcome = scene.step([action, STAY])
    assert outcome.predators == [GONE, (4, 6)]
    assert outcome.reward == 0.0


def test_frozen_agent_does_not_help_to_catch() -> None:
    scene = Scene([GONE, (4, 6), (9, 9)], [(4, 5)])
    assert scene.step([CATCH, CATCH, STAY]).reward == -2.0


def test_window_in_a_corner() -> None:
    scene = Scene([(0, 0), (1, 2), (0, 3)], [(2, 1), (2, 2), (3, 0)])
    seen = observed(scene.env.observe(), 0)
    assert seen[..., 0].int().tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ]
    assert seen[..., 1].int().tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1],
    ]


def test_window_does_not_wrap_around_the_grid() -> None:
    scene = Scene([(9, 9), (0, 0), (8, 0)], [(0, 9), (9, 0), (7, 9)])
    seen = observed(scene.env.observe(), 0)
    assert seen.nonzero().tolist() == [[0, 2, 1], [2, 2, 0]]


def test_state_in_one_place() -> None:
    scene = Scene([(0, 0), (3, 7)], [(9, 9), (3, 8)])
    state = scene.env.observe()["state"].view(GRID, GRID, CHANNELS)
    assert state.nonzero().tolist() == [[0, 0, 0], [3, 7, 0], [3, 8, 1], [9, 9, 1]]


def test_hare_channel_is_empty_and_comes_last() -> None:
    cells: tuple[Cells, Cells] = ([(0, 0), (3, 7)], [(0, 1), (3, 8)])
    plain = Scene(*cells).env.observe()
    hares = Scene(*cells, include_hare_channel=True).env.observe()
    observation = hares["agents", "observation"].unflatten(-1, (25, 3))
    state = hares["state"].unflatten(-1, (100, 3))
    assert not observation[..., 2].any()
    assert not state[..., 2].any()
    assert torch.equal(observation[..., :2].flatten(-2), plain["agents", "observation"])
    assert torch.equal(state[..., :2].flatten(-2), plain["state"])


def test_last_action_and_id_follow_the_window() -> None:
    scene = Scene(
        [(4, 4), (9, 9)], [(0, 0)], observe_last_action=True, observe_agent_id=True
    )
    first = scene.env.observe()["agents", "observation"][0, :, 50:]
    assert first.int().tolist() == [[0] * 6 + [1, 0], [0] * 6 + [0, 1]]
    second = scene.step([DOWN, STAY]).view["agents", "observation"][0, :, 50:]
    assert second.int().tolist() == [
        [0, 1, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 0, 0, 1],
    ]
