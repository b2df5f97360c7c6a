"""The projection loss as TorchRL expects one: keys, state, targets."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from loss_batches import GAMMA, gradients, make_batch
from projection_setup import (
    NETWORKS,
    WEIGHTINGS,
    Keys,
    make_loss,
    make_weighting,
    online_parameters,
    target_parameters,
)
from tensordict import NestedKey, TensorDict
from torch import Tensor
from torchrl.objectives import HardUpdate, SoftUpdate, ValueEstimators

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

FIELDS = [field.name for field in fields(Keys)]
FULL = {"recurrent": True, "stored": True, "padded": True, "prioritized": True}
# What stands at the root by default moves into a group, and the reverse.
AT_ROOT = {name: f"renamed_{name}" for name in FIELDS}
NESTED: dict[str, NestedKey] = {name: ("renamed", "deep", name) for name in FIELDS}
# Its shape follows the group that it is written into.
NESTED["priority"] = ("agents", "renamed_priority")


def results(
    renamed: dict[str, NestedKey],
) -> tuple[TensorDict, dict[str, Tensor | None], TensorDict]:
    """What the loss returns, the gradients, and the batch that it has seen."""
    loss = make_loss(
        make_weighting("remix-mean"), recurrent=True, renamed=renamed, double_q=False
    )
    batch = make_batch(3, 4, renamed=renamed, **FULL)
    result = loss(batch)
    result["loss"].backward()
    return result.detach(), gradients(loss), batch


def assert_renaming_changes_nothing(renamed: dict[str, NestedKey]) -> None:
    expected, expected_gradients, expected_batch = results({})
    actual, actual_gradients, batch = results(renamed)
    for key in expected.keys():
        assert torch.equal(actual[key], expected[key]), key
    for name, gradient in actual_gradients.items():
        assert torch.equal(gradient, expected_gradients[name]), name
    weight = batch[renamed.get("projection_weight", Keys.projection_weight)]
    assert torch.equal(weight, expected_batch[Keys.projection_weight])
    priority = batch[renamed.get("priority", Keys.priority)]
    error = expected_batch[Keys.priority]
    assert torch.equal(priority, error if priority.ndim == 4 else error[:, :, 0])


@pytest.mark.parametrize("field", FIELDS)
def test_every_key_can_be_renamed(field: str) -> None:
    assert_renaming_changes_nothing({field: AT_ROOT[field]})


@pytest.mark.parametrize("field", NESTED)
def test_every_key_can_be_renamed_to_a_nested_one(field: str) -> None:
    assert_renaming_changes_nothing({field: NESTED[field]})


@pytest.mark.parametrize("renamed", [AT_ROOT, NESTED], ids=["root", "nested"])
def test_all_keys_can_be_renamed_at_once(renamed: dict[str, NestedKey]) -> None:
    assert_renaming_changes_nothing(renamed)


@pytest.mark.parametrize(
    "field",
    [
        "reward",
        "terminated",
        "valid",
        "is_init",
        "initial_state",
        "unrestricted_initial_state",
    ],
)
def test_a_renamed_entry_is_really_read(field: str) -> None:
    loss = make_loss(recurrent=True, renamed={field: "other"})
    batch = make_batch(3, 4, renamed={field: "other"}, **FULL)
    before = loss(batch)["loss"]
    root = batch["next"] if field in ("reward", "terminated") else batch
    entry = root["other"]
    root["other"] = -entry if entry.is_floating_point() else ~entry
    assert loss(batch)["loss"] != before


def test_a_renamed_end_is_really_read() -> None:
    # Between episodes what follows a step is not the next one's observation.
    loss = make_loss(renamed={"done": "other"}, sequential=True)
    batch = make_batch(3, 4, rows=True, renamed={"done": "other"})
    before = loss(batch)["loss"]
    batch["next", "other"] = ~batch["next", "other"]
    assert loss(batch)["loss"] != before


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValueError, match="value_of_joint is not an accepted"):
        make_loss().set_keys(value_of_joint="x")


def test_keys_set_after_the_estimator_reach_it() -> None:
    loss = make_loss()
    batch = make_batch(6)
    expected = loss(batch)
    loss.set_keys(reward="gain", done="over", terminated="dead")
    for old, new in (("reward", "gain"), ("done", "over"), ("terminated", "dead")):
        batch["next", new] = batch["next"].pop(old)
    assert torch.equal(loss(batch)["loss"], expected["loss"])


@pytest.mark.parametrize("recurrent", [False, True])
def test_in_keys_are_all_that_the_loss_reads(recurrent: bool) -> None:
    loss = make_loss(make_weighting("remix-mean"), recurrent=recurrent)
    batch = make_batch(3, 4, recurrent=recurrent)
    expected = loss(batch.clone())
    alone = batch.select(*loss.in_keys)
    assert torch.equal(loss(alone)["loss"], expected["loss"])
    assert ("is_init" in loss.in_keys) == recurrent
    # TorchRL reads done where terminated is missing; what follows a step starts no
    # episode, whatever stands there.
    spared = [("next", "done"), ("next", "terminated"), ("next", "is_init")]
    for key in loss.in_keys:
        if key in spared:
            continue
        with pytest.raises((KeyError, AttributeError, TypeError)):
            loss(batch.select(*loss.in_keys).exclude(key))


@pytest.mark.parametrize("use_action_mask", [True, False])
def test_in_keys_name_the_mask_only_if_it_is_used(use_action_mask: bool) -> None:
    keys = make_loss(use_action_mask=use_action_mask).in_keys
    assert (("agents", "action_mask") in keys) == use_action_mask
    assert (("next", "agents", "action_mask") in keys) == use_action_mask


@pytest.mark.parametrize("root", [(), ("next",)], ids=["now", "next"])
def test_a_missing_mask_is_missed_by_name(root: tuple[str, ...]) -> None:
    key = (*root, "agents", "action_mask")
    with pytest.raises(KeyError, match=r"action_mask=.*'agents', 'action_mask'"):
        make_loss()(make_batch(4).exclude(key))
    make_loss(use_action_mask=False)(make_batch(4).exclude(key))


def test_a_renamed_mask_is_missed_under_its_new_name() -> None:
    loss = make_loss()
    loss.set_keys(action_mask=("agents", "allowed"))
    with pytest.raises(KeyError, match="'agents', 'allowed'"):
        loss(make_batch(4))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_the_batch_gains_priority_and_weight_and_nothing_else(
    weighting: str, shape: tuple[int, ...]
) -> None:
    recurrent = len(shape) == 2
    options = FULL if recurrent else {"padded": True, "prioritized": True}
    batch = make_batch(*shape, **options)
    before = batch.clone()
    loss = make_loss(make_weighting(weighting), recurrent=recurrent)
    loss(batch)["loss"].backward()
    assert batch["projection_weight"].shape == (*shape, 1)
    assert batch["agents", "td_error"].shape == (*shape, 3, 1)
    assert not batch["agents", "td_error"].requires_grad
    after = batch.exclude("projection_weight", ("agents", "td_error"))
    keys = set(before.keys(True, True))
    assert set(after.keys(True, True)) == keys
    for key in keys:
        assert torch.equal(after[key], before[key]), key
        assert after[key].dtype == before[key].dtype
        assert not after[key].requires_grad


def test_without_a_state_network_the_batch_holds_the_state() -> None:
    batch = make_batch(6)
    expected = make_loss()(batch.clone())["loss"]
    write_state = make_loss().state_network
    write_state(batch)
    write_state(batch["next"])
    loss = make_loss()
    loss.state_network = None
    keys = set(batch.keys(True, True))
    assert torch.equal(loss(batch)["loss"], expected)
    assert set(batch.keys(True, True)) - keys == {
        "projection_weight",
        ("agents", "td_error"),
    }


def test_the_same_batch_twice_gives_the_same_loss() -> None:
    loss, batch = make_loss(make_weighting("central")), make_batch(6)
    assert torch.equal(loss(batch)["loss"], loss(batch)["loss"])


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("delay_value", [True, False])
def test_a_state_dict_restores_the_loss(weighting: str, delay_value: bool) -> None:
    first, second = (
        make_loss(make_weighting(weighting), delay_value=delay_value, seed=seed)
        for seed in (0, 1)
    )
    batch = make_batch(6)
    expected = first(batch)
    assert second(batch)["loss"] != expected["loss"]
    second.load_state_dict(first.state_dict())
    actual = second(batch)
    for key in expected.keys():
        assert torch.equal(actual[key], expected[key]), key


def test_a_soft_update_moves_all_targets() -> None:
    loss = make_loss()
    updater = SoftUpdate(loss, tau=0.25)
    before = snapshot(loss)
    shift_online(loss, 1.0)
    updater.step()
    for name, (online, target) in snapshot(loss).items():
        expected = 0.75 * before[name][1] + 0.25 * online
        torch.testing.assert_close(target, expected, msg=name)


def test_a_hard_update_copies_all_networks() -> None:
    loss = make_loss()
    updater = HardUpdate(loss, value_network_update_interval=2)
    before = snapshot(loss)
    shift_online(loss, 1.0)
    updater.step()
    for name, (_, target) in snapshot(loss).items():
        assert torch.equal(target, before[name][1]), name
    for _ in range(2):
        updater.step()
    for name, (online, target) in snapshot(loss).items():
        assert torch.equal(target, online), name
        assert not torch.equal(target, before[name][1]), name


def snapshot(
    loss: Any,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Copies of each online parameter and of its target."""
    return {
        f"{name}.{key}": (parameter.detach().clone(), target[key].clone())
        for name in NETWORKS
        for target in [target_parameters(loss, name)]
        for key, parameter in online_parameters(loss, name).items()
    }


