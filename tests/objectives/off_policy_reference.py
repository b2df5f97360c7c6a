"""What the references of DOP and FOP share: batches, policies and odd masks."""

from __future__ import annotations

from typing import Any

import torch
from loss_batches import HIDDEN, gradients, make_batch
from slow_reference import Moment, Parameters, Step, agent_values, flag, rows_of
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from remix_plugin.objectives.unroll import pack_rows

ACTOR = "actor_network"
# Where the hidden states of each network at the starts of rows are.
MEMORIES = {
    ACTOR: "initial_state",
    "critic_network": "critic_initial_state",
    "first_critic_network": "critic_initial_state",
    "second_critic_network": "second_critic_initial_state",
}
ROWS, STEPS = 3, 4
MASK, NEXT_MASK = ("agents", "action_mask"), ("next", "agents", "action_mask")
# Options of a loss that make it read batches in every way.
MODES: dict[str, dict[str, Any]] = {
    "flat": {},
    "rows": {"sequential": True},
    "recurrent": {"recurrent": True},
}


def policy_batch(options: dict[str, Any], **more: Any) -> TensorDict:
    """A batch for a loss that was made with these options."""
    recurrent = options.get("recurrent", False)
    td = make_batch(
        ROWS,
        STEPS,
        **{
            "seed": 3,
            "n_agents": options.get("n_agents", 3),
            "one_hot": options.get("action_space") == "one-hot",
            "rows": options.get("sequential", False) or "lmbda" in options,
            "recurrent": recurrent,
            "stored": recurrent,
            **more,
        },
    )
    if recurrent:
        generator = torch.Generator().manual_seed(5)
        shape = (*td["agents"].batch_size[::2], HIDDEN)  # rows, agents, units
        for key in sorted(set(MEMORIES.values()) - {"initial_state"}):
            state = torch.randn(shape, generator=generator)
            td[key] = pack_rows(state, td.shape[1])
    return td


def rows_with_memory(loss: Any, batch: TensorDictBase) -> list[list[Step]]:
    """Rows of steps that know the hidden states which their rows begin with."""
    rows = rows_of(loss, batch)
    if loss.sequential:
        for steps, row in zip(rows, batch.unbind(0), strict=True):
            for name, key in MEMORIES.items():
                if hasattr(loss, name) and row.get(key, None) is not None:
                    remember(loss, steps, row, name, key)
    return rows


def remember(
    loss: Any, steps: list[Step], row: TensorDictBase, name: str, key: str
) -> None:
    """Until the next episode starts."""
    agents, units = getattr(loss, name).hidden_shape
    state = row[key].double().flatten()[: agents * units].view(agents, units)
    for step, td in zip(steps, row.unbind(0), strict=True):
        if flag(td, "is_init", default=False):
            return
        step.now.memory[name] = step.then.memory[name] = state


def policy(
    parameters: dict[str, Parameters],
    moment: Moment,
    agent: int,
    epsilon: float = 0.0,
) -> dict[int, Tensor]:
    """Probabilities of the actions that the agent may choose."""
    logits = agent_values(parameters, ACTOR, moment, agent)
    allowed = [a for a, ok in enumerate(moment.mask[agent]) if ok]
    top = max(logits[a].item() for a in allowed)
    weights = {a: (logits[a] - top).exp() for a in allowed}
    total = sum(weights.values())
    uniform = epsilon / len(allowed)
    return {a: (1 - epsilon) * w / total + uniform for a, w in weights.items()}


def disorder(policies: list[dict[int, Tensor]]) -> float:
    """Entropy in nats, mean over agents."""
    terms = [-p * p.log() for own in policies for p in own.values()]
    return sum(terms).item() / len(policies)


def spread(values: list[list[float]], steps: list[Step]) -> tuple[float, float]:
    """Mean and standard deviation over agents and steps that are not padding."""
    kept = [x for own, s in zip(values, steps, strict=True) if s.valid for x in own]
    center = sum(kept) / len(kept)
    return center, (sum((x - center) ** 2 for x in kept) / len(kept)) ** 0.5


def gradients_by_loss(loss: Any, result: TensorDictBase) -> dict[str, dict]:
    """Gradients of one loss after the other, as optimizers take them."""
    found = {}
    for name in [key for key in result.keys() if key.startswith("loss_")]:
        loss.zero_grad()
        result[name].backward()
        found[name] = {
            key: None if gradient is None else gradient.clone()
            for key, gradient in gradients(loss).items()
        }
    loss.zero_grad()
    return found


def perturb(loss: Any, *names: str) -> None:
    """Change the parameters of networks."""
    generator = torch.Generator().manual_seed(11)
    for name in names:
        for parameter in getattr(loss, f"{name}_params").values(True, True):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data.add_(0.5 * noise.to(parameter.dtype))


def ended_batch(
    options: dict[str, Any], *, terminated: bool, **more: Any
) -> TensorDict:
    """Rows with an end at their last step, and one in the middle of the first."""
    td = policy_batch(options, rows=True, **more)
    done = torch.zeros(ROWS, STEPS, 1, dtype=torch.bool)
    done[:, -1] = done[0, 1] = True
    td["next", "done"] = done
    td["next", "terminated"] = done & terminated
    if options.get("recurrent", False):
        td["is_init"] = done.roll(1, 1)
    td["recent"] = torch.tensor([True, False, False])[:, None].expand(ROWS, STEPS)
    return td


def with_last_mask(td: TensorDictBase, mask: bool | Tensor) -> TensorDictBase:
    """The batch with another mask after each end."""
    other = td.clone()
    done = td["next", "done"].unsqueeze(-1)
    other[NEXT_MASK] = torch.where(done, mask, td[NEXT_MASK])
    return other


def outcome(loss: Any, td: TensorDictBase) -> dict[str, Tensor]:
    """All that an update makes of a batch, with the same draws each time."""
    td = (td if loss.sequential else td.reshape(-1)).clone()
    torch.manual_seed(0)
    result = loss(td)
    made = {name: value.detach().clone() for name, value in result.items()}
    for name, found in gradients_by_loss(loss, result).items():
        for key, gradient in found.items():
            if gradient is not None:
                made[f"{name} {key}"] = gradient
    return made | {"priority": td["agents", "td_error"]}


def assert_same(made: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert made.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(made[key], value), key


def assert_finite(made: dict[str, Tensor]) -> None:
    for key, value in made.items():
        assert value.isfinite().all(), key
        # Nor as large as what stands for an unavailable action.
        assert value.abs().max().item() < 1e6, key


def with_dead(td: TensorDictBase, *, any_action: bool) -> TensorDictBase:
    """The batch with an agent that dies, and all of them at the end of a row.

    The dead may do nothing, or the last action only, which they then do.
    """
    other, dead = td.clone(), torch.zeros(*td["agents"].batch_size, dtype=torch.bool)
    dead[0, :, 1] = dead[1, -1] = True
    after = torch.zeros_like(dead)
    after[0, :, 1] = after[1, -2:] = True
    n_actions = td[MASK].shape[-1]
    only = (torch.arange(n_actions) == n_actions - 1) & any_action
    other[MASK] = torch.where(dead.unsqueeze(-1), only, td[MASK])
    other[NEXT_MASK] = torch.where(after.unsqueeze(-1), only, td[NEXT_MASK])
    if any_action:
        action = td["agents", "action"]
        other["agents", "action"] = action.masked_fill(dead, n_actions - 1)
    return other
