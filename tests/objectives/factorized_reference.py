"""The loss of factorized values once more, slowly, see ``slow_reference``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from factorized_setup import PENALTY
from loss_batches import GAMMA, N_ACTIONS
from slow_reference import (
    Moment,
    Parameters,
    agent_values,
    best,
    deep,
    dense,
    distance,
    gradients_of,
    mean,
    monotonic,
    parameters_of,
    rows_of,
    targets,
)
from tensordict import TensorDictBase
from torch import Tensor

LOCAL, MIXER = "local_value_network", "mixer_network"


@dataclass
class Mixed:
    """What a mixer says; ``metrics`` are means over agents or heads."""

    value: Tensor
    penalty: Tensor | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class FactorizedReference:
    """All that the loss returns and writes, and the gradient of each parameter."""

    scalars: dict[str, float]
    priorities: list[float]
    gradients: dict[str, Tensor]


def factorized_reference(
    loss: Any, batch: TensorDictBase, mixer: str, lmbda: float = 0.0
) -> FactorizedReference:
    """Loss of a batch with default keys, whatever its shape."""
    online, target = parameters_of(loss, (LOCAL, MIXER))
    rows = rows_of(loss, batch)
    steps = [step for row in rows for step in row]
    mixed = [mix(mixer, online, s.now, s.action) for s in steps]
    chooser = online if loss.double_q else target
    bootstraps = [
        mix(mixer, target, s.then, greedy(chooser, s.then)).value.item() for s in steps
    ]
    aims = targets(rows, bootstraps, GAMMA, lmbda)
    errors = [m.value - y for m, y in zip(mixed, aims, strict=True)]
    td = mean([distance(e, loss.loss_function) for e in errors], steps, weighted=True)
    scalars = {
        "loss_td": td.item(),
        "chosen_value_mean": mean([m.value.item() for m in mixed], steps),
        "target_value_mean": mean(aims, steps),
    }
    total = loss.td_coef * td
    if mixed[0].penalty is not None:
        penalty = mean([m.penalty for m in mixed], steps, weighted=True)
        scalars["loss_penalty"] = penalty.item()
        total = total + penalty
    for name in mixed[0].metrics:
        scalars[f"{name}_mean"] = mean([m.metrics[name] for m in mixed], steps)
    return FactorizedReference(
        {"loss": total.item(), **scalars},
        [error.item() ** 2 for error in errors],
        gradients_of(total, online),
    )


def greedy(parameters: dict[str, Parameters], moment: Moment) -> list[int]:
    agents = range(len(moment.mask))
    return [
        best(agent_values(parameters, LOCAL, moment, a), moment.mask[a]) for a in agents
    ]


def mix(
    mixer: str, parameters: dict[str, Parameters], moment: Moment, action: list[int]
) -> Mixed:
    """The joint value of an action, from the utilities of the same parameters."""
    agents = range(len(action))
    values = [agent_values(parameters, LOCAL, moment, a) for a in agents]
    chosen = [values[a][action[a]] for a in agents]
    if mixer == "vdn":
        return Mixed(sum(chosen))
    if mixer == "qmix":
        return Mixed(monotonic(parameters[MIXER], chosen, moment.mixer_state)[0])
    own = {k.split("module.")[-1]: p for k, p in parameters[MIXER].items()}
    if mixer == "qatten":
        return attention(own, chosen, moment)
    maxima = [values[a][best(values[a], moment.mask[a])].item() for a in agents]
    return duplex(own, chosen, maxima, action, moment.mixer_state)


def duplex(
    parameters: Parameters,
    chosen: list[Tensor],
    maxima: list[float],
    action: list[int],
    state: Tensor,
) -> Mixed:
    """QPLEX. Advantages are plain numbers, so that no gradient passes them."""
    vectors = torch.zeros(len(action), N_ACTIONS, dtype=torch.float64)
    for a, index in enumerate(action):
        vectors[a, index] = 1.0
    keys = heads(parameters, "importance.key", state)
    agents = heads(parameters, "importance.agent", state)
    actions = heads(
        parameters, "importance.action", torch.cat([state, vectors.flatten()])
    )
    weight = deep(parameters, "hyper_weight", state).abs() + 1e-10
    bias = deep(parameters, "hyper_bias", state)
    total, importances = 0.0, []
    for a, q in enumerate(chosen):
        importance = sum(
            (key[0].abs() + 1e-10) * agent[a].sigmoid() * act[a].sigmoid()
            for key, agent, act in zip(keys, agents, actions, strict=True)
        )
        advantage = weight[a].item() * (q.item() - maxima[a])
        total = total + weight[a] * q + bias[a] + (importance - 1) * advantage
        importances.append(importance.item())
    return Mixed(total, metrics={"importance": sum(importances) / len(importances)})


def attention(parameters: Parameters, chosen: list[Tensor], moment: Moment) -> Mixed:
    """Qatten, with its penalty and the entropy of its attention."""
    state = moment.mixer_state
    queries = heads(parameters, "query", state)
    size = len(queries[0])
    keys = [dense(parameters, "key", seen) for seen in moment.observation]
    weight = deep(parameters, "head_weight", state).abs()
    total, penalty, entropy = deep(parameters, "constant", state)[0], 0.0, 0.0
    for h, query in enumerate(queries):
        logits = [query @ key[h * size : (h + 1) * size] for key in keys]
        shares = [(logit / math.sqrt(size)).exp() for logit in logits]
        shares = [share / sum(shares) for share in shares]
        for share, q in zip(shares, chosen, strict=True):
            total = total + weight[h] * share * q
            entropy -= (share * share.log()).item() / len(queries)
        penalty = penalty + PENALTY * sum(x**2 for x in logits) / len(logits)
    return Mixed(total, penalty, {"entropy": entropy})


def heads(parameters: Parameters, name: str, inputs: Tensor) -> list[Tensor]:
    """The outputs of independent heads, whose first layers are stacked."""
    number = len(parameters[f"{name}.others.0.weight"])
    outputs = list(dense(parameters, f"{name}.first", inputs).chunk(number))
    layer = 0
    while f"{name}.others.{layer}.weight" in parameters:
        weight = parameters[f"{name}.others.{layer}.weight"]
        bias = parameters[f"{name}.others.{layer}.bias"]
        outputs = [weight[h] @ x.relu() + bias[h] for h, x in enumerate(outputs)]
        layer += 1
    return outputs
