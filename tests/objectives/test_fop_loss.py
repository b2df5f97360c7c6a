"""The loss of FOP: a slow one in float64, worked numbers, isolation, odd masks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from fop_reference import CRITICS, MIXERS, TWINS, Draws, Keys, fop_reference, make_fop
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

from remix_plugin.objectives.fop import FopLoss

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")
LAMBDA = 0.625
EXACT: dict[str, dict[str, Any]] = {
    "flat": {},
    "cold": {"alpha": 0.0625},
    "hot": {"alpha": 2.0, "entropy_target": "reference"},
    "delay_value-off": {"delay_value": False},
    "unmasked": {"use_action_mask": False},
    "one-hot": {"action_space": "one-hot"},
    "one-agent": {"n_agents": 1},
    "smooth": {"loss_function": "smooth_l1"},
    "floor": {"share_of_uniform": 0.25},
    "lambda-reference": {"lmbda": LAMBDA, "entropy_target": "reference"},
    "recurrent": {"recurrent": True, "entropy_target": "reference"},
    "recurrent-lambda": {"recurrent": True, "lmbda": LAMBDA},
}


def assert_equals_reference(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **more: bool
) -> None:
    loss = make_fop(**options).double()
    td = to_double(policy_batch(options, **more))
    draws = Draws(monkeypatch)
    result = loss(td)
    assert draws.count == 1
    share = options.get("share_of_uniform", 0.0)
    lmbda = options.get("lmbda", 0.0)
    expected = fop_reference(loss, td, draws.actions, lmbda, share)
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
def test_losses_and_gradients_equal_a_slow_implementation(
    options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_equals_reference(EXACT[options], monkeypatch)


@pytest.mark.parametrize("options", ["flat", "lambda-reference", "recurrent-lambda"])
def test_padded_and_prioritized_batches_equal_a_slow_implementation(
    options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"padded": True, "prioritized": True}
    assert_equals_reference(EXACT[options], monkeypatch, **more)


@pytest.mark.parametrize("mode", MODES)
def test_next_actions_are_drawn_from_current_policies(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the observations that followed, over what is available there."""
    loss, draws = make_fop(**MODES[mode]), Draws(monkeypatch)
    td = policy_batch(MODES[mode])
    loss(td)
    mask = td["next", "agents", "action_mask"]
    assert ((draws.probability > 0) == mask).all()
    torch.testing.assert_close(draws.probability.sum(-1), torch.ones(mask.shape[:-1]))
    first = draws.probability
    perturb(loss, *CRITICS, *(f"target_{k}" for k in CRITICS))
    loss(td)
    assert torch.equal(draws.probability, first)
    perturb(loss, ACTOR)
    loss(td)
    assert not torch.equal(draws.probability, first)
    if mode == "flat":
        logits = loss._run(ACTOR, td["next"].clone())["agents", "logits"]
        exact = logits.masked_fill(~mask, -torch.inf).softmax(-1)
        torch.testing.assert_close(draws.probability, exact)


def test_next_actions_are_drawn_anew_each_time() -> None:
    loss, td = make_fop(), make_batch(40)
    torch.manual_seed(0)
    expected = loss(td)["target_value_mean"]
    assert loss(td)["target_value_mean"] != expected
    torch.manual_seed(0)
    assert torch.equal(loss(td)["target_value_mean"], expected)


def table_fop(
    logits: list[list[float]],
    values: list[list[list[float]]],
    added: tuple[float, float] = (0.0, 0.0),
    gamma: float = 0.5,
    **options: Any,
) -> FopLoss:
    """A loss with tables of logits and of both critics, and mixers that are sums."""
    keys = Keys()

    def mixer(constant: float) -> TensorDictModule:
        def add(chosen: Tensor) -> Tensor:
            return chosen.sum(-2) + constant

        return TensorDictModule(add, [keys.local_value], [keys.global_value])

    loss = FopLoss(
        table(logits, keys.logits),
        *(table(own, keys.action_value) for own in values),
        *(mixer(constant) for constant in added),
        **options,
    )
    loss.make_value_estimator(ValueEstimators.TD0, gamma=gamma)
    return loss


