"""Values of recurrent networks in rows, against an unroll step by step in float64."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from loss_batches import (
    OBSERVATION,
    assert_gradients,
    gradients,
    link,
    make_batch,
    to_double,
)
from projection_reference import reference
from projection_setup import NETWORKS, make_loss, make_weighting
from recurrent_networks import MEMORY
from slow_reference import agent_values, parameters_of, rows_of
from tensordict import TensorDict
from torch import Tensor

from remix_plugin.objectives.unroll import pack_rows, unpack_rows
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

STEPS, AGENTS = 5, 2
UTILITIES = {
    "local_value_network": ("agents", "action_value"),
    "unrestricted_value_network": ("agents", "unrestricted_action_value"),
}
# Steps that end an episode, of the row under test.
PATTERNS = [
    (),
    *((t,) for t in range(STEPS)),
    *itertools.combinations(range(STEPS), 2),
    (0, 2, 4),
    (1, 2, 3),
    tuple(range(STEPS)),
]


def double_loss(
    weighting: str = "remix-mean", **options: Any
) -> WeightedProjectionLoss:
    options = {"n_agents": AGENTS, "recurrent": True, **options}
    return make_loss(make_weighting(weighting), **options).double()


def row_with_ends(
    pattern: tuple[int, ...], *, begins: bool = True, truncated: bool = False
) -> TensorDict:
    """Rows whose first ends episodes at the steps given, the second at none."""
    td = make_batch(2, STEPS, n_agents=AGENTS, recurrent=True, stored=True, seed=5)
    done = torch.zeros(2, STEPS, 1, dtype=torch.bool)
    done[0, list(pattern)] = True
    is_init = torch.zeros_like(done)
    is_init[:, 0] = begins
    is_init[:, 1:] = done[:, :-1]
    td["is_init"] = is_init
    td["next", "done"] = done
    td["next", "terminated"] = torch.zeros_like(done) if truncated else done
    fresh = make_batch(2, STEPS, n_agents=AGENTS, seed=6)
    for key in (OBSERVATION, "state", ("agents", "action_mask")):
        td["next"].set(key, fresh["next"].get(key))
    link(td, done)
    return to_double(td)


def assert_values_equal_an_unroll(loss: WeightedProjectionLoss, td: TensorDict) -> None:
    """All utilities, online and target, at and after each step."""
    passes = loss._passes(td)
    online, target = parameters_of(loss, NETWORKS)
    rows = rows_of(loss, td)
    for (name, key), is_target in itertools.product(UTILITIES.items(), [False, True]):
        parameters = target if is_target else online
        now = passes.now(name, key, target=is_target)
        after = passes.after(name, key, target=is_target)
        assert now.requires_grad != is_target
        assert not after.requires_grad
        for b, t, a in itertools.product(range(2), range(STEPS), range(AGENTS)):
            step = rows[b][t]
            for actual, moment in ((now, step.now), (after, step.then)):
                expected = agent_values(parameters, name, moment, a)
                torch.testing.assert_close(
                    actual[b, t, a], expected, rtol=0, atol=1e-10
                )


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("begins", [True, False], ids=["begins", "goes-on"])
def test_values_equal_an_unroll_step_by_step(
    pattern: tuple[int, ...], begins: bool
) -> None:
    assert_values_equal_an_unroll(double_loss(), row_with_ends(pattern, begins=begins))


def test_values_without_a_stored_state_begin_at_zero() -> None:
    td = row_with_ends((1,), begins=False)
    stored = td.exclude("initial_state", "unrestricted_initial_state")
    assert_values_equal_an_unroll(double_loss(), stored)
    zeros = td.clone()
    for key in ("initial_state", "unrestricted_initial_state"):
        zeros[key].zero_()
    loss = double_loss()
    assert torch.equal(loss(stored)["loss"], loss(zeros)["loss"])
    assert loss(td)["loss"] != loss(zeros)["loss"]


def test_each_network_begins_with_its_own_state() -> None:
    td = row_with_ends((1,), begins=False)
    kept = td.exclude("unrestricted_initial_state")
    assert_values_equal_an_unroll(double_loss(), kept)
    assert_values_equal_an_unroll(double_loss(), td.exclude("initial_state"))


def test_a_row_that_begins_an_episode_forgets_its_stored_state() -> None:
    loss, td = double_loss(), row_with_ends((2,), begins=True)
    expected = loss(td)["loss"]
    assert torch.equal(loss(td.exclude("initial_state"))["loss"], expected)


def test_a_start_that_no_end_precedes_cuts_too() -> None:
    # As where collection was interrupted.
    td = row_with_ends((3,), begins=False)
    td["is_init"][:, 2] = True
    fresh = row_with_ends(())
    td["next", "agents", "observation"][:, 1] = fresh["agents", "observation"][:, 4]
    assert_values_equal_an_unroll(double_loss(), td)


@pytest.mark.parametrize(
    "pattern", [*PATTERNS[: STEPS + 1], (0, 1), (1, 2, 3), PATTERNS[-1]], ids=str
)
def test_loss_and_gradients_equal_an_unroll(pattern: tuple[int, ...]) -> None:
    truncated = len(pattern) % 2 == 0
    td = row_with_ends(pattern, begins=not truncated, truncated=truncated)
    assert_loss_equals_an_unroll(td, "remix-mean")


@pytest.mark.parametrize("double_q", [True, False])
@pytest.mark.parametrize("lmbda", [None, 0.625])
@pytest.mark.parametrize("delay_value", [True, False])
def test_options_equal_an_unroll(
    double_q: bool, lmbda: float | None, delay_value: bool
) -> None:
    td = row_with_ends((1, 3), begins=False, truncated=True)
    assert_loss_equals_an_unroll(
        td, "central", double_q=double_q, lmbda=lmbda, delay_value=delay_value
    )


@pytest.mark.parametrize("lmbda", [None, 0.625])
def test_padded_rows_equal_an_unroll(lmbda: float | None) -> None:
    td = make_batch(
        3,
        STEPS,
        n_agents=AGENTS,
        recurrent=True,
        stored=True,
        padded=True,
        prioritized=True,
    )
    assert not td["collector", "mask"].all()
    assert_loss_equals_an_unroll(to_double(td), "remix-mean", lmbda=lmbda)


def assert_loss_equals_an_unroll(
    td: TensorDict, weighting: str, **options: Any
) -> None:
    loss = double_loss(weighting, **options)
    expected = reference(loss, td, weighting, lmbda=options.get("lmbda") or 0.0)
    result = loss(td)
    result["loss"].backward()
    for key, value in expected.scalars.items():
        assert result[key].item() == pytest.approx(value, rel=1e-9), key
    valid = td.get(("collector", "mask"), torch.ones(td.shape, dtype=torch.bool))
    priority = td["agents", "td_error"][..., 0, 0][valid]
    exact = torch.tensor(expected.priorities, dtype=torch.float64).view(td.shape)[valid]
    torch.testing.assert_close(priority, exact, rtol=1e-8, atol=1e-10)
    assert_gradients(gradients(loss), expected.gradients, rtol=1e-8)


def test_the_examples_above_are_not_trivial() -> None:
    """Memory matters, and the value after an end is not the next step's."""
    loss, td = double_loss(), row_with_ends((1, 3))
    values = loss._passes(td).now(*next(iter(UTILITIES.items())))
    other = td.clone()
    other["agents", "observation"][:, 0] += 1.0
    moved = loss._passes(other).now(*next(iter(UTILITIES.items()))) - values
    changed = moved.abs().amax((2, 3)) > 1e-3
    assert changed.tolist() == [[True, True, False, False, False], [True] * 5]
    after = loss._passes(td).after(*next(iter(UTILITIES.items())))
    same = (after[:, :-1] - values[:, 1:]).abs().amax((2, 3)) < 1e-12
    assert same.tolist() == [[True, False, True, False], [True] * 4]


