"""What the tests of VDAC and COMA share: collected rows, in batches and slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from loss_batches import assert_gradients, gradients, to_double
from off_policy_reference import ACTOR, policy_batch, remember
from slow_reference import Step, one_row
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

CRITIC_MEMORY = "critic_initial_state"
MEMORIES = {
    ACTOR: "initial_state",
    "local_value_network": CRITIC_MEMORY,
    "critic_network": CRITIC_MEMORY,
}
LMBDA = 0.625
# Options of a loss that make it read what was collected in every way.
MODES: dict[str, dict[str, Any]] = {
    "flat": {},
    "rows": {"sequential": True},
    "recurrent": {"recurrent": True},
    "recurrent-critic": {"recurrent": True, "critic_memory": True},
}
EXACT: dict[str, dict[str, Any]] = {
    **MODES,
    "one-hot": {"action_space": "one-hot"},
    "unmasked": {"use_action_mask": False},
    "one-agent": {"n_agents": 1},
    "epsilon": {"share_of_uniform": 0.25},
    "entropy": {"entropy_coef": 0.5},
    "no-entropy": {"entropy_coef": 0.0},
    "l1": {"loss_function": "l1"},
    "smooth_l1": {"loss_function": "smooth_l1", "recurrent": True},
    "one-step": {"lmbda": None},
    "lambda-1": {"lmbda": 1.0, "recurrent": True},
}


@dataclass
class Reference:
    """What the loss returns, the targets, and gradients of each loss by parameter."""

    scalars: dict[str, float]
    targets: list[list[float]]
    gradients: dict[str, dict[str, Tensor]]


def collected(options: dict[str, Any], **more: Any) -> TensorDict:
    """Rows of steps for a loss that was made with these options."""
    kept = policy_batch(options, **{"rows": True, **more})
    if options.get("critic_memory", False):
        return kept
    return kept.exclude(CRITIC_MEMORY)


def collected_rows(loss: Any, batch: TensorDictBase) -> list[list[Step]]:
    """Rows of steps that know the hidden states which they begin with."""
    rows = []
    for row in batch.unbind(0):
        steps = one_row(loss, row.exclude(*MEMORIES.values()))
        for name, key in MEMORIES.items():
            if hasattr(loss, name) and row.get(key, None) is not None:
                remember(loss, steps, row, name, key)
        rows.append(steps)
    return rows


def drawn_from(loss: Any, rows: TensorDictBase) -> TensorDictBase:
    """The batch of all rows, with shuffled steps unless the loss needs rows."""
    if loss.sequential:
        return rows.clone()
    steps = rows.reshape(-1)
    return steps[torch.randperm(len(steps), generator=torch.Generator().manual_seed(2))]


def made_of(
    loss: Any, batch: TensorDictBase
) -> tuple[dict[str, float], dict[str, dict[str, Tensor | None]]]:
    """What a loss says of a batch, and the gradients of each of its losses."""
    result = loss(batch)
    found = {}
    for name in [key for key, value in result.items() if value.requires_grad]:
        loss.zero_grad()
        result[name].backward()
        # Copied, as the next one is summed up in their place.
        found[name] = {
            key: None if gradient is None else gradient.clone()
            for key, gradient in gradients(loss).items()
        }
    loss.zero_grad()
    return {key: value.item() for key, value in result.items()}, found


def assert_equals(
    loss: Any, rows: TensorDictBase, expected: Reference, rtol: float = 1e-6
) -> None:
    """What a loss makes of rows that have their targets."""
    kept = rows.get(("collector", "mask"), torch.ones(rows.shape, dtype=torch.bool))
    aims = torch.tensor(expected.targets, dtype=torch.float64)
    written = rows["value_target"].reshape(len(aims), -1)[kept.flatten()]
    torch.testing.assert_close(
        written.double().cpu(), aims[kept.flatten().cpu()], rtol=rtol, atol=rtol
    )
    scalars, found = made_of(loss, drawn_from(loss, rows))
    assert scalars.keys() == expected.scalars.keys() == set(loss.out_keys)
    for key, value in expected.scalars.items():
        assert scalars[key] == pytest.approx(value, rel=rtol, abs=rtol), key
    assert found.keys() == expected.gradients.keys()
    for name, gradient in expected.gradients.items():
        assert_gradients(found[name], gradient, rtol=rtol)


def outcome(loss: Any, rows: TensorDictBase) -> dict[str, Tensor]:
    """All that an update makes of rows, with the same draws each time."""
    torch.manual_seed(0)
    rows = rows.clone()
    loss.write_targets(rows)
    scalars, found = made_of(loss, drawn_from(loss, rows))
    made = {key: torch.tensor(value) for key, value in scalars.items()}
    for name, gradient in found.items():
        for key, entry in gradient.items():
            if entry is not None:
                made[f"{name} {key}"] = entry
    return made | {"value_target": rows["value_target"]}


def assert_not_trivial(rows: TensorDictBase) -> None:
    """Ends of both kinds within rows, and rows that go on after their last step."""
    terminated, done = rows["next", "terminated"], rows["next", "done"]
    kept = rows.get(("collector", "mask"), torch.ones(rows.shape, dtype=torch.bool))
    inside = kept.clone()
    inside[:, :-1] &= kept[:, 1:]
    inside[:, -1] = False
    assert terminated[inside].any()
    assert (done & ~terminated)[inside].any()
    assert not done[:, -1].all()
    if "is_init" in rows.keys():
        assert not rows["is_init"][:, 0].all()
    if ("collector", "mask") in rows.keys(True):
        assert not kept.all()


def returns_by_hand(terminated: list[int]) -> TensorDict:
    """A row of three steps of one agent that sees 1, with an end at the second."""
    agents = TensorDict({"observation": torch.ones(1, 3, 1, 1)}, [1, 3, 1])
    agents["action_mask"] = torch.ones(1, 3, 1, 2, dtype=torch.bool)
    td = TensorDict({"agents": agents, "next": {"agents": agents.clone()}}, [1, 3])
    td["agents", "action"] = torch.zeros(1, 3, 1, dtype=torch.long)
    td["next", "reward"] = torch.ones(1, 3, 1)
    td["next", "done"] = torch.tensor([0, 1, 0]).bool().view(1, 3, 1)
    td["next", "terminated"] = torch.tensor(terminated).bool().view(1, 3, 1)
    return td


def doubled(loss: Any, options: dict[str, Any], **more: Any) -> tuple[Any, TensorDict]:
    return loss.double(), to_double(collected(options, **more))
