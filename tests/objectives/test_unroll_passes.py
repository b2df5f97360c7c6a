"""How often the losses run each network, with each set of its parameters."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from factorized_setup import MIXERS, make_factorized
from loss_batches import make_batch
from projection_setup import make_loss, make_weighting
from qtran_reference import make_qtran

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

NETWORKS = (
    "local_value",
    "mixer",
    "unrestricted_value",
    "unrestricted_mixer",
    "joint_value",
    "state_value",
    "feature",
)
DOUBLE_Q = pytest.mark.parametrize("double_q", [True, False], ids=["double", "single"])
RECURRENT = pytest.mark.parametrize("recurrent", [True, False], ids=["gru", "mlp"])


def count(loss: Any, td: Any) -> tuple[dict[str, int], list[tuple[int, ...]]]:
    """Calls by network, online or target, and the batch sizes of the agents'."""
    calls: Counter[str] = Counter()
    sizes = []

    def watch(name: str) -> Any:
        def hook(module: Any, args: Any, _: Any) -> None:
            # Only online parameters can learn.
            online = any(p.requires_grad for p in module.parameters())
            calls[name + ("" if online else "_target")] += 1
            if name in ("local_value", "unrestricted_value", "feature"):
                sizes.append(tuple(args[0].batch_size))

        return hook

    for name in NETWORKS:
        network = getattr(loss, f"{name}_network", None)
        if network is not None:
            network.register_forward_hook(watch(name))
    loss(td)["loss"].backward()
    return dict(calls), sizes


def rows(recurrent: bool) -> tuple[Any, int]:
    """Rows of steps, and the length that their observations need."""
    td = make_batch(3, 5, rows=True, recurrent=recurrent)
    ends = td["next", "done"].squeeze(-1).clone()
    if recurrent:
        ends[:, :-1] |= td["is_init"].squeeze(-1)[:, 1:]
    extra = int(ends[:, :-1].sum(1).max())
    assert extra > 0
    return td, 5 + 1 + extra


def single(double_q: bool) -> dict[str, int]:
    """The pass in which target utilities choose."""
    return {} if double_q else {"local_value_target": 1}


@RECURRENT
@DOUBLE_Q
@pytest.mark.parametrize("weighting", ["remix-mean", "central", "optimistic"])
def test_the_projection_unrolls_each_network_once(
    weighting: str, double_q: bool, recurrent: bool
) -> None:
    td, length = rows(recurrent)
    loss = make_loss(
        make_weighting(weighting),
        recurrent=recurrent,
        sequential=True,
        double_q=double_q,
    )
    calls, sizes = count(loss, td)
    assert calls == {
        "local_value": 1,
        "mixer": 1,
        "unrestricted_value": 1,
        "unrestricted_value_target": 1,
        "unrestricted_mixer": 1,
        # CW asks for the value of the greedy action, too.
        "unrestricted_mixer_target": 1 + (weighting == "central"),
        **single(double_q),
    }
    assert set(sizes) == {(3, length)}


@DOUBLE_Q
@pytest.mark.parametrize("weighting", ["remix-mean", "central", "optimistic"])
def test_the_projection_of_transitions_runs_now_and_after(
    weighting: str, double_q: bool
) -> None:
    central = weighting == "central"
    loss = make_loss(make_weighting(weighting), double_q=double_q)
    calls, sizes = count(loss, make_batch(6))
    assert calls == {
        "local_value": 1 + double_q,
        "mixer": 1,
        "unrestricted_value": 1,
        "unrestricted_value_target": 1 + central,
        "unrestricted_mixer": 1,
        "unrestricted_mixer_target": 1 + central,
        **single(double_q),
    }
    assert set(sizes) == {(6,)}


@RECURRENT
@DOUBLE_Q
@pytest.mark.parametrize("mixer", MIXERS)
def test_a_factorized_value_unrolls_each_network_once(
    mixer: str, double_q: bool, recurrent: bool
) -> None:
    td, length = rows(recurrent)
    loss = make_factorized(
        mixer, recurrent=recurrent, sequential=True, double_q=double_q
    )
    calls, sizes = count(loss, td)
    mixing = Counter(calls)
    # VDN has no parameters to tell its two passes by.
    assert mixing.pop("mixer", 0) + mixing.pop("mixer_target", 0) == 2
    assert mixing == {"local_value": 1, "local_value_target": 1}
    assert set(sizes) == {(3, length)}


@DOUBLE_Q
def test_a_factorized_value_of_transitions_runs_now_and_after(double_q: bool) -> None:
    # Target utilities that choose are those that value: one pass.
    calls, _ = count(make_factorized("qmix", double_q=double_q), make_batch(6))
    assert calls == {
        "local_value": 1 + double_q,
        "local_value_target": 1,
        "mixer": 1,
        "mixer_target": 1,
    }


@RECURRENT
@DOUBLE_Q
@pytest.mark.parametrize("features", [True, False], ids=["features", "coma"])
def test_qtran_unrolls_each_network_once(
    features: bool, double_q: bool, recurrent: bool
) -> None:
    td, length = rows(recurrent)
    loss = make_qtran(
        features=features, recurrent=recurrent, sequential=True, double_q=double_q
    )
    calls, sizes = count(loss, td)
    assert calls == {
        "local_value": 1,
        # Of the action taken, and of the greedy one.
        "joint_value": 2,
        "joint_value_target": 1,
        "state_value": 1,
        **({"feature": 1, "feature_target": 1} if features else {}),
        **single(double_q),
    }
    assert set(sizes) == {(3, length)}


@DOUBLE_Q
def test_qtran_of_transitions_runs_now_and_after(double_q: bool) -> None:
    calls, _ = count(make_qtran(double_q=double_q), make_batch(6))
    assert calls == {
        "local_value": 1 + double_q,
        "feature": 1,
        "feature_target": 1,
        "joint_value": 2,
        "joint_value_target": 1,
        "state_value": 1,
        **single(double_q),
    }


def test_no_gradient_is_made_without_need() -> None:
    """Passes of targets, and those after the step, are made without a graph."""
    loss, td = make_loss(make_weighting("central")), make_batch(6)
    graphs = []

    def hook(module: Any, args: Any, result: Any) -> None:
        graphs.append(result[module.out_keys[0]].requires_grad)

    for name in ("local_value_network", "unrestricted_value_network"):
        getattr(loss, name).register_forward_hook(hook)
    loss(td)
    assert graphs.count(True) == 2
    assert len(graphs) == 5
    with torch.no_grad():
        loss(td)
    assert graphs.count(True) == 2


@pytest.mark.parametrize("sequential", [False, True])
def test_values_carry_a_gradient_now_and_none_after(sequential: bool) -> None:
    loss = make_loss(sequential=sequential)
    passes = loss._passes(make_batch(2, 3, rows=True))
    name, key = "local_value_network", ("agents", "action_value")
    assert passes.now(name, key).requires_grad
    assert not passes.now(name, key, target=True).requires_grad
    assert not passes.after(name, key).requires_grad
    assert not passes.after(name, key, target=True).requires_grad


@pytest.mark.parametrize("weighting", ["remix-mean", "central"])
def test_without_delayed_copies_each_network_runs_once_over_rows(
    weighting: str,
) -> None:
    loss = make_loss(
        make_weighting(weighting), recurrent=True, delay_value=False, seed=3
    )
    td, length = rows(recurrent=True)
    calls, sizes = count(loss, td)
    assert sizes == [(3, length)] * 2
    assert (calls["local_value"], calls["unrestricted_value"]) == (1, 1)
    assert "local_value_target" not in calls
    assert "unrestricted_value_target" not in calls