def chained(loss: WeightedProjectionLoss, td: TensorDict) -> TensorDict:
    """The second halves of rows, with the states that their first halves end in."""
    first, second = td[:, :2], td[:, 2:].clone()
    zeros = {name: torch.zeros(2, AGENTS, 3).double() for name in UTILITIES}
    before, after = loss.hidden_states(first, zeros)
    assert set(before) == {"initial_state", "unrestricted_initial_state"}
    assert all((state == 0).all() for state in before.values())
    starts, _ = loss.hidden_states(second, after)
    for key, state in starts.items():
        second[key] = pack_rows(state, second.shape[1])
    return second


@pytest.mark.parametrize("pattern", [(), (0,), (1,), (2,), (1, 2, 4)], ids=str)
def test_chained_rows_equal_one_long_row(pattern: tuple[int, ...]) -> None:
    loss, td = double_loss(), row_with_ends(pattern)
    td = td.exclude("initial_state", "unrestricted_initial_state")
    halves, whole = loss._passes(chained(loss, td)), loss._passes(td)
    for name, key in UTILITIES.items():
        torch.testing.assert_close(
            halves.now(name, key), whole.now(name, key)[:, 2:], rtol=0, atol=1e-12
        )
        torch.testing.assert_close(
            halves.after(name, key), whole.after(name, key)[:, 2:], rtol=0, atol=1e-12
        )


