"""The loss of QTRAN against a slow implementation in float64, term by term."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loss_batches import (
    OBSERVATION,
    assert_gradients,
    gradients,
    make_batch,
    table,
    target_gradients,
    to_double,
)
from qtran_reference import (
    FEATURE,
    JOINT,
    LOCAL,
    STATE,
    Keys,
    make_qtran,
    qtran_reference,
)
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.objectives import ValueEstimators

from remix_plugin.objectives.qtran import QtranLoss

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

EXACT: dict[str, dict[str, Any]] = {
    "both-on": {},
    "double_q-off": {"double_q": False},
    "delay_value-off": {"delay_value": False},
    "both-off": {"double_q": False, "delay_value": False},
    "weights": {"optimum_weight": 0.5, "other_weight": 2.0},
    "l1": {"loss_function": "l1"},
    "unmasked": {"use_action_mask": False},
    "one-hot": {"action_space": "one-hot"},
    "one-agent": {"n_agents": 1},
    "rows": {"sequential": True},
    "lambda": {"lmbda": 0.625},
    "recurrent": {"recurrent": True},
    "recurrent-lambda": {"recurrent": True, "lmbda": 0.625, "double_q": False},
}
TERMS = ("loss_td", "loss_opt", "loss_nopt")
FEATURES = pytest.mark.parametrize("features", [True, False], ids=["features", "coma"])


def batch_for(options: dict[str, Any], **more: Any) -> TensorDict:
    recurrent = options.get("recurrent", False)
    return make_batch(
        2,
        4,
        seed=3,
        n_agents=options.get("n_agents", 3),
        one_hot=options.get("action_space") == "one-hot",
        rows=options.get("sequential", False) or "lmbda" in options,
        recurrent=recurrent,
        stored=recurrent,
        **more,
    )


def assert_equals_reference(
    options: dict[str, Any], features: bool, **more: bool
) -> None:
    loss = make_qtran(features=features, **options).double()
    td = to_double(batch_for(options, **more))
    expected = qtran_reference(loss, td, options.get("lmbda", 0.0))
    result = loss(td)
    result["loss"].backward()
    assert set(result.keys()) == set(expected.scalars) == set(loss.out_keys)
    for key, value in expected.scalars.items():
        assert result[key].item() == pytest.approx(value, rel=1e-9, abs=1e-12), key
    valid = td.get(("collector", "mask"), torch.ones(td.shape, dtype=torch.bool))
    exact = torch.tensor(expected.priorities, dtype=torch.float64).view(td.shape)
    for priority in td["agents", "td_error"].squeeze(-1).unbind(-1):
        torch.testing.assert_close(priority[valid], exact[valid], rtol=1e-8, atol=0)
    assert_gradients(gradients(loss), expected.gradients["loss"], rtol=1e-8)


@FEATURES
@pytest.mark.parametrize("options", EXACT)
def test_loss_and_gradients_equal_a_slow_implementation(
    features: bool, options: str
) -> None:
    assert_equals_reference(EXACT[options], features)


@FEATURES
@pytest.mark.parametrize("recurrent", [False, True])
def test_padded_and_prioritized_batches_equal_a_slow_implementation(
    features: bool, recurrent: bool
) -> None:
    options = {"recurrent": recurrent}
    assert_equals_reference(options, features, padded=True, prioritized=True)


def isolated(term: str, features: bool, recurrent: bool) -> tuple[QtranLoss, dict]:
    """A loss with one term alone, and its gradients."""
    weights = {
        "optimum_weight": float(term == "loss_opt"),
        "other_weight": float(term == "loss_nopt"),
    }
    loss = make_qtran(features=features, recurrent=recurrent, **weights).double()
    td = to_double(batch_for({"recurrent": recurrent}))
    loss(td)["loss"].backward()
    with_td = gradients(loss)
    if term == "loss_td":
        return loss, with_td
    alone = make_qtran(
        features=features, recurrent=recurrent, optimum_weight=0.0, other_weight=0.0
    ).double()
    alone(td)["loss"].backward()
    found = {
        name: zero_if_none(gradient) - zero_if_none(gradients(alone)[name])
        for name, gradient in with_td.items()
    }
    return loss, found


def zero_if_none(gradient: Tensor | None) -> Tensor:
    return torch.zeros(()) if gradient is None else gradient


@FEATURES
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("term", TERMS)
def test_each_term_trains_its_networks_and_no_others(
    term: str, recurrent: bool, features: bool
) -> None:
    loss, found = isolated(term, features, recurrent)
    learns = {JOINT, FEATURE} if term == "loss_td" else {LOCAL, STATE}
    td = to_double(batch_for({"recurrent": recurrent}))
    exact = qtran_reference(loss, td).gradients[term]
    for name, gradient in found.items():
        network = name.split(".")[0]
        if network not in learns:
            assert gradient is None or (gradient == 0).all(), name
        else:
            torch.testing.assert_close(gradient, exact[name], rtol=1e-7, atol=1e-9)
    for network in {name.split(".")[0] for name in found} & learns:
        mine = [g for name, g in found.items() if name.startswith(network)]
        assert any((gradient != 0).any() for gradient in mine), network


@FEATURES
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("double_q", [False, True])
def test_target_parameters_get_no_gradient(
    features: bool, recurrent: bool, double_q: bool
) -> None:
    loss = make_qtran(features=features, recurrent=recurrent, double_q=double_q)
    loss(batch_for({"recurrent": recurrent}))["loss"].backward()
    assert target_gradients(loss)
    assert all(gradient is None for gradient in target_gradients(loss))
    delayed = {name for name, _ in loss.named_children() if name.startswith("target_")}
    expected = {JOINT} | ({FEATURE} if features else set())
    expected |= set() if double_q else {LOCAL}
    assert delayed == {f"target_{name}_params" for name in expected}


@FEATURES
@pytest.mark.parametrize("network", [JOINT, FEATURE])
def test_targets_come_from_target_parameters_alone(
    features: bool, network: str
) -> None:
    if network == FEATURE and not features:
        pytest.skip("no features")
    td = make_batch(6)
    loss = make_qtran(features=features)
    expected = loss(td)
    for parameter in getattr(loss, f"{network}_params").values(True, True):
        parameter.data.add_(0.5)
    actual = loss(td)
    assert torch.equal(actual["target_value_mean"], expected["target_value_mean"])
    assert actual["chosen_value_mean"] != expected["chosen_value_mean"]
    for target in getattr(loss, f"target_{network}_params").values(True, True):
        target.data.add_(0.5)
    moved = loss(td)
    assert moved["target_value_mean"] != expected["target_value_mean"]
    assert torch.equal(moved["chosen_value_mean"], actual["chosen_value_mean"])


@FEATURES
@pytest.mark.parametrize("recurrent", [False, True])
def test_the_batch_gains_its_priority_and_nothing_else(
    features: bool, recurrent: bool
) -> None:
    loss = make_qtran(features=features, recurrent=recurrent)
    td = batch_for({"recurrent": recurrent}, prioritized=True)
    before = td.clone()
    loss(td)["loss"].backward()
    assert td["agents", "td_error"].shape == (2, 4, 3, 1)
    after = td.exclude(("agents", "td_error"))
    assert set(after.keys(True, True)) == set(before.keys(True, True))
    assert (after == before).all()
    assert not any(entry.requires_grad for entry in td.values(True, True))


@FEATURES
def test_results_are_scalar_floats(features: bool) -> None:
    result = make_qtran(features=features)(make_batch(6))
    for key, value in result.items():
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert value.requires_grad == (key == "loss")


@FEATURES
def test_without_gradients_the_values_are_the_same(features: bool) -> None:
    loss, td = make_qtran(features=features), make_batch(6)
    expected = loss(td)
    with torch.no_grad():
        actual = loss(td)
    for key in expected.keys():
        assert torch.equal(actual[key], expected[key].detach()), key


def test_terms_by_hand() -> None:
    """Two agents: sums of greedy utilities 7, of those taken 5; ``V`` is 1."""
    keys = Keys()
    # Q_jt is 10 for the greedy joint action (1, 1), else 8.
    joint = TensorDictModule(
        lambda joint: 8.0 + 2.0 * joint[..., 1].prod(-1, keepdim=True),
        [keys.joint_action],
        [keys.global_value],
    )
    state = nn.Linear(2, 1)
    state.weight.data.zero_()
    state.bias.data.fill_(1.0)

    def first_agent(observation: Tensor) -> Tensor:
        return state(observation[..., 0, :])

    loss = QtranLoss(
        table([[1.0, 3.0, 9.0], [4.0, 4.5, 0.0]], keys.action_value),
        joint,
        TensorDictModule(first_agent, [OBSERVATION], [keys.state_value]),
        other_weight=0.5,
    )
    loss.make_value_estimator(ValueEstimators.TD0, gamma=0.5)
    mask = torch.tensor([[[True, True, False], [True, True, True]]])
    agents = TensorDict(
        {"observation": torch.eye(2).unsqueeze(0), "action_mask": mask}, [1, 2]
    )
    ends = torch.zeros(1, 1, dtype=torch.bool)
    outcome = {"reward": torch.ones(1, 1), "done": ends, "terminated": ends}
    td = TensorDict({"agents": agents, "next": {"agents": agents.clone()}}, [1])
    td["next"].update(outcome)
    td["agents", "action"] = torch.tensor([[0, 0]])
    result = loss(td)
    # y = 1 + 0.5 * 10; 7.5 - 10 + 1; min(0, 5 - 8 + 1).
    assert result["loss_td"].item() == 4.0
    assert result["loss_opt"].item() == 2.25
    assert result["loss_nopt"].item() == 4.0
    assert result["loss"].item() == 4.0 + 2.25 + 0.5 * 4.0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@FEATURES
@pytest.mark.parametrize("recurrent", [False, True])
def test_on_a_gpu_the_loss_equals_the_slow_implementation(
    features: bool, recurrent: bool
) -> None:
    loss = make_qtran(features=features, recurrent=recurrent)
    td = batch_for({"recurrent": recurrent}, padded=True)
    expected = qtran_reference(loss, td)
    loss.to("cuda")
    result = loss(td.to("cuda"))
    result["loss"].backward()
    for key, value in expected.scalars.items():
        assert result[key].item() == pytest.approx(value, rel=1e-4, abs=1e-5), key
    assert_gradients(gradients(loss), expected.gradients["loss"])
