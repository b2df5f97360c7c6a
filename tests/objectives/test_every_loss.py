"""What holds for every loss: odd masks, ends of episodes, and the precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from factorized_setup import make_factorized
from loss_batches import OBSERVATION, gradients, make_batch
from projection_setup import make_loss, make_weighting
from qtran_reference import make_qtran
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")


def make_projection(weighting: str, **options: Any) -> Any:
    return make_loss(make_weighting(weighting), **options)


LOSSES: dict[str, Callable[..., Any]] = {
    "remix": partial(make_projection, "remix-mean"),
    "owqmix": partial(make_projection, "optimistic"),
    "cwqmix": partial(make_projection, "central"),
    "tunedqmix": partial(make_factorized, "qmix"),
    "qplex": partial(make_factorized, "qplex"),
    "qatten": partial(make_factorized, "qatten"),
    "qtran": make_qtran,
    "qtran-coma": partial(make_qtran, features=False),
}
MODES: dict[str, dict[str, Any]] = {
    "flat": {},
    "rows": {"sequential": True},
    "recurrent-lambda": {"recurrent": True, "lmbda": 0.625},
}
ALL = pytest.mark.parametrize("name", LOSSES)
MASK, NEXT_MASK = ("agents", "action_mask"), ("next", "agents", "action_mask")


def ended_batch(loss: Any, n_agents: int, *, terminated: bool) -> TensorDict:
    """Two rows of steps with an end at the last, and one in the middle of the first."""
    recurrent = "is_init" in loss.in_keys
    td = make_batch(
        2, 4, n_agents=n_agents, rows=True, recurrent=recurrent, stored=recurrent
    )
    done = torch.zeros(2, 4, 1, dtype=torch.bool)
    done[:, -1] = done[0, 1] = True
    td["next", "done"] = done
    td["next", "terminated"] = done & terminated
    if recurrent:
        td["is_init"] = done.roll(1, 1)
    return td


def with_last_mask(td: TensorDictBase, mask: bool | Tensor) -> TensorDictBase:
    """The batch with another mask after each end."""
    other = td.clone()
    done = td["next", "done"].unsqueeze(-1)
    other[NEXT_MASK] = torch.where(done, mask, td[NEXT_MASK])
    return other


def outcome(loss: Any, td: TensorDictBase) -> dict[str, Tensor]:
    """All that an update makes of a batch."""
    loss.zero_grad()
    td = (td if loss.sequential else td.reshape(-1)).clone()
    result = loss(td)
    result["loss"].backward()
    made = {name: value.detach() for name, value in result.items()}
    made |= {k: torch.zeros(()) if g is None else g for k, g in gradients(loss).items()}
    made["priority"] = td["agents", "td_error"]
    if "projection_weight" in td.keys():
        made["weight"] = td["projection_weight"]
    return {name: value.clone() for name, value in made.items()}


def assert_finite(made: dict[str, Tensor]) -> None:
    assert all(value.isfinite().all() for value in made.values())
    # Nor as large as what stands for an unavailable action.
    assert max(value.abs().max().item() for value in made.values()) < 1e6


@ALL
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_agents", [1, 10])
def test_last_masks_may_allow_nothing(name: str, mode: str, n_agents: int) -> None:
    # QPLEX's loss used to be inf here, and NaN where ten agents had terminated.
    loss = LOSSES[name](n_agents=n_agents, **MODES[mode])
    truncated = ended_batch(loss, n_agents, terminated=False)
    assert_finite(outcome(loss, with_last_mask(truncated, False)))
    terminated = ended_batch(loss, n_agents, terminated=True)
    made = outcome(loss, with_last_mask(terminated, False))
    assert_finite(made)
    for other in (True, torch.rand(2, 4, n_agents, 4) < 0.5):
        expected = outcome(loss, with_last_mask(terminated, other))
        assert all(torch.equal(made[key], expected[key]) for key in expected)


@ALL
def test_nothing_allowed_is_the_first_action_allowed(name: str) -> None:
    loss = LOSSES[name](n_agents=3)
    td = ended_batch(loss, 3, terminated=False)
    first = (torch.arange(4) == 0).expand(2, 4, 3, 4)
    made = outcome(loss, with_last_mask(td, False))
    expected = outcome(loss, with_last_mask(td, first))
    assert all(torch.equal(made[key], expected[key]) for key in expected)
    other = outcome(loss, with_last_mask(td, first.flip(-1)))
    assert made["loss"] != other["loss"]


@ALL
@pytest.mark.parametrize("mode", MODES)
def test_masks_of_the_dead_may_allow_nothing(name: str, mode: str) -> None:
    loss = LOSSES[name](n_agents=3, **MODES[mode])
    td = ended_batch(loss, 3, terminated=True)
    # An agent that dies, and all of them.
    td[MASK][0, :, 1] = td[NEXT_MASK][0, :, 1] = False
    td[MASK][1, -1] = td[NEXT_MASK][1, -2] = False
    assert_finite(outcome(loss, td))


@ALL
def test_nothing_after_a_terminal_step_counts(name: str) -> None:
    # The next value used to be multiplied by 0: NaN, if it is not finite.
    loss = LOSSES[name](n_agents=3)
    td = ended_batch(loss, 3, terminated=True)
    expected = outcome(loss, td)
    observation = td["next"].get(OBSERVATION)
    observation[td["next", "done"].squeeze(-1)] = torch.nan
    made = outcome(loss, td)
    assert all(torch.equal(made[key], expected[key]) for key in expected)


class WithoutFloat64(TorchDispatchMode):
    """Refuses operations that give float64."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        dtypes = [getattr(value, "dtype", None) for value in tree_leaves(result)]
        assert torch.float64 not in dtypes, func
        return result


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "remix"])
@pytest.mark.parametrize("mode", MODES)
def test_losses_need_no_float64(name: str, mode: str) -> None:
    # But for ReMIX's weights, which have a test of their own.
    loss = LOSSES[name](n_agents=3, **MODES[mode])
    td = ended_batch(loss, 3, terminated=False)
    with WithoutFloat64():
        assert_finite(outcome(loss, td))


def test_float64_is_noticed() -> None:
    loss = LOSSES["remix"](n_agents=3)
    td = ended_batch(loss, 3, terminated=False)
    with WithoutFloat64(), pytest.raises(AssertionError, match="_to_copy"):
        outcome(loss, td)