def test_hidden_states_are_those_of_the_online_networks() -> None:
    loss, td = make_loss(n_agents=AGENTS, recurrent=True), row_with_ends((1,))
    td = td.apply(lambda x: x.float() if x.is_floating_point() else x)
    td = td.exclude("initial_state", "unrestricted_initial_state")
    before, after = loss.hidden_states(td, {})
    assert all((state == 0).all() for state in before.values())
    for name, key in UTILITIES.items():
        assert after[name].shape == (2, AGENTS, 3)
        assert not after[name].requires_grad
        head = getattr(loss, f"{name}_params")["head"]
        last = after[name] @ head["weight"].T + head["bias"]
        torch.testing.assert_close(last, loss._passes(td).now(name, key)[:, -1])


def test_hidden_states_leave_the_rows_as_they_are() -> None:
    loss, td = double_loss(), row_with_ends((1,))
    before = td.clone()
    loss.hidden_states(td, {n: torch.zeros(2, AGENTS, 3).double() for n in UTILITIES})
    assert set(td.keys(True, True)) == set(before.keys(True, True))
    assert (td == before).all()


def test_networks_without_memory_have_no_states() -> None:
    loss = make_loss(sequential=True)
    assert loss.hidden_states(make_batch(2, 3, rows=True), {}) == ({}, {})


def test_the_memory_is_no_entry_of_the_batch() -> None:
    assert MEMORY not in make_loss(recurrent=True).in_keys
    state = torch.randn(2, AGENTS, 3)
    assert torch.equal(unpack_rows(pack_rows(state, 4), (AGENTS, 3)), state)


def test_transitions_in_any_order_are_refused() -> None:
    loss = make_loss(recurrent=True, sequential=False)
    for shape in ((6,), (2, 3)):
        with pytest.raises(ValueError, match="recurrent networks need rows of steps"):
            loss(make_batch(*shape, recurrent=len(shape) == 2))


@pytest.mark.parametrize("shape", [(6,), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("recurrent", [False, True])
def test_rows_of_another_shape_are_refused(
    shape: tuple[int, ...], recurrent: bool
) -> None:
    loss = make_loss(recurrent=recurrent, sequential=True)
    td = make_batch(*shape)
    td["is_init"] = torch.zeros(*shape, 1, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"must be \[rows, steps\]"):
        loss(td)


def gradient_through_time(td: TensorDict, first: int) -> Tensor:
    """Of the loss, in the observations before a step."""
    td["agents", "observation"].requires_grad_()
    double_loss()(td)["loss"].backward()
    return td["agents", "observation"].grad[0, :first]


def test_gradients_flow_back_through_memory_but_not_across_an_end() -> None:
    for pattern, flows in (((), True), ((2,), False)):
        td = row_with_ends(pattern)
        valid = torch.zeros(2, STEPS, dtype=torch.bool)
        # The loss of the last step alone.
        valid[0, -1] = True
        td["priority_weight"] = valid.double()
        found = gradient_through_time(td, first=3)
        assert bool((found != 0).any()) == flows
