"""The loss of factorized values against a slow implementation in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from factorized_reference import factorized_reference
from factorized_setup import METRICS, MIXERS, make_factorized
from loss_batches import (
    GAMMA,
    OBSERVATION,
    assert_gradients,
    gradients,
    make_batch,
    target_gradients,
    to_double,
)
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.objectives import ValueEstimators

from remix_plugin.modules.duplex_dueling import duplex_dueling
from remix_plugin.objectives.factorized_q import FactorizedQLoss

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

EXACT = {
    "double_q-off": {"double_q": False},
    "delay_value-off": {"delay_value": False},
    "both-off": {"double_q": False, "delay_value": False},
    "both-on": {},
    "l1": {"loss_function": "l1"},
    "smooth_l1": {"loss_function": "smooth_l1"},
    "unmasked": {"use_action_mask": False},
    "one-hot": {"action_space": "one-hot"},
    "one-agent": {"n_agents": 1},
    "rows": {"sequential": True},
    "lambda": {"lmbda": 0.625},
    "recurrent": {"recurrent": True},
    "recurrent-lambda": {"recurrent": True, "lmbda": 0.625, "double_q": False},
    "half": {"td_coef": 0.5},
}


def assert_equals_reference(
    mixer: str, options: dict[str, Any], batch_options: dict[str, Any]
) -> None:
    loss = make_factorized(mixer, **options).double()
    recurrent = options.get("recurrent", False)
    td = make_batch(
        2,
        4,
        seed=3,
        n_agents=options.get("n_agents", 3),
        one_hot=options.get("action_space") == "one-hot",
        rows=loss.sequential,
        recurrent=recurrent,
        stored=recurrent,
        **batch_options,
    )
    td = to_double(td)
    expected = factorized_reference(loss, td, mixer, options.get("lmbda") or 0.0)
    result = loss(td)
    result["loss"].backward()
    assert set(result.keys()) == set(expected.scalars) == set(loss.out_keys)
    for key, value in expected.scalars.items():
        assert result[key].item() == pytest.approx(value, rel=1e-9, abs=1e-12), key
    valid = td.get(("collector", "mask"), torch.ones(td.shape, dtype=torch.bool))
    exact = torch.tensor(expected.priorities, dtype=torch.float64).view(td.shape)
    for priority in td["agents", "td_error"].squeeze(-1).unbind(-1):
        torch.testing.assert_close(priority[valid], exact[valid], rtol=1e-8, atol=0)
    assert_gradients(gradients(loss), expected.gradients, rtol=1e-8)


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("options", EXACT)
def test_loss_and_gradients_equal_a_slow_implementation(
    mixer: str, options: str
) -> None:
    assert_equals_reference(mixer, EXACT[options], {})


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("recurrent", [False, True])
def test_padded_and_prioritized_batches_equal_a_slow_implementation(
    mixer: str, recurrent: bool
) -> None:
    options = {"recurrent": recurrent}
    assert_equals_reference(mixer, options, {"padded": True, "prioritized": True})


@pytest.mark.parametrize("mixer", MIXERS)
def test_the_examples_above_are_not_trivial(mixer: str) -> None:
    values = {}
    for name, options in EXACT.items():
        if name in ("one-agent", "rows", "one-hot", "both-off"):
            continue
        recurrent = options.get("recurrent", False)
        td = make_batch(2, 4, seed=3, rows=True, recurrent=recurrent)
        values[name] = make_factorized(mixer, **options)(td)["loss"].item()
    assert len({round(value, 5) for value in values.values()}) == len(values)


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("recurrent", [False, True])
def test_target_parameters_get_no_gradient(mixer: str, recurrent: bool) -> None:
    loss = make_factorized(mixer, recurrent=recurrent)
    loss(make_batch(2, 4, recurrent=recurrent))["loss"].backward()
    assert target_gradients(loss)
    assert all(gradient is None for gradient in target_gradients(loss))
    assert all(p.grad is not None for p in loss.parameters())


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("recurrent", [False, True])
def test_the_batch_gains_its_priority_and_nothing_else(
    mixer: str, recurrent: bool
) -> None:
    loss = make_factorized(mixer, recurrent=recurrent)
    td = make_batch(2, 4, recurrent=recurrent, stored=recurrent, prioritized=True)
    before = td.clone()
    loss(td)["loss"].backward()
    assert td["agents", "td_error"].shape == (2, 4, 3, 1)
    assert not td["agents", "td_error"].requires_grad
    after = td.exclude(("agents", "td_error"))
    assert set(after.keys(True, True)) == set(before.keys(True, True))
    assert (after == before).all()
    assert not any(entry.requires_grad for entry in after.values(True, True))


@pytest.mark.parametrize("mixer", MIXERS)
def test_results_are_scalar_floats(mixer: str) -> None:
    loss = make_factorized(mixer)
    result = loss(make_batch(6))
    names = ["loss", "loss_td", "chosen_value_mean", "target_value_mean"]
    names += ["loss_penalty"] * (mixer == "qatten")
    names += [f"{name}_mean" for name in METRICS.get(mixer, ())]
    assert set(result.keys()) == set(names) == set(loss.out_keys)
    for key, value in result.items():
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert value.requires_grad == (key == "loss")


@pytest.mark.parametrize("mixer", MIXERS)
def test_without_gradients_the_values_are_the_same(mixer: str) -> None:
    loss, td = make_factorized(mixer), make_batch(6)
    expected = loss(td)
    with torch.no_grad():
        actual = loss(td)
    for key in expected.keys():
        assert torch.equal(actual[key], expected[key].detach()), key


@pytest.mark.parametrize("mixer", MIXERS)
def test_sequences_equal_their_flattened_batch(mixer: str) -> None:
    td = make_batch(3, 4, rows=True)
    expected = make_factorized(mixer)(td.reshape(-1))
    actual = make_factorized(mixer, sequential=True)(td)
    for key in expected.keys():
        torch.testing.assert_close(actual[key], expected[key])


VALUES = [[1.0, 2.0, 9.0], [3.0, 4.0, 0.0]]
TARGET_VALUES = [[5.0, 2.0, 9.0], [0.0, 4.0, 7.0]]
MASK = torch.tensor([[True, True, False], [True, True, True]])


def table_loss(seen: list[tuple[Tensor, ...]], **options: Any) -> FactorizedQLoss:
    """Utilities from tables, and a mixer of advantages that keeps what it reads.

    ``Q_tot = sum_a max_a + 2 (q_a(u_a) - max_a)``, as QPLEX with all importances 2.
    """

    def mix(chosen: Tensor, best: Tensor, joint: Tensor) -> Tensor:
        seen.append((chosen, best, joint))
        one = torch.ones_like(chosen)
        return duplex_dueling(chosen, best, one, 0 * one, 2 * one)

    keys = FactorizedQLoss._AcceptedKeys()
    layer = torch.nn.Linear(2, 3, bias=False)
    layer.weight.data.copy_(torch.tensor(VALUES).T)
    read = [keys.local_value, keys.greedy_local_value, keys.joint_action]
    loss = FactorizedQLoss(
        TensorDictModule(layer, [OBSERVATION], [keys.action_value]),
        TensorDictModule(mix, read, [keys.global_value]),
        **options,
    )
    loss.make_value_estimator(ValueEstimators.TD0, gamma=0.5)
    if loss.delay_value:
        target = loss.target_local_value_network_params["module", "weight"]
        target.data.copy_(torch.tensor(TARGET_VALUES).T)
    return loss


def table_step(action: list[int]) -> TensorDict:
    seen = {"observation": torch.eye(2).unsqueeze(0)}
    agents = TensorDict({**seen, "action_mask": MASK.unsqueeze(0)}, [1, 2])
    following = TensorDict({"agents": agents.clone(), "reward": torch.ones(1, 1)}, [1])
    for key in ("done", "terminated"):
        following[key] = torch.zeros(1, 1, dtype=torch.bool)
    td = TensorDict({"agents": agents, "next": following}, [1])
    td["agents", "action"] = torch.tensor([action])
    return td


def test_the_online_network_chooses_and_the_target_evaluates() -> None:
    seen: list[tuple[Tensor, ...]] = []
    result = table_loss(seen)(table_step([0, 1]))
    (chosen, best, joint), (next_chosen, next_best, next_joint) = seen
    # Now: the action taken, the best that is available, by the online network.
    assert chosen.flatten().tolist() == [1.0, 4.0]
    assert best.flatten().tolist() == [2.0, 4.0]
    assert chosen.requires_grad
    assert not best.requires_grad
    assert joint.tolist() == [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    # Next: online, (1, 1) is best; the target's own best is (0, 2).
    assert next_chosen.flatten().tolist() == [2.0, 4.0]
    assert next_best.flatten().tolist() == [5.0, 7.0]
    assert next_joint.tolist() == [[[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]]
    # 1 + 0.5 * (12 + 2 * (2 - 5 + 4 - 7)), and 6 + 2 * (1 - 2).
    assert result["target_value_mean"].item() == 1.0
    assert result["chosen_value_mean"].item() == 4.0
    assert result["loss"].item() == 9.0


def test_without_double_q_the_target_chooses_its_best() -> None:
    seen: list[tuple[Tensor, ...]] = []
    result = table_loss(seen, double_q=False)(table_step([0, 1]))
    assert seen[1][0].flatten().tolist() == seen[1][1].flatten().tolist() == [5.0, 7.0]
    assert result["target_value_mean"].item() == 7.0


@pytest.mark.parametrize("double_q", [True, False])
def test_where_nothing_is_available_the_first_action_is_best(double_q: bool) -> None:
    seen: list[tuple[Tensor, ...]] = []
    td = table_step([0, 1])
    td["next", "agents", "action_mask"] = torch.zeros(1, 2, 3, dtype=torch.bool)
    result = table_loss(seen, double_q=double_q)(td)
    next_chosen, next_best, next_joint = seen[1]
    assert next_chosen.flatten().tolist() == next_best.flatten().tolist() == [5.0, 0.0]
    assert next_joint.argmax(-1).tolist() == [[0, 0]]
    # 1 + 0.5 * (5 + 0)
    assert result["target_value_mean"].item() == 3.5


def test_no_gradient_through_the_best_action() -> None:
    loss = table_loss([])
    loss(table_step([0, 1]))["loss"].backward()
    found = loss.local_value_network_params["module", "weight"].grad.T
    # Of sum_i Q_i alone: 2 * (4 - 1) each, at the actions taken.
    assert found.tolist() == [[6.0, 0.0, 0.0], [0.0, 6.0, 0.0]]


def test_mixers_get_only_what_they_read() -> None:
    loss, seen = make_factorized("qmix"), []
    loss.mixer_network.register_forward_hook(
        lambda module, inputs, _: seen.append(set(inputs[0].keys(True, True)))
    )
    loss(make_batch(4))
    keys = FactorizedQLoss._AcceptedKeys()
    assert all(keys.local_value in read for read in seen)
    for unread in (keys.joint_action, keys.greedy_local_value, ("agents", "action")):
        assert not any(unread in read for read in seen)


def test_another_discount_changes_the_targets() -> None:
    loss, td = make_factorized("vdn"), make_batch(6)
    expected = loss(td)["target_value_mean"]
    loss.make_value_estimator(gamma=GAMMA)
    assert torch.equal(loss(td)["target_value_mean"], expected)
    loss.make_value_estimator(gamma=0.5)
    assert loss(td)["target_value_mean"] != expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("recurrent", [False, True])
def test_on_a_gpu_the_loss_equals_the_slow_implementation(
    mixer: str, recurrent: bool
) -> None:
    loss = make_factorized(mixer, recurrent=recurrent)
    td = make_batch(2, 4, recurrent=recurrent, stored=recurrent, padded=True)
    expected = factorized_reference(loss, td, mixer)
    loss.to("cuda")
    result = loss(td.to("cuda"))
    result["loss"].backward()
    for key, value in expected.scalars.items():
        assert result[key].item() == pytest.approx(value, rel=1e-4, abs=1e-5), key
    assert_gradients(gradients(loss), expected.gradients)
