"""Targets and what the loss offers to weightings, worked by hand on tables of values.

Two agents, three actions, sums as mixers, a discount of one half. The third action of
the first agent has the highest utility everywhere and is never available.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from loss_batches import table_batch
from projection_setup import Recorder, table_loss
from remix_options import remix_weighting
from tensordict import TensorDict
from torch import Tensor

from remix_plugin.weighting.wqmix import CentralWeighting, OptimisticWeighting

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

VALUES = {
    "online": [[1.0, 2.0, 9.0], [3.0, 4.0, 0.0]],
    "target": [[5.0, 2.0, 9.0], [0.0, 4.0, 7.0]],
    "unrestricted": [[1.0, 2.0, 300.0], [4.0, 5.0, 6.0]],
    "unrestricted_target": [[10.0, 20.0, 300.0], [40.0, 50.0, 70.0]],
}
MASK = [[1, 1, 0], [1, 1, 1]]


def batch(actions: list[list[int]] | None = None, **changes: Any) -> TensorDict:
    actions = actions or [[0, 1]]
    size = len(actions)
    entries = {
        "mask": MASK,
        "next_mask": MASK,
        "reward": [1.0] * size,
        "terminated": [0] * size,
        "done": [0] * size,
        **changes,
    }
    return table_batch(actions, **entries)


def offered(td: TensorDict, **options: Any) -> dict[str, list]:
    """What the loss offers, flattened, by name."""
    recorder = Recorder()
    table_loss(recorder, **VALUES, **options)(td)
    return {key: entry.flatten().tolist() for key, entry in recorder.seen.items()}


def target_of(td: TensorDict, **options: Any) -> list[float]:
    return offered(td, **options)["target_value"]


def test_the_online_utilities_choose_and_the_target_value_evaluates() -> None:
    # Online, action 1 is best for both: 1 + 0.5 * (20 + 50).
    assert target_of(batch()) == [36.0]


def test_without_double_q_the_target_utilities_choose() -> None:
    # In the target copy, actions 0 and 2 are best: 1 + 0.5 * (10 + 70).
    assert target_of(batch(), double_q=False) == [41.0]


@pytest.mark.parametrize("double_q", [True, False])
def test_without_delay_the_online_networks_are_the_targets(double_q: bool) -> None:
    # 1 + 0.5 * (2 + 5)
    assert target_of(batch(), double_q=double_q, delay_value=False) == [4.5]


def test_the_best_action_is_not_chosen_where_it_is_unavailable_next() -> None:
    # 1 + 0.5 * (300 + 50) if it could be taken.
    free = batch(next_mask=[[1, 1, 1], [1, 1, 1]])
    assert target_of(free) == [176.0]
    assert target_of(batch()) == [36.0]
    # 1 + 0.5 * (10 + 70): one action each is left.
    single = batch(next_mask=[[1, 0, 0], [0, 0, 1]])
    assert target_of(single) == [41.0]


def test_the_mask_before_the_step_does_not_touch_the_target() -> None:
    assert target_of(batch(mask=[[1, 0, 0], [0, 1, 0]])) == [36.0]


def test_without_a_mask_all_actions_count() -> None:
    # 1 + 0.5 * (300 + 50)
    assert target_of(batch(), use_action_mask=False) == [176.0]


def test_termination_cuts_and_truncation_bootstraps() -> None:
    td = batch(
        [[0, 0]] * 3, reward=[1.0, 2.0, 3.0], terminated=[0, 1, 0], done=[0, 1, 1]
    )
    assert target_of(td) == [36.0, 2.0, 38.0]


@pytest.mark.parametrize("sequential", [False, True])
def test_a_target_is_not_chained_along_a_sequence(sequential: bool) -> None:
    flat = batch([[0, 0]] * 3, reward=[1.0, 2.0, 3.0], done=[0, 1, 0])
    assert target_of(flat) == [36.0, 37.0, 38.0]
    rows = flat.reshape(1, 3)
    assert target_of(rows, sequential=sequential) == [36.0, 37.0, 38.0]


def test_values_and_gradients_that_weightings_see() -> None:
    seen = offered(batch([[0, 1], [1, 2]]))
    assert seen["chosen_action_value"] == [5.0, 2.0]
    assert seen["unrestricted_value"] == [6.0, 8.0]
    assert seen["mixer_gradient"] == [1.0] * 4
    assert seen["valid"] == [True, True]


def test_padding_that_weightings_see() -> None:
    td = batch([[0, 1], [1, 2]])
    td["collector", "mask"] = torch.tensor([True, False])
    assert offered(td)["valid"] == [True, False]


def test_probabilities_are_over_available_actions() -> None:
    seen = offered(batch([[0, 1]]))
    expected = [1 / (1 + math.e), 1 / (1 + math.exp(-1) + math.exp(-4))]
    assert seen["action_probability"] == pytest.approx(expected, rel=1e-6)


def test_probabilities_do_not_see_the_mask_after_the_step() -> None:
    seen = offered(batch([[0, 1]], next_mask=[[1, 0, 0], [0, 1, 0]]))
    assert seen["action_probability"][0] == pytest.approx(1 / (1 + math.e))


def test_an_only_available_action_has_probability_1() -> None:
    seen = offered(batch([[0, 1]], mask=[[1, 0, 0], [0, 1, 0]]))
    assert seen["action_probability"] == [1.0, 1.0]


def test_a_joint_action_is_greedy_if_every_agent_is() -> None:
    seen = offered(batch([[1, 1], [0, 1], [1, 0], [0, 0]]))
    assert seen["is_greedy"] == [True, False, False, False]


def test_greedy_actions_are_those_available_before_the_step() -> None:
    td = batch([[1, 0], [1, 1]], mask=[[1, 1, 0], [1, 0, 1]])
    seen = offered(td)
    assert seen["is_greedy"] == [True, False]
    # The target's value of (1, 0): 20 + 40.
    assert seen["greedy_target_value"] == [60.0, 60.0]


def test_the_greedy_value_is_that_of_the_target_network() -> None:
    assert offered(batch())["greedy_target_value"] == [70.0]
    assert offered(batch(), double_q=False)["greedy_target_value"] == [70.0]
    assert offered(batch(), delay_value=False)["greedy_target_value"] == [7.0]


def weights_of(weighting: Any, td: TensorDict) -> Tensor:
    table_loss(weighting, **VALUES)(td)
    return td["projection_weight"].flatten()


def ended(actions: list[list[int]], reward: list[float]) -> TensorDict:
    """Transitions whose targets are their rewards."""
    last = [1] * len(actions)
    return batch(actions, reward=reward, terminated=last, done=last)


def test_optimistic_weights_by_hand() -> None:
    # Q_tot is 5, 6, 2; the second is a tie.
    td = ended([[0, 1], [1, 1], [1, 2]], [6.0, 6.0, 1.0])
    weight = weights_of(OptimisticWeighting(0.1), td)
    assert weight.tolist() == pytest.approx([1.0, 0.1, 0.1])


def test_central_weights_by_hand() -> None:
    # Greedy is (1, 1), of target value 70: better, equal, worse, and greedy itself.
    td = ended([[0, 0], [0, 0], [0, 0], [1, 1]], [71.0, 70.0, 69.0, -5.0])
    weight = weights_of(CentralWeighting(0.1), td)
    assert weight.tolist() == pytest.approx([1.0, 0.1, 0.1, 1.0])


def test_remix_weights_by_hand() -> None:
    # Q_tot is 4, 5, 5 and the errors 2, 1, 0.
    td = ended([[0, 0], [0, 1], [0, 1]], [6.0, 6.0, 5.0])
    first = 1 / (1 + math.e)
    others = [
        1 / (1 + math.e + math.exp(-3)),
        1 / (1 + math.exp(-1) + math.exp(-4)),
    ]
    # With gradients of 1 the bracket is (1 - pi_1) + (1 - pi_2) - 1, and Q_star is
    # above Q_tot by 1 in each: the exponentials cancel. The mean is over all three.
    raw = [2 * (1 - first - others[0]), 1 - first - others[1]]
    mean = (raw[0] + raw[1]) / 3
    weight = weights_of(remix_weighting(normalization="mean", w_max=9.0), td)
    assert 0 < raw[1] / mean < 0.1
    assert weight.tolist() == pytest.approx([raw[0] / mean, 0.1, 0.1], rel=1e-5)

    weighting = remix_weighting(
        terms=["bellman_error"], normalization="mean", w_max=9.0
    )
    assert weights_of(weighting, td).tolist() == pytest.approx([2.0, 1.0, 0.1])


def test_the_priority_is_the_squared_error_of_every_agent() -> None:
    td = ended([[0, 0], [0, 1]], [6.0, 2.0])
    table_loss(Recorder(), **VALUES)(td)
    assert td["agents", "td_error"].tolist() == [[[4.0], [4.0]], [[9.0], [9.0]]]


def test_losses_by_hand() -> None:
    # Q_tot is 4 and 5, Q_star 5 and 6, the targets 6 and 2.
    td = ended([[0, 0], [0, 1]], [6.0, 2.0])
    result = table_loss(OptimisticWeighting(0.5), **VALUES)(td)
    assert result["loss_projection"].item() == (1.0 * 4 + 0.5 * 9) / 2
    assert result["loss_unrestricted"].item() == (1 + 16) / 2
    assert result["loss"].item() == 4.25 + 8.5
    assert result["projection_weight_mean"].item() == 0.75
    assert result["underestimated_fraction"].item() == 0.5
    assert result["mixer_gradient_mean"].item() == 1.0
