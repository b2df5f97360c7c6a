"""The rules of Predator-Prey on situations made by hand, outcomes written by hand.

Unless a test says otherwise, actors act in the order of their indices and a prey moves
to its first free neighbor in the order right, down, left, up.
"""

from __future__ import annotations

import pytest
from predator_prey_worlds import (
    GONE,
    Cell,
    Cells,
    Scene,
)

from remix_plugin.environments.predator_prey.world import (
    CATCH,
    DOWN,
    LEFT,
    RIGHT,
    STAY,
    UP,
)


def test_two_that_catch_one_prey_get_it_and_freeze() -> None:
    scene = Scene([(4, 4), (4, 6), (9, 9)], [(4, 5), (0, 0)])
    outcome = scene.step([CATCH, CATCH, STAY])
    assert outcome.reward == 10.0
    assert outcome.predators == [GONE, GONE, (9, 9)]
    assert outcome.prey == [GONE, (0, 1)]
    assert outcome.ended == (False, False)
    assert outcome.view["info", "prey_caught"].item() == 1
    assert outcome.view["info", "mis_catches"].item() == 0


@pytest.mark.parametrize("punishment", [0.0, -0.5, -1.5, -2.0])
def test_one_that_catches_alone_is_punished_and_the_prey_moves(
    punishment: float,
) -> None:
    scene = Scene([(4, 4), (4, 6)], [(4, 5)], punishment=punishment)
    outcome = scene.step([CATCH, STAY])
    assert outcome.reward == punishment
    assert outcome.predators == [(4, 4), (4, 6)]
    assert outcome.prey == [(5, 5)]
    assert outcome.ended == (False, False)
    assert outcome.view["info", "prey_caught"].item() == 0
    assert outcome.view["info", "mis_catches"].item() == 1


def test_three_that_catch_one_prey_earn_once_and_all_freeze() -> None:
    scene = Scene([(4, 4), (4, 6), (3, 5), (9, 9)], [(4, 5), (0, 0)])
    outcome = scene.step([CATCH, CATCH, CATCH, STAY])
    assert outcome.reward == 10.0
    assert outcome.predators == [GONE, GONE, GONE, (9, 9)]
    assert outcome.prey == [GONE, (0, 1)]


def test_four_that_catch_one_prey_earn_once_and_all_freeze() -> None:
    scene = Scene([(4, 4), (4, 6), (3, 5), (5, 5), (9, 9)], [(4, 5), (0, 0)])
    outcome = scene.step([CATCH, CATCH, CATCH, CATCH, STAY])
    assert outcome.reward == 10.0
    assert outcome.predators == [GONE, GONE, GONE, GONE, (9, 9)]


def test_bystander_of_a_capture_does_not_freeze() -> None:
    scene = Scene([(4, 4), (4, 6), (3, 5)], [(4, 5), (0, 0)])
    outcome = scene.step([CATCH, CATCH, STAY])
    assert outcome.reward == 10.0
    assert outcome.predators == [GONE, GONE, (3, 5)]


def test_one_catch_between_two_prey_is_punished_twice() -> None:
    scene = Scene([(4, 5), (9, 9)], [(4, 4), (4, 6)])
    outcome = scene.step([CATCH, STAY])
    assert outcome.reward == -4.0
    assert outcome.predators == [(4, 5), (9, 9)]
    # The first prey finds its right taken by the predator, and goes down.
    assert outcome.prey == [(5, 4), (4, 7)]
    assert outcome.view["info", "mis_catches"].item() == 2


@pytest.mark.parametrize(
    ("prey_order", "prey"),
    [
        # (4, 5) is caught first: (5, 4) moves right, where a predator stood.
        ([0, 1], [GONE, (5, 5)]),
        # (5, 4) is caught first: (4, 5) moves right, as it could before.
        ([1, 0], [(4, 6), GONE]),
    ],
    ids=["first", "second"],
)
def test_two_that_touch_two_prey_catch_one_and_the_other_is_free(
    prey_order: list[int], prey: Cells
) -> None:
    scene = Scene([(4, 4), (5, 5), (9, 9)], [(4, 5), (5, 4)])
    outcome = scene.step([CATCH, CATCH, STAY], prey_order=prey_order)
    assert outcome.reward == 10.0
    assert outcome.predators == [GONE, GONE, (9, 9)]
    assert outcome.prey == prey
    assert outcome.view["info", "mis_catches"].item() == 0


@pytest.mark.parametrize(
    ("prey_order", "reward"), [([0, 1], 8.0), ([1, 0], 10.0)], ids=["alone", "pair"]
)
def test_order_of_prey_decides_whether_a_shared_catch_is_punished(
    prey_order: list[int], reward: float
) -> None:
    # Predator 0 touches both prey, predator 1 only the second.
    scene = Scene([(4, 5), (4, 7), (9, 9)], [(4, 4), (4, 6)])
    outcome = scene.step([CATCH, CATCH, STAY], prey_order=prey_order)
    assert outcome.reward == reward
    assert outcome.predators == [GONE, GONE, (9, 9)]
    assert outcome.prey[1] is GONE


