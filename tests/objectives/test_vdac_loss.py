"""The loss of VDAC against a slow implementation in float64, and its parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loss_batches import (
    GAMMA,
    OBSERVATION,
    gradients,
    make_batch,
    state_size,
    table,
)
from off_policy_reference import (
    assert_finite,
    assert_same,
    ended_batch,
    with_dead,
    with_last_mask,
)
from on_policy_reference import (
    CRITIC_MEMORY,
    EXACT,
    LMBDA,
    MODES,
    assert_equals,
    assert_not_trivial,
    collected,
    doubled,
    drawn_from,
    outcome,
    returns_by_hand,
)
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.modules import VDNMixer
from torchrl.objectives import ValueEstimators
from vdac_reference import ACTOR, LOCAL, MIXER, MIXERS, Keys, make_vdac, vdac_reference

from remix_plugin.objectives.vdac import VdacLoss

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

ALL_MODES = pytest.mark.parametrize("mode", MODES)
ALL_MIXERS = pytest.mark.parametrize("mixer", MIXERS)
CASES = {**EXACT, "critic_coef": {"critic_coef": 2.0}}


def assert_equals_reference(mixer: str, options: dict[str, Any], **more: Any) -> None:
    loss, rows = doubled(make_vdac(mixer, **options), options, **more)
    assert_not_trivial(rows)
    loss.write_targets(rows)
    expected = vdac_reference(
        loss, rows, options.get("lmbda", LMBDA), options.get("share_of_uniform", 0.0)
    )
    assert_equals(loss, rows, expected)


@pytest.mark.parametrize("options", CASES)
def test_loss_and_gradients_equal_a_slow_implementation(options: str) -> None:
    assert_equals_reference("mix", CASES[options])


@ALL_MODES
@pytest.mark.parametrize("mixer", ["sum", "deep-mix"])
def test_other_mixers_equal_a_slow_implementation(mixer: str, mode: str) -> None:
    assert_equals_reference(mixer, MODES[mode])


@ALL_MODES
def test_padded_rows_equal_a_slow_implementation(mode: str) -> None:
    assert_equals_reference("mix", MODES[mode], padded=True, seed=5)


@ALL_MODES
def test_importance_weights_do_not_count(mode: str) -> None:
    # Data of the current policy is not drawn by priority.
    assert_equals_reference("mix", MODES[mode], prioritized=True)


@ALL_MIXERS
def test_the_team_value_rises_with_each_local_value(mixer: str) -> None:
    loss = make_vdac(mixer)
    local = torch.randn(200, 3, 1, requires_grad=True)
    batch = TensorDict({"mixer_state": torch.randn(200, state_size(3))}, [200])
    loss._mix(batch, local).sum().backward()
    assert (local.grad >= 0).all()
    if mixer == "sum":
        assert (local.grad == 1).all()
    else:
        assert local.grad.std() > 1e-3


def table_loss(
    logits: list[list[float]], values: list[float], **options: Any
) -> VdacLoss:
    """Logits and local values of one's choice, summed, and a discount of one half."""
    keys = Keys()
    mixer = VDNMixer(n_agents=len(values), device="cpu")
    loss = VdacLoss(
        table(logits, keys.logits),
        table([[value] for value in values], keys.local_value),
        TensorDictModule(mixer, [keys.local_value], [keys.global_value]),
        **{"entropy_coef": 0.0, **options},
    )
    loss.make_value_estimator(ValueEstimators.TDLambda, gamma=0.5, lmbda=0.5)
    return loss


@pytest.mark.parametrize(
    ("terminated", "expected"),
    [([0, 1, 0], [2.25, 1.0, 3.0]), ([0, 0, 0], [2.75, 3.0, 3.0])],
    ids=["terminated", "truncated"],
)
def test_targets_of_a_row_worked_by_hand(
    terminated: list[int], expected: list[float]
) -> None:
    loss, td = table_loss([[0.0, 0.0]], [4.0]), returns_by_hand(terminated)
    loss.write_targets(td)
    assert td["value_target"].shape == (1, 3, 1)
    assert td["value_target"].flatten().tolist() == expected


def one_transition(action: list[int], target: float, n_actions: int = 3) -> TensorDict:
    n_agents = len(action)
    agents = TensorDict({"observation": torch.eye(n_agents)[None]}, [1, n_agents])
    agents["action_mask"] = torch.ones(1, n_agents, n_actions, dtype=torch.bool)
    td = TensorDict({"agents": agents, "next": {"agents": agents.clone()}}, [1])
    td["agents", "action"] = torch.tensor([action])
    td["value_target"] = torch.tensor([[target]])
    return td


