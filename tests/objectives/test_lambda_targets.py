"""Targets over several steps: by hand, and against mixtures of n-step targets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from factorized_setup import make_factorized
from loss_batches import (
    GAMMA,
    OBSERVATION,
    gradients,
    link,
    make_batch,
    table_batch,
    to_double,
)
from projection_setup import Recorder, make_loss, make_weighting, table_loss
from qtran_reference import make_qtran
from slow_reference import rows_of, targets
from tensordict import TensorDict
from torch import Tensor
from torchrl.objectives import ValueEstimators

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

MAKERS: dict[str, Any] = {
    "projection": lambda **options: make_loss(make_weighting("central"), **options),
    "factorized": lambda **options: make_factorized("qplex", **options),
    "qtran": make_qtran,
}
LOSSES = pytest.mark.parametrize("kind", MAKERS)
# Exact in float32, which TorchRL's estimators hold them in.
LMBDAS = pytest.mark.parametrize("lmbda", [0.0, 0.3125, 1.0])


def target_of(loss: Any, td: TensorDict, next_value: Tensor) -> Tensor:
    return loss._value_target(td, next_value)


def random_rows(**options: Any) -> tuple[TensorDict, Tensor]:
    """Rows with ends of all kinds, and next values."""
    td = to_double(make_batch(40, 6, n_agents=1, rows=True, **options))
    value = torch.randn(40, 6, 1, generator=torch.Generator().manual_seed(0))
    return td, value.double()


@LMBDAS
@LOSSES
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("recurrent", [False, True])
def test_targets_equal_mixtures_of_n_step_targets(
    kind: str, lmbda: float, padded: bool, recurrent: bool
) -> None:
    loss = MAKERS[kind](n_agents=1, recurrent=recurrent, lmbda=lmbda)
    td, value = random_rows(padded=padded, recurrent=recurrent)
    terminated, done = td["next", "terminated"], td["next", "done"]
    assert terminated[:, :-1].any()
    assert (done & ~terminated)[:, :-1].any()
    rows = rows_of(loss, td)
    expected = targets(rows, value.flatten().tolist(), GAMMA, lmbda)
    actual = target_of(loss, td, value)
    valid = td.get(("collector", "mask"), torch.ones(td.shape, dtype=torch.bool))
    exact = torch.tensor(expected, dtype=torch.float64).view(td.shape)[valid]
    torch.testing.assert_close(actual[..., 0][valid], exact, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("terminated", "expected"),
    [([0, 1, 0], [2.25, 1.0, 3.0]), ([0, 0, 0], [2.75, 3.0, 3.0])],
    ids=["terminated", "truncated"],
)
def test_a_row_worked_by_hand(terminated: list[int], expected: list[float]) -> None:
    # One agent whose next value is 4, half of which counts, as does the future.
    recorder = Recorder()
    loss = table_loss(
        recorder,
        online=[[1.0, 2.0]],
        target=[[1.0, 2.0]],
        unrestricted=[[0.0, 0.0]],
        unrestricted_target=[[7.0, 4.0]],
        lmbda=0.5,
    )
    td = table_batch(
        [[0], [1], [0]],
        mask=[[1, 1]],
        next_mask=[[1, 1]],
        reward=[1.0, 1.0, 1.0],
        terminated=terminated,
        done=[0, 1, 0],
    )
    loss(td.unsqueeze(0))
    assert recorder.seen["target_value"].flatten().tolist() == expected


@LOSSES
@pytest.mark.parametrize("recurrent", [False, True])
def test_a_lambda_of_0_is_exactly_one_step(kind: str, recurrent: bool) -> None:
    found = []
    for lmbda in (None, 0.0):
        loss = MAKERS[kind](recurrent=recurrent, lmbda=lmbda, sequential=True)
        td = make_batch(3, 5, rows=True, recurrent=recurrent)
        result = loss(td)
        result["loss"].backward()
        found.append((result.detach(), td["agents", "td_error"], gradients(loss)))
    (expected, priority, gradient), (actual, again, other) = found
    for key in expected.keys():
        assert torch.equal(actual[key], expected[key]), key
    assert torch.equal(again, priority)
    for name, entry in gradient.items():
        same = entry is other[name] is None
        assert same or torch.equal(other[name], entry), name


def test_a_lambda_of_1_is_the_discounted_return_of_the_episode() -> None:
    loss = make_loss(lmbda=1.0)
    td, value = random_rows()
    reward = td["next", "reward"][..., 0]
    terminated, done = td["next", "terminated"][..., 0], td["next", "done"][..., 0]
    actual = target_of(loss, td, value)[..., 0]
    for b in range(len(td)):
        for t in range(6):
            gain, discount = 0.0, 1.0
            for s in range(t, 6):
                gain += discount * reward[b, s].item()
                discount *= GAMMA
                if done[b, s] or s == 5:
                    break
            if not terminated[b, s]:
                gain += discount * value[b, s].item()
            assert actual[b, t].item() == pytest.approx(gain, abs=1e-10)


@LOSSES
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("end", ["terminated", "truncated", "is_init", "padding"])
def test_nothing_after_an_end_changes_what_is_before_it(
    kind: str, recurrent: bool, end: str
) -> None:
    if end == "is_init" and not recurrent:
        pytest.skip("networks without memory read no starts of episodes")
    loss = MAKERS[kind](recurrent=recurrent, lmbda=0.75)
    td = ended_rows(end, recurrent)
    loss(td)
    before = td["agents", "td_error"].clone()
    later = make_batch(2, 6, rows=True, recurrent=recurrent, seed=9)
    for key in (OBSERVATION, "state", ("agents", "action_mask")):
        for nested in (key, ("next", *(key if isinstance(key, tuple) else (key,)))):
            td[nested][:, 3:] = later[nested][:, 3:]
    td["next", "reward"][:, 3:] += 100.0
    loss(td)
    after = td["agents", "td_error"]
    assert torch.equal(after[:, :3], before[:, :3])
    assert not torch.equal(after[:, 3:], before[:, 3:])


def ended_rows(end: str, recurrent: bool) -> TensorDict:
    """Rows whose third step is an episode's last."""
    td = make_batch(2, 6, rows=True, recurrent=recurrent, seed=2)
    none = torch.zeros(2, 6, 1, dtype=torch.bool)
    td["next", "done"], td["next", "terminated"] = none.clone(), none.clone()
    td["next", "done"][:, 2] = end in ("terminated", "truncated")
    td["next", "terminated"][:, 2] = end == "terminated"
    if recurrent:
        td["is_init"] = none.clone()
        td["is_init"][:, 3] = end != "padding"
    if end == "padding":
        td["collector", "mask"] = torch.arange(6).expand(2, -1) < 3
    fresh = make_batch(2, 6, seed=3)
    for key in (OBSERVATION, "state", ("agents", "action_mask")):
        td["next"].set(key, fresh["next"].get(key))
    ends = none.clone()
    ends[:, 2] = True
    link(td, ends)
    return td