def test_two_pairs_earn_two_rewards_in_one_step() -> None:
    predators = [(0, 0), (0, 2), (9, 9), (9, 7), (5, 5)]
    scene = Scene(predators, [(0, 1), (9, 8), (3, 3)])
    outcome = scene.step([CATCH, CATCH, CATCH, CATCH, STAY])
    assert outcome.reward == 20.0
    assert outcome.predators == [GONE, GONE, GONE, GONE, (5, 5)]
    assert outcome.view["info", "prey_caught"].item() == 2


def test_capture_and_punishment_add_up() -> None:
    scene = Scene([(0, 0), (0, 2), (9, 9), (5, 5)], [(0, 1), (9, 8)])
    outcome = scene.step([CATCH, CATCH, CATCH, STAY])
    assert outcome.reward == 8.0


def test_who_moves_beside_a_prey_does_not_help_to_catch_it() -> None:
    scene = Scene([(4, 4), (4, 7)], [(4, 5)])
    outcome = scene.step([CATCH, LEFT])
    assert outcome.reward == -2.0
    assert outcome.predators == [(4, 4), (4, 6)]


def test_diagonal_neighbor_does_not_catch() -> None:
    scene = Scene([(4, 4), (3, 6)], [(4, 5)])
    outcome = scene.step([CATCH, CATCH])
    assert outcome.reward == -2.0
    assert outcome.predators == [(4, 4), (3, 6)]


def test_catch_beside_no_prey_counts_for_nothing() -> None:
    scene = Scene([(4, 4), (9, 9)], [(0, 0)])
    assert scene.mask()[0][CATCH] == 0
    outcome = scene.step([CATCH, CATCH])
    assert outcome.reward == 0.0
    assert outcome.predators == [(4, 4), (9, 9)]
    assert outcome.view["info", "mis_catches"].item() == 0


def test_prey_that_moves_beside_another_catcher_is_not_counted_again() -> None:
    # The prey starts beside predator 0, and its move ends beside predator 1.
    scene = Scene([(4, 4), (4, 7)], [(4, 5)])
    outcome = scene.step([CATCH, CATCH])
    assert outcome.prey == [(4, 6)]
    assert outcome.reward == -2.0


@pytest.mark.parametrize(
    ("n_catching", "reward"), [(1, -2.0), (2, -2.0), (3, 10.0), (4, 10.0)]
)
def test_capture_size_three(n_catching: int, reward: float) -> None:
    around: list[Cell] = [(4, 4), (4, 6), (3, 5), (5, 5)]
    scene = Scene([*around, (9, 9)], [(4, 5), (0, 0)], capture_size=3)
    actions = [CATCH] * n_catching + [STAY] * (5 - n_catching)
    outcome = scene.step(actions)
    assert outcome.reward == reward
    n_frozen = n_catching if n_catching >= 3 else 0
    assert outcome.predators == [GONE] * n_frozen + [*around, (9, 9)][n_frozen:]


def test_capture_size_one_is_never_punished() -> None:
    scene = Scene([(4, 4), (9, 9)], [(4, 5), (0, 0)], capture_size=1)
    outcome = scene.step([CATCH, STAY])
    assert outcome.reward == 10.0
    assert outcome.predators == [GONE, (9, 9)]


def test_capture_reward_is_an_option() -> None:
    scene = Scene([(4, 4), (4, 6)], [(4, 5), (0, 0)], capture_reward=2.5)
    assert scene.step([CATCH, CATCH]).reward == 2.5


def test_prey_boxed_in_stays() -> None:
    scene = Scene([(4, 4), (4, 6), (3, 5), (5, 5)], [(4, 5)])
    for draw in (0.0, 0.5, 0.999):
        outcome = scene.step([STAY] * 4, prey_move=[draw])
        assert outcome.prey == [(4, 5)]
        assert outcome.reward == 0.0


def test_prey_boxed_in_by_walls_and_prey_stays() -> None:
    scene = Scene([(0, 1), (9, 9)], [(0, 0), (1, 0)])
    assert scene.step([STAY, STAY]).prey == [(0, 0), (1, 1)]


def test_boxed_in_prey_that_one_catches_stays_and_costs() -> None:
    scene = Scene([(4, 4), (4, 6), (3, 5), (5, 5)], [(4, 5)])
    outcome = scene.step([CATCH, STAY, STAY, STAY])
    assert outcome.prey == [(4, 5)]
    assert outcome.reward == -2.0


@pytest.mark.parametrize(
    ("draw", "cell"),
    [
        (0.0, (4, 6)),
        (0.24, (4, 6)),
        (0.25, (5, 5)),
        (0.5, (4, 4)),
        (0.75, (3, 5)),
        (0.999, (3, 5)),
    ],
)
def test_prey_moves_by_its_draw(draw: float, cell: Cell) -> None:
    scene = Scene([(9, 9)], [(4, 5)])
    assert scene.step([STAY], prey_move=[draw]).prey == [cell]