def gradient_of_logits(loss: VdacLoss, td: TensorDict) -> Tensor:
    """``[n, A]``, of tables."""
    loss.zero_grad()
    loss(td)["loss"].backward()
    return loss.actor_network_params["module", "weight"].grad.T


@pytest.mark.parametrize(("target", "sign"), [(5.0, 1), (1.0, -1)])
def test_a_good_action_becomes_more_probable(target: float, sign: int) -> None:
    # V_tot is 3.
    loss, td = (
        table_loss([[0.5, 0.0, 0.0]] * 2, [1.0, 2.0]),
        one_transition([1, 2], target),
    )
    step = -gradient_of_logits(loss, td)
    for agent, action in enumerate([1, 2]):
        assert step[agent, action].sign() == sign
        others = [u for u in range(3) if u != action]
        assert (step[agent, others].sign() == -sign).all()


def test_all_agents_have_the_same_advantage() -> None:
    logits = [[0.5, -1.0, 0.25], [0.5, -1.0, 0.25]]
    loss = table_loss(logits, [7.0, -3.0])
    found = gradient_of_logits(loss, one_transition([1, 1], 6.0))
    assert torch.equal(found[0], found[1])
    # -(G - V_tot) / n * (onehot(u) - pi).
    probability = torch.tensor(logits[0]).softmax(-1)
    expected = -(6.0 - 4.0) / 2 * (torch.tensor([0.0, 1.0, 0.0]) - probability)
    torch.testing.assert_close(found[0], expected)


def test_losses_by_hand() -> None:
    # G - V_tot is 2; both actions have probability 1/2, the only other one as well.
    loss = table_loss([[0.0, 0.0]] * 2, [1.0, 2.0], critic_coef=0.5, entropy_coef=0.25)
    result = loss(one_transition([0, 1], 5.0, n_actions=2))
    half = torch.tensor(2.0).log().item()
    assert result["loss_actor"].item() == pytest.approx(2 * half)
    assert result["loss_critic"].item() == 4.0
    assert result["entropy"].item() == pytest.approx(half)
    total = 2 * half + 0.5 * 4.0 - 0.25 * half
    assert result["loss"].item() == pytest.approx(total)
    assert result["advantage_mean"].item() == 2.0
    assert result["advantage_std"].item() == 0.0


def updated(mode: str, **options: Any) -> dict[str, Tensor]:
    options = {**MODES[mode], **options}
    return outcome(make_vdac(**options), collected(options))


