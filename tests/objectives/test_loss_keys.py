"""Keys, refusals and states of the losses of factorized values and of QTRAN."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from factorized_setup import make_factorized
from loss_batches import gradients, make_batch
from qtran_reference import make_qtran
from tensordict import NestedKey, TensorDict
from torch import Tensor
from torchrl.objectives import HardUpdate, SoftUpdate

from remix_plugin.objectives.factorized_q import FactorizedQLoss
from remix_plugin.objectives.qtran import QtranLoss

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

# Those mixers read and write all that any does.
MAKERS: dict[str, Any] = {
    "qplex": lambda **options: make_factorized("qplex", **options),
    "qatten": lambda **options: make_factorized("qatten", **options),
    "qtran": make_qtran,
}
KEYS: dict[str, Any] = {
    "qplex": FactorizedQLoss._AcceptedKeys(),
    "qatten": FactorizedQLoss._AcceptedKeys(),
    "qtran": QtranLoss._AcceptedKeys(),
}
LOSSES = pytest.mark.parametrize("kind", MAKERS)
CASES = [(kind, one.name) for kind, keys in KEYS.items() for one in fields(keys)]
FULL = {"recurrent": True, "stored": True, "padded": True, "prioritized": True}


def nested(name: str) -> NestedKey:
    # The shape of the priority follows the group that it is written into.
    return ("agents", "renamed") if name == "priority" else ("renamed", "deep", name)


def results(
    kind: str, renamed: dict[str, NestedKey]
) -> tuple[TensorDict, dict[str, Tensor | None], Tensor]:
    """What the loss returns, the gradients, and the priority of the team."""
    loss = MAKERS[kind](recurrent=True, renamed=renamed, double_q=False)
    td = make_batch(3, 4, renamed=renamed, **FULL)
    result = loss(td)
    result["loss"].backward()
    priority = td[renamed.get("priority", ("agents", "td_error"))]
    team = priority if priority.ndim == 3 else priority[:, :, 0]
    return result.detach(), gradients(loss), team


def assert_renaming_changes_nothing(kind: str, renamed: dict[str, NestedKey]) -> None:
    expected, expected_gradients, expected_priority = results(kind, {})
    actual, actual_gradients, priority = results(kind, renamed)
    assert set(actual.keys()) == set(expected.keys())
    for key in expected.keys():
        assert torch.equal(actual[key], expected[key]), key
    for name, gradient in actual_gradients.items():
        assert torch.equal(gradient, expected_gradients[name]), name
    assert torch.equal(priority, expected_priority)


@pytest.mark.parametrize(("kind", "field"), CASES)
def test_every_key_can_be_renamed(kind: str, field: str) -> None:
    assert_renaming_changes_nothing(kind, {field: f"renamed_{field}"})
    assert_renaming_changes_nothing(kind, {field: nested(field)})


@LOSSES
@pytest.mark.parametrize("root", [True, False], ids=["root", "nested"])
def test_all_keys_can_be_renamed_at_once(kind: str, root: bool) -> None:
    names = [one.name for one in fields(KEYS[kind])]
    renamed = {name: f"renamed_{name}" if root else nested(name) for name in names}
    assert_renaming_changes_nothing(kind, renamed)


READ = ("reward", "terminated", "done", "valid", "is_init", "priority_weight")


@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field) for kind in MAKERS for field in (*READ, "initial_state")]
    + [("qtran", "feature_initial_state")],
)
def test_a_renamed_entry_is_really_read(kind: str, field: str) -> None:
    loss = MAKERS[kind](recurrent=True, lmbda=0.5, renamed={field: "other"})
    td = make_batch(3, 4, renamed={field: "other"}, **FULL)
    before = loss(td)["loss"]
    root = td["next"] if field in ("reward", "terminated", "done") else td
    entry = root["other"]
    if field == "priority_weight":
        root["other"] = entry.flip(0)
    else:
        root["other"] = -entry if entry.is_floating_point() else ~entry
    assert loss(td)["loss"] != before


@LOSSES
@pytest.mark.parametrize("recurrent", [False, True])
def test_in_keys_are_all_that_the_loss_reads(kind: str, recurrent: bool) -> None:
    loss = MAKERS[kind](recurrent=recurrent)
    td = make_batch(3, 4, recurrent=recurrent)
    expected = loss(td.clone())
    alone = td.select(*loss.in_keys)
    assert torch.equal(loss(alone)["loss"], expected["loss"])
    spared = [("next", "done"), ("next", "terminated"), ("next", "is_init")]
    for key in set(loss.in_keys) - set(spared):
        with pytest.raises((KeyError, AttributeError, TypeError)):
            loss(td.select(*loss.in_keys).exclude(key))


@LOSSES
@pytest.mark.parametrize("root", [(), ("next",)], ids=["now", "next"])
def test_a_missing_mask_is_missed_by_name(kind: str, root: tuple[str, ...]) -> None:
    if kind == "qatten" and root == ():
        pytest.skip("what is best now is not read")
    key = (*root, "agents", "action_mask")
    with pytest.raises(KeyError, match=r"action_mask=.*'agents', 'action_mask'"):
        MAKERS[kind]()(make_batch(4).exclude(key))
    MAKERS[kind](use_action_mask=False)(make_batch(4).exclude(key))


@LOSSES
def test_transitions_with_recurrent_networks_are_refused(kind: str) -> None:
    loss = MAKERS[kind](recurrent=True, sequential=False)
    with pytest.raises(ValueError, match="recurrent networks need rows of steps"):
        loss(make_batch(2, 3, recurrent=True))


@LOSSES
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action_space": "box"}, r"action_space='box' .*'categorical', 'one-hot'"),
        ({"loss_function": "l3"}, r"loss_function='l3' .*'smooth_l1'"),
    ],
)
def test_unknown_options_are_refused(
    kind: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MAKERS[kind](**options)


@LOSSES
def test_a_priority_at_the_root_has_no_agents(kind: str) -> None:
    loss, td = MAKERS[kind](), make_batch(5)
    loss(td)
    loss.set_keys(priority="td_error")
    loss(td)
    assert td["td_error"].shape == (5, 1)
    expected = td["td_error"].unsqueeze(1).expand(5, 3, 1)
    assert torch.equal(td["agents", "td_error"], expected)


@LOSSES
@pytest.mark.parametrize("double_q", [True, False])
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_target_updates_move_the_targets_alone(
    kind: str, double_q: bool, hard: bool
) -> None:
    loss = MAKERS[kind](double_q=double_q)
    updater = (
        HardUpdate(loss, value_network_update_interval=1)
        if hard
        else SoftUpdate(loss, tau=0.5)
    )
    # Updaters begin with a copy.
    shift_online(loss)
    td = make_batch(6)
    before = loss(td)
    for _ in range(3):
        updater.step()
    after = loss(td)
    assert torch.equal(after["chosen_value_mean"], before["chosen_value_mean"])
    assert after["target_value_mean"] != before["target_value_mean"]
    if hard:
        alone = MAKERS[kind](double_q=double_q, delay_value=False)
        shift_online(alone)
        assert torch.equal(alone(td)["loss"], after["loss"])


def shift_online(loss: Any) -> None:
    for parameter in loss.parameters():
        parameter.data.add_(0.2)


@LOSSES
def test_without_delay_there_are_no_target_parameters(kind: str) -> None:
    loss = MAKERS[kind](delay_value=False)
    assert not [name for name, _ in loss.named_children() if "target" in name]
    loss(make_batch(4))["loss"].backward()
    with pytest.raises(RuntimeError, match="target parameters"):
        SoftUpdate(loss, tau=0.1)


@LOSSES
@pytest.mark.parametrize("delay_value", [True, False])
def test_a_state_dict_restores_the_loss(kind: str, delay_value: bool) -> None:
    first, second = (MAKERS[kind](delay_value=delay_value) for _ in range(2))
    td = make_batch(6)
    for parameter in first.parameters():
        parameter.data.add_(0.1)
    expected = first(td)
    assert second(td)["loss"] != expected["loss"]
    second.load_state_dict(first.state_dict())
    actual = second(td)
    for key in expected.keys():
        assert torch.equal(actual[key], expected[key]), key


@LOSSES
def test_an_optimizer_over_all_parameters_lowers_the_loss(kind: str) -> None:
    loss = MAKERS[kind]()
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-2)
    td = make_batch(16)
    first = loss(td)["loss"].item()
    for _ in range(60):
        optimizer.zero_grad()
        loss(td)["loss"].backward()
        optimizer.step()
    assert loss(td)["loss"].item() < 0.5 * first


def test_only_mixers_with_a_penalty_return_one() -> None:
    assert "loss_penalty" in MAKERS["qatten"]().out_keys
    assert "loss_penalty" not in MAKERS["qplex"]().out_keys
    loss, td = MAKERS["qatten"](), make_batch(5)
    result = loss(td)
    total = result["loss_td"] + result["loss_penalty"]
    torch.testing.assert_close(result["loss"].detach(), total)
    assert result["loss_penalty"] > 0
