"""The loss of DOP: a slow one in float64, worked numbers, isolation, odd masks."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from dop_reference import CRITIC, MIXER, Keys, backup, dop_reference, make_dop
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_batches import (
    OBSERVATION,
    assert_gradients,
    make_batch,
    table,
    table_batch,
    target_gradients,
    to_double,
)
from off_policy_reference import (
    ACTOR,
    MODES,
    assert_finite,
    assert_same,
    ended_batch,
    gradients_by_loss,
    outcome,
    perturb,
    policy_batch,
    with_dead,
    with_last_mask,
)
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.objectives import ValueEstimators

from remix_plugin.objectives.dop import DopLoss, tree_backup

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")
LAMBDA = 0.625
EXACT: dict[str, dict[str, Any]] = {
    "flat": {},
    "delay_value-off": {"delay_value": False},
    "unmasked": {"use_action_mask": False},
    "one-hot": {"action_space": "one-hot"},
    "one-agent": {"n_agents": 1},
    "l1": {"loss_function": "l1"},
    "not-normalized": {"normalize": False, "use_bias": False},
    "floor": {"share_of_uniform": 0.25, "actor_gradient": "sampled"},
    "one-step": {"sequential": True, "n_steps": 1},
    "two-steps": {"sequential": True, "n_steps": 2, "tree_lambda": 1.0},
    "all-steps": {"sequential": True, "n_steps": 9, "tree_lambda": 0.5},
    "rows-lambda": {"lmbda": LAMBDA, "actor_gradient": "sampled"},
    "recurrent": {"recurrent": True},
    "recurrent-lambda": {"recurrent": True, "lmbda": LAMBDA, "n_steps": 4},
}
RECENT: dict[str, dict[str, Any]] = {
    "flat": {"replay_share": 0.25},
    "replay": {"actor_data": "replay", "actor_gradient": "sampled"},
    "all-share": {"lmbda": LAMBDA, "replay_share": 1.0},
    "no-share": {"lmbda": LAMBDA, "replay_share": 0.0, "use_action_mask": False},
    "recurrent": {
        "recurrent": True,
        "lmbda": LAMBDA,
        "actor_gradient": "sampled",
        "share_of_uniform": 0.125,
    },
}


def mark(td: TensorDict, *rows: int) -> TensorDict:
    """Tell which rows are recent."""
    is_recent = torch.zeros(td.shape, dtype=torch.bool)
    is_recent[list(rows)] = True
    return td.set("recent", is_recent)


def assert_equals_reference(
    options: dict[str, Any], rows: tuple[int, ...] = (), **more: bool
) -> None:
    loss = make_dop(**options).double()
    td = to_double(policy_batch(options, **more))
    if rows:
        mark(td, *rows)
    share = options.get("share_of_uniform", 0.0)
    expected = dop_reference(loss, td, options.get("lmbda", 0.0), share)
    result = loss(td)
    assert set(result.keys()) == set(expected.scalars) == set(loss.out_keys)
    for key, value in expected.scalars.items():
        assert result[key].item() == pytest.approx(value, rel=1e-6, abs=1e-9), key
    valid = td.get(("collector", "mask"), torch.ones(td.shape, dtype=torch.bool))
    exact = torch.tensor(expected.priorities, dtype=torch.float64).view(td.shape)
    for priority in td["agents", "td_error"].squeeze(-1).unbind(-1):
        torch.testing.assert_close(priority[valid], exact[valid], rtol=1e-6, atol=0)
    for name, found in gradients_by_loss(loss, result).items():
        assert_gradients(found, expected.gradients[name], rtol=1e-6)


@pytest.mark.parametrize("options", EXACT)
def test_losses_and_gradients_equal_a_slow_implementation(options: str) -> None:
    assert_equals_reference(EXACT[options])


@pytest.mark.parametrize("rows", [(1,), (0, 1, 2)], ids=["some", "all"])
@pytest.mark.parametrize("options", RECENT)
def test_recent_rows_equal_a_slow_implementation(
    options: str, rows: tuple[int, ...]
) -> None:
    assert_equals_reference(RECENT[options], rows)


@pytest.mark.parametrize("rows", [(), (2,)], ids=["none", "some"])
@pytest.mark.parametrize("options", ["flat", "recurrent"])
def test_padded_and_prioritized_batches_equal_a_slow_implementation(
    options: str, rows: tuple[int, ...]
) -> None:
    assert_equals_reference(RECENT[options], rows, padded=True, prioritized=True)


def test_batches_of_rows_hold_what_they_are_meant_to_test() -> None:
    td = policy_batch({"recurrent": True}, padded=True)
    inner = td["next", "done"][:, :-1] & td["collector", "mask"][:, 1:, None]
    assert inner.any(), "several episodes in a row"
    truncated = td["next", "done"] & ~td["next", "terminated"]
    assert truncated[:, :-1].any(), "an end that is not terminal"
    assert not td["is_init"][:, 0].all(), "a row that starts within an episode"
    assert not td["collector", "mask"].all(), "padding"


def column(*values: float) -> Tensor:
    """One row of steps, ``[1, T, 1]``."""
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1)


@pytest.mark.parametrize(
    ("n_steps", "end", "expected"),
    [
        (3, None, (11.28125, 22.25, 34.0)),
        (2, None, (11.25, 22.25, 34.0)),
        (1, None, (11.0, 22.0, 34.0)),
        (3, 0, (11.0, 22.25, 34.0)),
        (3, 1, (11.25, 22.0, 34.0)),
        (9, 2, (11.28125, 22.25, 34.0)),
    ],
)
def test_worked_tree_backup(
    n_steps: int, end: int | None, expected: tuple[float, ...]
) -> None:
    ends = torch.zeros(1, 3, 1, dtype=torch.bool)
    if end is not None:
        ends[0, end] = True
    target = tree_backup(
        column(10, 20, 30),
        column(1, 2, 4),
        # That of the first action is never asked for.
        column(math.nan, 0.5, 0.25),
        ends,
        decay=0.25,
        n_steps=n_steps,
    )
    assert target.flatten().tolist() == list(expected)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 3),
    steps=st.integers(1, 7),
    n_steps=st.integers(1, 9),
    decay=st.floats(0, 1),
)
def test_property_tree_backup_equals_a_recursion(
    seed: int, rows: int, steps: int, n_steps: int, decay: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(3, rows, steps, 1, generator=generator, dtype=torch.float64)
    value, error, probability = numbers[0], numbers[1], numbers[2].sigmoid()
    ends = torch.rand(rows, steps, 1, generator=generator) < 0.3
    kept = numbers.clone()
    target = tree_backup(
        value, error, probability, ends, decay=decay, n_steps=n_steps
    ).tolist()
    assert torch.equal(numbers, kept)
    for row in range(rows):
        listed = [x[row].flatten().tolist() for x in (error, probability, ends)]
        for t in range(steps):
            rest = backup(*listed, t, n_steps, decay)
            exact = value[row, t].item() + rest
            assert target[row][t][0] == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_a_policy_that_never_acts_so_has_one_step_targets() -> None:
    ends = torch.zeros(1, 3, 1, dtype=torch.bool)
    numbers = column(10, 20, 30), column(1, 2, 4), column(0, 0, 0)
    target = tree_backup(*numbers, ends, decay=1.0, n_steps=3)
    assert torch.equal(target, numbers[0] + numbers[1])


def table_dop(
    logits: list[list[float]],
    values: list[list[float]],
    weight: list[float],
    bias: float = 0.0,
    **options: Any,
) -> DopLoss:
    """A loss with tables of logits and values, constant weights, and no discount."""
    keys = Keys()

    def mix(observation: Tensor) -> tuple[Tensor, Tensor]:
        batch = observation.shape[:-2]
        k = torch.tensor(weight, dtype=observation.dtype)[:, None]
        return k.expand(*batch, -1, 1), observation.new_full((*batch, 1), bias)

    loss = DopLoss(
        table(logits, keys.logits),
        # All of the value is the action's, none the state's.
        table([[0.0, *own] for own in values], keys.dueling_value),
        TensorDictModule(mix, [OBSERVATION], [keys.mixing_weight, keys.mixing_bias]),
        **{"n_steps": 1, **options},
    )
    loss.make_value_estimator(ValueEstimators.TD0, gamma=1.0)
    return loss


def chosen_batch(actions: list[list[int]], n_actions: int) -> TensorDict:
    """Terminal transitions without a reward, in which all actions are available."""
    size, everything = len(actions), [[1] * n_actions] * len(actions[0])
    return table_batch(
        actions,
        mask=everything,
        next_mask=everything,
        reward=[0.0] * size,
        terminated=[1] * size,
        done=[1] * size,
    )


def logit_gradient(loss: DopLoss, td: TensorDict) -> Tensor:
    """``dL_actor / dlogits``, ``[n, A]``."""
    loss.zero_grad()
    loss(td)["loss_actor"].backward()
    return loss.actor_network_params["module", "weight"].grad.T.clone()


@pytest.mark.parametrize("gradient", ["expected", "sampled"])
def test_worked_gradient(gradient: str) -> None:
    """The sampled one is right on average: each action is half of the batch."""
    options = {"actor_gradient": gradient}
    loss = table_dop([[0.0, 0.0]], [[2.0, 6.0]], [0.25], **options)
    found = logit_gradient(loss, chosen_batch([[0], [1]], 2))
    torch.testing.assert_close(found, torch.tensor([[0.25, -0.25]]))


def test_worked_value() -> None:
    loss = table_dop([[0.0], [0.0]], [[4.0], [8.0]], [0.25, 0.75], bias=1.0)
    result = loss(chosen_batch([[0, 0]], 1))
    assert result["chosen_value_mean"].item() == 8.0
    assert result["loss_critic"].item() == 64.0


def test_the_sampled_gradient_is_the_expected_one_on_average() -> None:
    logits = [[0.5, -1.0, 0.25], [2.0, 0.0, 1.0]]
    values = [[3.0, -2.0, 1.0], [0.5, 4.0, -1.0]]
    policies = torch.tensor(logits).softmax(-1)
    given = (logits, values, [0.25, 1.5])
    sampled = table_dop(*given, actor_gradient="sampled")
    average = torch.zeros(2, 3)
    for u in itertools.product(range(3), repeat=2):
        share = policies[0, u[0]] * policies[1, u[1]]
        average += share * logit_gradient(sampled, chosen_batch([list(u)], 3))
    expected = logit_gradient(table_dop(*given), chosen_batch([[0, 0]], 3))
    torch.testing.assert_close(average, expected)
    assert expected.abs().min() > 1e-3


def test_bootstraps_are_expectations_over_joint_actions() -> None:
    logits = [[0.5, -1.0, 0.25], [2.0, 0.0, 1.0], [0.0, 0.0, 3.0]]
    values = [[3.0, -2.0, 1.0], [0.5, 4.0, -1.0], [1.0, 2.0, 3.0]]
    loss = table_dop(logits, values, [0.25, 1.5, 0.75], bias=-2.0)
    policies = torch.tensor(logits).softmax(-1)
    td = chosen_batch([[0, 0, 0]], 3)
    td["next", "terminated"] = td["next", "done"] = torch.zeros_like(td["next", "done"])
    expected = 0.0
    for u in itertools.product(range(3), repeat=3):
        share = math.prod(policies[i, a].item() for i, a in enumerate(u))
        value = loss(chosen_batch([list(u)], 3))["chosen_value_mean"].item()
        expected += share * value
    assert loss(td)["target_value_mean"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gradient", ["expected", "sampled"])
def test_each_loss_trains_its_networks_and_no_others(mode: str, gradient: str) -> None:
    options = MODES[mode]
    loss = make_dop(actor_gradient=gradient, **options)
    td = mark(policy_batch(options), 1)
    found = gradients_by_loss(loss, loss(td))
    for name, learns in (
        ("loss_actor", {ACTOR}),
        ("loss_critic", {CRITIC, MIXER}),
    ):
        for parameter, value in found[name].items():
            network = parameter.split(".")[0]
            assert (value is not None) == (network in learns), (name, parameter)
        for network in learns:
            mine = [g for k, g in found[name].items() if k.startswith(network)]
            assert any(g.any() for g in mine), (name, network)
    delayed = {name for name, _ in loss.named_children() if name.startswith("target_")}
    assert delayed == {f"target_{name}_params" for name in (CRITIC, MIXER)}
    assert all(gradient is None for gradient in target_gradients(loss))


@pytest.mark.parametrize("network", [CRITIC, MIXER])
def test_targets_come_from_target_critics_and_current_actors(network: str) -> None:
    loss, td = make_dop(lmbda=LAMBDA), policy_batch({"lmbda": LAMBDA})
    expected = loss(td)
    perturb(loss, network)
    actual = loss(td)
    assert torch.equal(actual["target_value_mean"], expected["target_value_mean"])
    assert actual["chosen_value_mean"] != expected["chosen_value_mean"]
    perturb(loss, f"target_{network}")
    moved = loss(td)
    assert moved["target_value_mean"] != expected["target_value_mean"]
    assert torch.equal(moved["chosen_value_mean"], actual["chosen_value_mean"])
    perturb(loss, ACTOR)
    assert loss(td)["target_value_mean"] != moved["target_value_mean"]


@pytest.mark.parametrize("data", ["recent", "replay"])
def test_actors_learn_from_recent_rows_alone(data: str) -> None:
    loss = make_dop(lmbda=LAMBDA, actor_data=data)
    td = mark(policy_batch({"lmbda": LAMBDA}), 1)
    expected = loss(td)
    td["agents", "observation"][[0, 2]] += 1.0
    actual = loss(td)
    assert actual["loss_critic"] != expected["loss_critic"]
    same = torch.equal(actual["loss_actor"], expected["loss_actor"])
    assert same == (data == "recent")


def test_where_no_recent_step_is_valid_actors_learn_from_all() -> None:
    loss, td = make_dop(), make_batch(6, padded=True)
    expected = loss(td.clone())
    td["recent"] = ~td["collector", "mask"]
    result = loss(td)
    assert td["recent"].any()
    for key in loss.out_keys:
        assert torch.equal(result[key], expected[key]), key


def test_actors_rest_between_their_updates() -> None:
    loss = make_dop(actor_update_period=3)
    td = make_batch(8)
    actors = [*loss.actor_network_params.values(True, True)]
    optimizer = torch.optim.Adam([*actors, loss.pause], lr=0.1)
    moved = []
    for _ in range(7):
        before = [parameter.detach().clone() for parameter in actors]
        result = loss(td)
        result["loss_actor"].backward()
        optimizer.step()
        optimizer.zero_grad()
        same = [torch.equal(p, q) for p, q in zip(actors, before, strict=True)]
        assert any(same) == all(same)
        moved.append(not all(same))
        assert set(result.keys()) == set(loss.out_keys)
        assert (result["loss_actor"] != 0) == moved[-1]
    # By the third, Adam has a momentum that would move them.
    assert moved == [False, False, True, False, False, True, False]


def test_a_state_dict_continues_the_rest_of_actors() -> None:
    loss, other = (make_dop(actor_update_period=3) for _ in range(2))
    td = make_batch(8)
    for _ in range(2):
        assert loss(td)["loss_actor"] == 0
    state = loss.state_dict()
    assert state["updates"].item() == 2
    other.load_state_dict(state)
    assert other(td)["loss_actor"] != 0


def test_by_default_actors_learn_at_each_update() -> None:
    loss, td = make_dop(), make_batch(8)
    assert all(loss(td)["loss_actor"] != 0 for _ in range(3))


def test_results_are_scalar_floats() -> None:
    for loss in (make_dop(), make_dop(actor_update_period=2)):
        result = loss(make_batch(6))
        for key, value in result.items():
            assert value.shape == ()
            assert value.dtype == torch.float32
            assert value.requires_grad == key.startswith("loss_"), key


@pytest.mark.parametrize("mode", MODES)
def test_the_batch_gains_its_priority_and_nothing_else(mode: str) -> None:
    loss, td = make_dop(**MODES[mode]), policy_batch(MODES[mode], prioritized=True)
    before = td.clone()
    loss(td)
    assert td["agents", "td_error"].shape == (*td.shape, 3, 1)
    after = td.exclude(("agents", "td_error"))
    assert set(after.keys(True, True)) == set(before.keys(True, True))
    assert (after == before).all()
    assert not any(entry.requires_grad for entry in td.values(True, True))


def test_several_steps_of_transitions_in_any_order_are_refused() -> None:
    with pytest.raises(ValueError, match="n_steps=2 with sequential=False"):
        make_dop(n_steps=2)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"n_steps": 0}, ValueError),
        ({"n_steps": 1.0}, TypeError),
        ({"tree_lambda": 1.5}, ValueError),
        ({"replay_share": -0.5}, ValueError),
        ({"actor_data": "newest"}, ValueError),
        ({"actor_gradient": "exact"}, ValueError),
        ({"actor_update_period": 0}, ValueError),
    ],
)
def test_options_out_of_range_are_refused_by_name(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(options))):
        make_dop(**options)


@pytest.mark.parametrize("gradient", ["expected", "sampled"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_last_masks_may_allow_nothing(mode: str, gradient: str, share: float) -> None:
    options = MODES[mode]
    loss = make_dop(**options, actor_gradient=gradient, share_of_uniform=share)
    truncated = ended_batch(options, terminated=False)
    assert_finite(outcome(loss, with_last_mask(truncated, False)))
    terminated = ended_batch(options, terminated=True)
    made = outcome(loss, with_last_mask(terminated, False))
    assert_finite(made)
    mask = torch.rand(terminated["agents", "action_mask"].shape) < 0.5
    for other in (True, mask):
        assert_same(made, outcome(loss, with_last_mask(terminated, other)))


@pytest.mark.parametrize("gradient", ["expected", "sampled"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_the_dead_may_do_nothing_or_one_thing(
    mode: str, gradient: str, share: float
) -> None:
    options = MODES[mode]
    loss = make_dop(**options, actor_gradient=gradient, share_of_uniform=share)
    td = ended_batch(options, terminated=True)
    assert_finite(outcome(loss, with_dead(td, any_action=False)))
    assert_finite(outcome(loss, with_dead(td, any_action=True)))


@pytest.mark.parametrize("gradient", ["expected", "sampled"])
def test_actors_of_the_dead_learn_nothing(gradient: str) -> None:
    """Their one action is certain, whatever their logits are."""
    for allowed in ([0, 0, 1], [0, 0, 0]):
        loss = table_dop(
            [[0.5, -1.0, 0.25], [2.0, 0.0, 1.0]],
            [[3.0, -2.0, 1.0], [0.5, 4.0, -1.0]],
            [0.25, 1.5],
            actor_gradient=gradient,
        )
        td = chosen_batch([[0, 2], [1, 2]], 3)
        mask = td["agents", "action_mask"].clone()
        mask[:, 1] = torch.tensor(allowed)
        td["agents", "action_mask"] = mask
        found = logit_gradient(loss, td)
        assert found[0].abs().min() > 1e-3
        assert (found[1] == 0).all()


def test_nothing_after_a_terminal_step_counts() -> None:
    loss, td = make_dop(), ended_batch({}, terminated=True)
    expected = outcome(loss, td)
    ended = td["next", "done"].squeeze(-1)
    td["next"].get(OBSERVATION)[ended] = torch.nan
    assert_same(outcome(loss, td), expected)