def shift_online(loss: Any, amount: float) -> None:
    for name in NETWORKS:
        for parameter in online_parameters(loss, name).values():
            parameter.data.add_(amount)


def test_a_target_update_changes_the_targets_of_the_next_loss() -> None:
    loss = make_loss()
    updater = SoftUpdate(loss, tau=0.5)
    shift_online(loss, 0.5)
    batch = make_batch(6)
    before = loss(batch)["loss_unrestricted"]
    updater.step()
    assert loss(batch)["loss_unrestricted"] != before


def test_without_delay_there_are_no_target_parameters() -> None:
    loss = make_loss(delay_value=False)
    assert not [name for name, _ in loss.named_children() if "target" in name]
    assert not [name for name in loss.state_dict() if "target" in name]
    for name in NETWORKS:
        for key, target in target_parameters(loss, name).items():
            online = online_parameters(loss, name)[key]
            assert target.data_ptr() == online.data_ptr()
    with pytest.raises(RuntimeError, match="target parameters"):
        SoftUpdate(loss, tau=0.1)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_an_optimizer_over_all_parameters_lowers_the_loss(weighting: str) -> None:
    loss = make_loss(make_weighting(weighting))
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-2)
    batch = make_batch(16)
    before = {name: pair[1] for name, pair in snapshot(loss).items()}
    first = loss(batch)["loss"].item()
    for _ in range(60):
        optimizer.zero_grad()
        loss(batch)["loss"].backward()
        optimizer.step()
    assert loss(batch)["loss"].item() < 0.5 * first
    for name, (_, target) in snapshot(loss).items():
        assert torch.equal(target, before[name]), name