@pytest.mark.parametrize(
    ("draw", "cell"), [(0.0, (5, 5)), (0.49, (5, 5)), (0.5, (3, 5)), (0.999, (3, 5))]
)
def test_prey_draws_among_free_cells_only(draw: float, cell: Cell) -> None:
    scene = Scene([(4, 4), (4, 6)], [(4, 5)])
    assert scene.step([STAY, STAY], prey_move=[draw]).prey == [cell]


@pytest.mark.parametrize(
    ("prey_order", "prey"),
    [([0, 1], [(0, 0), (1, 1)]), ([1, 0], [(1, 0), (1, 1)])],
    ids=["before", "after"],
)
def test_prey_sees_the_moves_of_prey_before_it(
    prey_order: list[int], prey: Cells
) -> None:
    # The prey in the corner is free only once the prey below it has left.
    scene = Scene([(0, 1)], [(0, 0), (1, 0)])
    assert scene.step([STAY], prey_order=prey_order).prey == prey


def test_prey_sees_where_predators_went() -> None:
    scene = Scene([(0, 2), (9, 9)], [(0, 0)])
    outcome = scene.step([LEFT, STAY])
    assert outcome.predators == [(0, 1), (9, 9)]
    assert outcome.prey == [(1, 0)]


def test_prey_may_enter_the_cell_of_a_caught_prey() -> None:
    scene = Scene([(4, 4), (3, 5), (9, 9)], [(4, 5), (5, 5)])
    # The fourth free neighbor of (5, 5) is (4, 5), where the first prey was caught.
    outcome = scene.step([CATCH, CATCH, STAY], prey_move=[0.0, 0.75])
    assert outcome.prey == [GONE, (4, 5)]


@pytest.mark.parametrize(
    ("draw", "cell"), [(0.0, (4, 5)), (0.29, (4, 5)), (0.31, (4, 6))]
)
def test_prey_rests_with_its_probability(draw: float, cell: Cell) -> None:
    scene = Scene([(9, 9)], [(4, 5)], prey_rest_probability=0.3)
    assert scene.step([STAY], prey_rest=[draw]).prey == [cell]


def test_prey_does_not_rest_by_default() -> None:
    scene = Scene([(9, 9)], [(4, 5)])
    assert scene.step([STAY], prey_rest=[0.0]).prey == [(4, 6)]


@pytest.mark.parametrize(
    ("order", "predators"),
    [([0, 1], [(4, 5), (4, 6)]), ([1, 0], [(4, 4), (4, 5)])],
    ids=["left_first", "right_first"],
)
def test_one_of_two_gets_into_a_cell(order: list[int], predators: Cells) -> None:
    scene = Scene([(4, 4), (4, 6)], [(9, 9)])
    outcome = scene.step([RIGHT, LEFT], predator_order=order)
    assert outcome.predators == predators


@pytest.mark.parametrize(
    ("action", "cell"),
    [
        (RIGHT, (4, 6)),
        (DOWN, (5, 5)),
        (LEFT, (4, 4)),
        (UP, (3, 5)),
        (STAY, (4, 5)),
        (CATCH, (4, 5)),
    ],
)
def test_where_actions_lead(action: int, cell: Cell) -> None:
    scene = Scene([(4, 5)], [(9, 9)])
    assert scene.step([action]).predators == [cell]


@pytest.mark.parametrize(
    ("order", "predators"),
    [([0, 1], [(4, 4), (4, 6)]), ([1, 0], [(4, 5), (4, 6)])],
    ids=["follower_first", "leader_first"],
)
def test_cell_is_free_once_its_predator_has_left(
    order: list[int], predators: Cells
) -> None:
    scene = Scene([(4, 4), (4, 5)], [(9, 9)])
    outcome = scene.step([RIGHT, RIGHT], predator_order=order)
    assert outcome.predators == predators


def test_predators_cannot_swap() -> None:
    scene = Scene([(4, 4), (4, 5)], [(9, 9)])
    assert scene.step([RIGHT, LEFT]).predators == [(4, 4), (4, 5)]


def test_prey_is_in_the_way_even_if_it_leaves_in_this_step() -> None:
    scene = Scene([(4, 4)], [(4, 5)])
    outcome = scene.step([RIGHT])
    assert outcome.predators == [(4, 4)]
    assert outcome.prey == [(4, 6)]
    assert outcome.reward == 0.0


@pytest.mark.parametrize(
    ("cell", "action"),
    [((4, 9), RIGHT), ((9, 5), DOWN), ((4, 0), LEFT), ((0, 5), UP)],
    ids=["right", "down", "left", "up"],
)
def test_move_into_a_wall_is_masked_and_leads_nowhere(cell: Cell, action: int) -> None:
    scene = Scene([cell], [(5, 5)])
    expected = [1, 1, 1, 1, 1, 0]
    expected[action] = 0
    assert scene.mask() == [expected]
    assert scene.step([action]).predators == [cell]