def chosen_batch(
    actions: list[list[int]], n_actions: int, *, terminated: bool, reward: float = 0.0
) -> TensorDict:
    """Transitions in which all actions are available."""
    size, everything = len(actions), [[1] * n_actions] * len(actions[0])
    return table_batch(
        actions,
        mask=everything,
        next_mask=everything,
        reward=[reward] * size,
        terminated=[int(terminated)] * size,
        done=[int(terminated)] * size,
    )


NOTHING = [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("terminated", [False, True])
def test_entropy_in_the_target(terminated: bool) -> None:
    """Two agents that choose one of two actions by chance."""
    loss = table_fop(NOTHING, [NOTHING, NOTHING], alpha=0.75)
    td = chosen_batch([[0, 1]], 2, terminated=terminated, reward=3.0)
    bonus = 0.0 if terminated else 0.5 * 2 * 0.75 * math.log(2)
    assert loss(td)["target_value_mean"].item() == pytest.approx(3.0 + bonus)


@pytest.mark.parametrize("terminated", [False, True])
def test_entropy_in_the_target_of_the_reference_code(terminated: bool) -> None:
    """A mean over agents, neither discounted nor cut."""
    loss = table_fop(
        NOTHING, [NOTHING, NOTHING], alpha=0.75, entropy_target="reference"
    )
    td = chosen_batch([[0, 1]], 2, terminated=terminated, reward=3.0)
    expected = 3.0 + 0.75 * math.log(2)
    assert loss(td)["target_value_mean"].item() == pytest.approx(expected)


@pytest.mark.parametrize("added", [(2.0, 6.0), (6.0, 2.0)])
def test_the_target_takes_the_smaller_joint_value(added: tuple[float, float]) -> None:
    # Policies that are certain, of the action that the critics give 1 each.
    loss = table_fop([[40.0, 0.0]] * 2, [[[1.0, 9.0]] * 2] * 2, added)
    td = chosen_batch([[0, 1]], 2, terminated=False)
    result = loss(td)
    assert result["target_value_mean"].item() == pytest.approx(0.5 * (2.0 + 2.0))
    # Both joint values of (0, 1) learn from it: 10 + 2 - 2 and 10 + 6 - 2.
    assert result["loss_qvalue"].item() == pytest.approx(100.0 + 196.0)
    assert td["agents", "td_error"].flatten().tolist() == pytest.approx([148.0] * 2)


def test_the_target_takes_the_smaller_joint_value_of_each_transition() -> None:
    """The smaller one of sums, not the sum of smaller ones, nor of means."""
    values = [[[1.0, 1.0], [5.0, 5.0]], [[4.0, 4.0], [3.0, 3.0]]]
    loss = table_fop([[40.0, 0.0]] * 2, values, (0.0, 0.0))
    td = chosen_batch([[0, 0]], 2, terminated=False)
    assert loss(td)["target_value_mean"].item() == pytest.approx(0.5 * 6.0)


def test_actors_rest_at_the_softmax_of_the_smaller_values() -> None:
    alpha = 0.5
    values = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    best = values.min(0).values / alpha
    td = chosen_batch([[0, 1, 2]], 4, terminated=True)
    tables = values.tolist()
    loss = table_fop((best - 3.0).tolist(), tables, alpha=alpha)
    result = loss(td)
    result["loss_actor"].backward()
    gradient = loss.actor_network_params["module", "weight"].grad
    torch.testing.assert_close(gradient, torch.zeros(4, 3), rtol=0, atol=1e-6)
    # There, the loss is -alpha logsumexp(q / alpha), mean over agents.
    expected = -alpha * best.logsumexp(-1).mean()
    torch.testing.assert_close(result["loss_actor"], expected)
    # And larger anywhere else.
    for other in (best + 0.3 * torch.randn(3, 4), values[0] / alpha):
        moved = table_fop(other.tolist(), tables, alpha=alpha)
        assert moved(td)["loss_actor"] > expected


def test_worked_actor_loss_and_gradient() -> None:
    """Uniform over two actions: ``log pi = -log 2``; means of regrets are 4."""
    loss = table_fop([[0.0, 0.0]], [[[2.0, 6.0]], [[3.0, 5.0]]], alpha=0.5)
    result = loss(chosen_batch([[1]], 2, terminated=True))
    value = -0.5 * math.log(2) - 0.5 * (2.0 + 5.0)
    assert result["loss_actor"].item() == pytest.approx(value)
    result["loss_actor"].backward()
    found = loss.actor_network_params["module", "weight"].grad.flatten().tolist()
    # pi_a (f_a - mean f), where f = (-2, -5) and a constant.
    assert found == pytest.approx([0.75, -0.75])


def test_the_second_critic_does_not_learn_from_the_first() -> None:
    loss, td = make_fop(), make_batch(8)
    second = [name for name in (*CRITICS, *MIXERS) if name.startswith("second")]

    def learnt() -> dict[str, Tensor]:
        torch.manual_seed(0)
        found = gradients_by_loss(loss, loss(td))["loss_qvalue"]
        return {k: g for k, g in found.items() if k.split(".")[0] in second}

    expected = learnt()
    perturb(loss, CRITICS[0], MIXERS[0])
    assert_same(learnt(), expected)
    assert all(gradient.any() for gradient in expected.values())
    perturb(loss, f"target_{CRITICS[0]}")
    assert any(not torch.equal(g, expected[k]) for k, g in learnt().items())


@pytest.mark.parametrize("mode", MODES)
def test_each_loss_trains_its_networks_and_no_others(mode: str) -> None:
    loss = make_fop(**MODES[mode])
    found = gradients_by_loss(loss, loss(policy_batch(MODES[mode])))
    for name, learns in (
        ("loss_actor", {ACTOR}),
        ("loss_qvalue", {*CRITICS, *MIXERS}),
    ):
        for parameter, value in found[name].items():
            network = parameter.split(".")[0]
            assert (value is not None) == (network in learns), (name, parameter)
        for network in learns:
            mine = [g for k, g in found[name].items() if k.startswith(network)]
            assert any(g.any() for g in mine), (name, network)
    delayed = {name for name, _ in loss.named_children() if name.startswith("target_")}
    assert delayed == {f"target_{name}_params" for name in (*CRITICS, *MIXERS)}
    assert all(gradient is None for gradient in target_gradients(loss))


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("network", ["critic_network", "mixer_network"])
def test_targets_come_from_target_parameters(network: str, twin: str) -> None:
    name, td = f"{twin}_{network}", make_batch(20)
    loss = make_fop()

    def target() -> Tensor:
        torch.manual_seed(0)
        return loss(td)["target_value_mean"]

    expected = target()
    perturb(loss, name)
    assert torch.equal(target(), expected)
    perturb(loss, f"target_{name}")
    assert target() != expected


def test_the_temperature_can_change() -> None:
    changed, td = make_fop(alpha=0.5), make_batch(8)
    before = outcome(changed, td)
    changed.set_alpha(1.25)
    made, expected = outcome(changed, td), outcome(make_fop(alpha=1.25), td)
    assert made["alpha"] == 1.25
    assert_same(made, expected)
    for key in ("loss_actor", "chosen_value_mean", "target_value_mean"):
        assert made[key] != before[key], key


def test_a_result_keeps_the_temperature_that_it_was_made_with() -> None:
    loss = make_fop(alpha=0.5)
    result = loss(make_batch(4))
    loss.set_alpha(0.25)
    assert result["alpha"].item() == 0.5


def test_a_state_dict_keeps_the_temperature() -> None:
    loss, other = make_fop(alpha=0.5), make_fop(alpha=0.75)
    loss.set_alpha(0.25)
    state = loss.state_dict()
    assert state["alpha"].item() == 0.25
    other.load_state_dict(state)
    assert_same(outcome(other, make_batch(4)), outcome(loss, make_batch(4)))


def test_results_are_scalar_floats() -> None:
    result = make_fop()(make_batch(6))
    for key, value in result.items():
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert value.requires_grad == key.startswith("loss_"), key


@pytest.mark.parametrize("mode", MODES)
def test_the_batch_gains_its_priority_and_nothing_else(mode: str) -> None:
    loss, td = make_fop(**MODES[mode]), policy_batch(MODES[mode], prioritized=True)
    before = td.clone()
    loss(td)
    assert td["agents", "td_error"].shape == (*td.shape, 3, 1)
    after = td.exclude(("agents", "td_error"))
    assert set(after.keys(True, True)) == set(before.keys(True, True))
    assert (after == before).all()
    assert not any(entry.requires_grad for entry in td.values(True, True))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"alpha": 0.0}, ValueError),
        ({"alpha": "cold"}, TypeError),
        ({"entropy_target": "hard"}, ValueError),
    ],
)
def test_options_out_of_range_are_refused_by_name(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(options))):
        make_fop(**options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_last_masks_may_allow_nothing(mode: str, share: float) -> None:
    options = MODES[mode]
    loss = make_fop(**options, share_of_uniform=share)
    truncated = ended_batch(options, terminated=False)
    assert_finite(outcome(loss, with_last_mask(truncated, False)))
    terminated = ended_batch(options, terminated=True)
    made = outcome(loss, with_last_mask(terminated, False))
    assert_finite(made)
    mask = torch.rand(terminated["agents", "action_mask"].shape) < 0.5
    for other in (True, mask):
        assert_same(made, outcome(loss, with_last_mask(terminated, other)))


@pytest.mark.parametrize("entropy_target", ["soft", "reference"])
def test_nothing_allowed_is_the_first_action_allowed(entropy_target: str) -> None:
    loss = make_fop(entropy_target=entropy_target)
    td = ended_batch({}, terminated=False)
    first = (torch.arange(4) == 0).expand(td["agents", "action_mask"].shape)
    made = outcome(loss, with_last_mask(td, False))
    expected = outcome(loss, with_last_mask(td, first))
    assert made.keys() == expected.keys()
    for key, value in expected.items():
        # A logarithm of a sum of one exponential is not exact.
        torch.testing.assert_close(made[key], value, rtol=1e-5, atol=1e-5)
    other = outcome(loss, with_last_mask(td, first.flip(-1)))
    assert made["loss_qvalue"] != other["loss_qvalue"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_the_dead_may_do_nothing_or_one_thing(mode: str, share: float) -> None:
    options = MODES[mode]
    loss = make_fop(**options, share_of_uniform=share)
    td = ended_batch(options, terminated=True)
    assert_finite(outcome(loss, with_dead(td, any_action=False)))
    assert_finite(outcome(loss, with_dead(td, any_action=True)))


def test_actors_of_the_dead_learn_nothing() -> None:
    """Their one action is certain, whatever their logits are."""
    for allowed in ([0, 0, 1], [0, 0, 0]):
        tables = [[[3.0, -2.0, 1.0], [0.5, 4.0, -1.0]]] * 2
        loss = table_fop([[0.5, -1.0, 0.25], [2.0, 0.0, 1.0]], tables)
        td = chosen_batch([[0, 2], [1, 2]], 3, terminated=True)
        mask = td["agents", "action_mask"].clone()
        mask[:, 1] = torch.tensor(allowed)
        td["agents", "action_mask"] = mask
        loss(td)["loss_actor"].backward()
        found = loss.actor_network_params["module", "weight"].grad
        assert found[:, 0].abs().min() > 1e-3
        assert (found[:, 1] == 0).all()


def test_nothing_after_a_terminal_step_counts() -> None:
    loss, td = make_fop(), ended_batch({}, terminated=True)
    expected = outcome(loss, td)
    ended = td["next", "done"].squeeze(-1)
    # Policies draw actions there, which they cannot do with NaN.
    td["next"].get(OBSERVATION)[ended] += 100.0
    assert_same(outcome(loss, td), expected)