@LOSSES
def test_without_an_end_the_future_counts(kind: str) -> None:
    loss, td = MAKERS[kind](lmbda=0.75), ended_rows("none", recurrent=False)
    loss(td)
    before = td["agents", "td_error"].clone()
    td["next", "reward"][:, 5:] += 100.0
    loss(td)
    changed = (td["agents", "td_error"] != before).all((-1, -2))
    assert changed.all()


@LOSSES
def test_transitions_have_no_targets_of_several_steps(kind: str) -> None:
    loss = MAKERS[kind]()
    with pytest.raises(ValueError, match="one-step targets only"):
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA, lmbda=0.5)
    # What was set before still holds.
    assert loss(make_batch(4))["loss"].isfinite()


@LOSSES
@pytest.mark.parametrize("shape", [(6,), (2, 3, 2)], ids=str)
def test_rows_of_another_shape_are_refused(kind: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \[rows, steps\]"):
        MAKERS[kind](lmbda=0.5)(make_batch(*shape))


@LOSSES
@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize(
    "estimator",
    [one for one in ValueEstimators if one.name not in ("TD0", "TDLambda")],
)
def test_other_estimators_are_refused(
    kind: str, sequential: bool, estimator: ValueEstimators
) -> None:
    loss = MAKERS[kind](sequential=sequential)
    with pytest.raises(NotImplementedError, match=rf"{type(loss).__name__} has no"):
        loss.make_value_estimator(estimator, gamma=GAMMA)


def test_the_lambda_is_095_by_default() -> None:
    td = make_batch(3, 5, rows=True)
    loss = make_loss(lmbda=0.95)
    expected = loss(td)["loss"]
    loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA, lmbda=0.5)
    assert loss(td)["loss"] != expected
    loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA)
    assert torch.equal(loss(td)["loss"], expected)


@LOSSES
def test_keys_set_after_the_estimator_reach_it(kind: str) -> None:
    loss, td = MAKERS[kind](lmbda=0.5), make_batch(3, 5, rows=True)
    expected = loss(td)["loss"]
    loss.set_keys(reward="gain", done="over", terminated="dead")
    for old, new in (("reward", "gain"), ("done", "over"), ("terminated", "dead")):
        td["next", new] = td["next"].pop(old)
    assert torch.equal(loss(td)["loss"], expected)