def test_the_optimizer_sees_online_parameters_and_no_others() -> None:
    loss = make_loss()
    expected = {
        id(p) for name in NETWORKS for p in online_parameters(loss, name).values()
    }
    assert {id(parameter) for parameter in loss.parameters()} == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action_space": "box"}, r"action_space='box' .*'categorical', 'one-hot'"),
        ({"loss_function": "l3"}, r"loss_function='l3' .*'smooth_l1'"),
    ],
)
def test_unknown_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_loss(**options)


@pytest.mark.parametrize(
    "estimator",
    [one for one in ValueEstimators if one.name not in ("TD0", "TDLambda")],
)
@pytest.mark.parametrize("sequential", [False, True])
def test_other_value_estimators_are_refused(
    estimator: ValueEstimators, sequential: bool
) -> None:
    loss = make_loss(sequential=sequential)
    with pytest.raises(NotImplementedError, match="WeightedProjectionLoss has no"):
        loss.make_value_estimator(estimator, gamma=GAMMA)


def test_the_estimator_is_one_step_by_default() -> None:
    loss, batch = make_loss(), make_batch(6)
    expected = loss(batch)["loss"]
    loss.make_value_estimator(gamma=GAMMA)
    assert torch.equal(loss(batch)["loss"], expected)


def test_the_discount_is_099_by_default() -> None:
    batch = make_batch(6)
    expected = make_loss(gamma=0.99)(batch)["loss"]
    assert make_loss(gamma=0.9)(batch)["loss"] != expected
    assert torch.equal(make_loss(gamma=None)(batch)["loss"], expected)
    loss = make_loss(gamma=None)
    loss.make_value_estimator()
    assert torch.equal(loss(batch)["loss"], expected)