def networks(made: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    """Gradients of the parameters of networks."""
    return {k: v for k, v in made.items() if k.startswith(tuple(names))}


@ALL_MODES
def test_actors_and_values_learn_apart(mode: str) -> None:
    actor, value = f"loss {ACTOR}", (f"loss {LOCAL}", f"loss {MIXER}")
    made = updated(mode, critic_coef=0.5)
    more = updated(mode, critic_coef=1.0)
    assert_same(networks(more, actor), networks(made, actor))
    assert networks(made, *value)
    for key, gradient in networks(made, *value).items():
        assert torch.equal(more[key], 2 * gradient)
        assert (gradient != 0).any(), key
    # Another policy has other gradients, the values the same ones.
    other = updated(mode, critic_coef=0.5, entropy_coef=1.0, share_of_uniform=0.5)
    assert_same(networks(other, *value), networks(made, *value))
    assert networks(made, actor)
    for key, gradient in networks(made, actor).items():
        assert not torch.equal(other[key], gradient), key


@ALL_MODES
def test_targets_are_values_of_the_networks_at_collection(mode: str) -> None:
    loss, rows = make_vdac(**MODES[mode]), collected(MODES[mode])
    loss.write_targets(rows)
    expected = loss(drawn_from(loss, rows))
    for parameter in getattr(loss, f"{LOCAL}_params").values(True, True):
        parameter.data.add_(0.5)
    actual = loss(drawn_from(loss, rows))
    for key in ("target_value_mean", "entropy"):
        assert torch.equal(actual[key], expected[key])
    assert actual["chosen_value_mean"] != expected["chosen_value_mean"]
    loss.write_targets(rows)
    again = loss(drawn_from(loss, rows))
    assert again["target_value_mean"] != expected["target_value_mean"]


def test_there_are_no_target_networks() -> None:
    loss = make_vdac()
    assert not [n for n, _ in loss.named_children() if n.startswith("target_")]


@ALL_MODES
@pytest.mark.parametrize("n_agents", [1, 5])
def test_masks_after_the_last_step_do_not_matter(mode: str, n_agents: int) -> None:
    options = {**MODES[mode], "n_agents": n_agents}
    loss = make_vdac(**options)
    for terminated in (False, True):
        rows = ended_batch(options, terminated=terminated)
        if not options.get("critic_memory", False):
            rows = rows.exclude(CRITIC_MEMORY)
        expected = outcome(loss, rows)
        assert_finite(expected)
        assert_same(outcome(loss, with_last_mask(rows, False)), expected)


@ALL_MODES
@pytest.mark.parametrize("share_of_uniform", [0.0, 0.25])
@pytest.mark.parametrize("any_action", [False, True])
def test_the_dead_may_do_one_thing_or_nothing(
    mode: str, share_of_uniform: float, any_action: bool
) -> None:
    loss = make_vdac(**MODES[mode], share_of_uniform=share_of_uniform)
    assert_finite(
        outcome(loss, with_dead(collected(MODES[mode]), any_action=any_action))
    )


def test_those_without_a_choice_teach_actors_nothing() -> None:
    loss, td = (
        table_loss([[1.0, 0.0, 2.0]] * 2, [1.0, 2.0]),
        one_transition([0, 2], 9.0),
    )
    td["agents", "action_mask"] = torch.tensor([[[0, 0, 0], [0, 0, 1]]]).bool()
    assert (gradient_of_logits(loss, td) == 0).all()


@ALL_MODES
def test_nothing_after_a_terminal_step_counts(mode: str) -> None:
    options = MODES[mode]
    loss, rows = make_vdac(**options), ended_batch(options, terminated=True)
    if not options.get("critic_memory", False):
        rows = rows.exclude(CRITIC_MEMORY)
    expected = outcome(loss, rows)
    other = rows.clone()
    ends = rows["next", "done"].squeeze(-1)
    other["next"].get(OBSERVATION)[ends] = torch.nan
    loss.write_targets(rows)
    loss.write_targets(other)
    assert torch.equal(other["value_target"], rows["value_target"])
    if mode == "flat":
        # In rows, too, a network sees what follows, but the loss does not use it.
        assert_same(outcome(loss, other), expected)


@ALL_MODES
def test_rows_gain_their_targets_and_nothing_else(mode: str) -> None:
    loss, rows = make_vdac(**MODES[mode]), collected(MODES[mode])
    before = rows.clone()
    loss.write_targets(rows)
    assert rows["value_target"].shape == (*rows.shape, 1)
    assert not rows["value_target"].requires_grad
    batch = drawn_from(loss, rows)
    read = batch.clone()
    loss(batch)["loss"].backward()
    for after, kept in ((rows.exclude("value_target"), before), (batch, read)):
        assert set(after.keys(True, True)) == set(kept.keys(True, True))
        assert (after == kept).all()


def test_targets_that_were_not_written_are_missed() -> None:
    loss, td = make_vdac(), make_batch(6)
    with pytest.raises(KeyError, match=r"value_target.*call write_targets"):
        loss(td)


def test_a_mask_that_is_missing_is_missed() -> None:
    loss, td = make_vdac(), collected({})
    loss.write_targets(td)
    with pytest.raises(KeyError, match="action_mask"):
        loss(td.reshape(-1).exclude(("agents", "action_mask")))


def test_results_are_scalar_floats() -> None:
    loss, rows = make_vdac(), collected({})
    loss.write_targets(rows)
    result = loss(rows.reshape(-1))
    assert set(result.keys()) == set(loss.out_keys)
    for key, value in result.items():
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert value.requires_grad == (key == "loss")


def test_all_parameters_learn() -> None:
    loss, rows = make_vdac(), collected({})
    loss.write_targets(rows)
    loss(rows.reshape(-1))["loss"].backward()
    for name, gradient in gradients(loss).items():
        assert gradient is not None, name


@pytest.mark.parametrize(
    ("option", "value"),
    [("critic_coef", 0.0), ("critic_coef", -1.0), ("entropy_coef", -0.5)],
)
def test_coefficients_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=option):
        make_vdac(**{option: value})


def test_the_discount_of_the_tests_counts() -> None:
    loss, rows = make_vdac(lmbda=None), collected({})
    loss.write_targets(rows)
    expected = rows["value_target"].clone()
    loss.make_value_estimator(ValueEstimators.TD0, gamma=GAMMA / 2)
    loss.write_targets(rows)
    assert not torch.equal(rows["value_target"], expected)
