"""The projection loss once more, slowly: float64, one transition after the other.

Written from the formulae. Only the numbers are taken from the loss under test: its
parameters and its options. Gradients are those of torch on this code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from projection_setup import (
    EMBED,
    GAMMA,
    NETWORKS,
    WEIGHTINGS,
    online_parameters,
    target_parameters,
)
from tensordict import TensorDictBase
from torch import Tensor

from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss

Parameters = dict[str, Tensor]


@dataclass
class Moment:
    """What networks and masks see at one time of one transition."""

    observation: Tensor
    state: Tensor
    mask: list[list[bool]]
    is_init: bool

    @property
    def mixer_state(self) -> Tensor:
        return torch.cat([self.state, self.observation.flatten()])


@dataclass
class Outcome:
    """What one transition contributes; values carry gradients, the rest does not."""

    value: Tensor
    unrestricted: Tensor
    target: float
    gradient: list[float]
    probability: list[float]
    is_greedy: bool
    greedy_target: float
    valid: bool
    importance: float
    weight: float = math.nan


@dataclass
class Reference:
    """All that the loss returns and writes, and the gradient of each parameter."""

    scalars: dict[str, float]
    weights: list[float]
    priorities: list[float]
    gradients: dict[str, Tensor]


def reference(
    loss: WeightedProjectionLoss, batch: TensorDictBase, weighting: str
) -> Reference:
    """Loss of a batch with default keys, whatever its shape."""
    online = {name: as_double(online_parameters(loss, name)) for name in NETWORKS}
    source = target_parameters if loss.delay_value else online_parameters
    target = {
        name: {k: p.detach() for k, p in as_double(source(loss, name)).items()}
        for name in NETWORKS
    }
    flat = batch.reshape(-1)
    outcomes = [outcome(loss, online, target, flat[i]) for i in range(len(flat))]
    kind, options = WEIGHTINGS[weighting]
    weights = {
        "RemixWeighting": remix_weights,
        "OptimisticWeighting": optimistic_weights,
        "CentralWeighting": central_weights,
        "UniformWeighting": lambda outcomes: [1.0] * len(outcomes),
    }[kind.__name__](outcomes, **options)
    for one, weight in zip(outcomes, weights, strict=True):
        one.weight = weight
    return summary(outcomes, online, loss.loss_function)


def summary(
    outcomes: list[Outcome], online: dict[str, Parameters], loss_function: str
) -> Reference:
    total = sum(one.importance for one in outcomes if one.valid)
    projection = unrestricted = torch.zeros((), dtype=torch.float64)
    for one in outcomes:
        if one.valid:
            share = one.importance / total
            error = distance(one.value - one.target, loss_function)
            projection = projection + share * one.weight * error
            error = distance(one.unrestricted - one.target, loss_function)
            unrestricted = unrestricted + share * error
    named = {f"{n}.{k}": p for n in NETWORKS for k, p in online[n].items()}
    found = torch.autograd.grad(projection + unrestricted, list(named.values()))
    kept = [one for one in outcomes if one.valid]
    n_agents = len(outcomes[0].gradient)
    scalars = {
        "loss": (projection + unrestricted).item(),
        "loss_projection": projection.item(),
        "loss_unrestricted": unrestricted.item(),
        "projection_weight_mean": sum(one.weight for one in kept) / len(kept),
        "underestimated_fraction": sum(one.value.item() < one.target for one in kept)
        / len(kept),
        "mixer_gradient_mean": sum(sum(one.gradient) for one in kept)
        / (n_agents * len(kept)),
    }
    return Reference(
        scalars,
        [one.weight for one in outcomes],
        [(one.value.item() - one.target) ** 2 for one in outcomes],
        dict(zip(named, found, strict=True)),
    )


def as_double(parameters: Parameters) -> Parameters:
    return {
        key: parameter.detach().double().clone().requires_grad_()
        for key, parameter in parameters.items()
    }


def distance(error: Tensor, loss_function: str) -> Tensor:
    if loss_function == "l2":
        return error * error
    size = error if error > 0 else -error
    if loss_function == "l1":
        return size
    return error * error / 2 if size < 1 else size - 0.5


def outcome(
    loss: WeightedProjectionLoss,
    online: dict[str, Parameters],
    target: dict[str, Parameters],
    row: TensorDictBase,
) -> Outcome:
    """One transition."""
    now, then = moments(row, masked=loss.use_action_mask)
    action = row["agents", "action"].tolist()
    if loss.action_space == "one-hot":
        action = [bits.index(1) for bits in action]
    agents = range(len(action))

    local = [utilities(online["local_value_network"], now, a) for a in agents]
    value, gradient = monotonic(
        online["mixer_network"], [local[a][action[a]] for a in agents], now
    )
    greedy = [best(local[a], now.mask[a]) for a in agents]
    chooser = online if loss.double_q else target
    chosen = [
        best(utilities(chooser["local_value_network"], then, a), then.mask[a])
        for a in agents
    ]
    bootstrap = unrestricted(target, chosen, then).item()
    terminated = row["next", "terminated"].item()
    y = row["next", "reward"].item() + (0.0 if terminated else GAMMA * bootstrap)
    weight = row.get("priority_weight", None)
    valid = row.get(("collector", "mask"), None)
    return Outcome(
        value=value,
        unrestricted=unrestricted(online, action, now),
        target=y,
        gradient=gradient,
        probability=[softmax(local[a], now.mask[a], action[a]) for a in agents],
        is_greedy=greedy == action,
        greedy_target=unrestricted(target, greedy, now).item(),
        valid=True if valid is None else bool(valid.item()),
        importance=1.0 if weight is None else weight.item(),
    )


def moments(row: TensorDictBase, masked: bool) -> tuple[Moment, Moment]:
    # A step and what follows it share the memory that the step starts from.
    is_init = row.get("is_init", None)
    first = False if is_init is None else bool(is_init.item())
    found = []
    for td in (row, row["next"]):
        mask = td["agents", "action_mask"]
        found.append(
            Moment(
                td["agents", "observation"].double(),
                td["state"].double(),
                (mask if masked else torch.ones_like(mask)).tolist(),
                first,
            )
        )
    return found[0], found[1]


def utilities(parameters: Parameters, moment: Moment, agent: int) -> Tensor:
    """Utilities ``[A]`` of one agent."""
    hidden = dense(parameters, "module.below", moment.observation[agent]).tanh()
    value = 3.0 * dense(parameters, "module.above", hidden)
    if moment.is_init:
        value = value + parameters["module.start"]
    elif "module.start" in parameters:
        value = value + 0.0 * parameters["module.start"]
    return value


def best(values: Tensor, available: list[bool]) -> int:
    """The best available action, the first among equals."""
    allowed = [a for a, ok in enumerate(available) if ok]
    return max(allowed, key=lambda a: values[a].item())


def softmax(values: Tensor, available: list[bool], action: int) -> float:
    allowed = [values[a].item() for a, ok in enumerate(available) if ok]
    top = max(allowed)
    total = sum(math.exp(x - top) for x in allowed)
    return math.exp(values[action].item() - top) / total if available[action] else 0.0


def monotonic(
    parameters: Parameters, chosen: list[Tensor], moment: Moment
) -> tuple[Tensor, list[float]]:
    """``Q_tot`` and ``g_a = sum_j elu'(z_j) |W1|_aj |w2|_j``."""
    state = moment.mixer_state
    w1 = deep(parameters, "module.hyper_w_1", state).abs()
    w2 = deep(parameters, "module.hyper_w_final", state).abs()
    b1 = dense(parameters, "module.hyper_b_1", state)
    value = deep(parameters, "module.V", state)[0]
    gradient = [0.0] * len(chosen)
    for j in range(EMBED):
        z = b1[j]
        for a, q in enumerate(chosen):
            z = z + q * w1[a * EMBED + j]
        value = value + (z if z > 0 else z.exp() - 1) * w2[j]
        slope = 1.0 if z > 0 else math.exp(z.item())
        for a in range(len(chosen)):
            gradient[a] += slope * w1[a * EMBED + j].item() * w2[j].item()
    return value, gradient


def unrestricted(
    parameters: dict[str, Parameters], action: list[int], moment: Moment
) -> Tensor:
    """``Q_star``."""
    chosen = [
        utilities(parameters["unrestricted_value_network"], moment, a)[action[a]]
        for a in range(len(action))
    ]
    mixer = parameters["unrestricted_mixer_network"]
    state = moment.mixer_state
    joint = deep(mixer, "module.joint_value", torch.cat([state, torch.stack(chosen)]))
    return joint[0] + deep(mixer, "module.state_value", state)[0]


def dense(parameters: Parameters, name: str, inputs: Tensor) -> Tensor:
    return parameters[f"{name}.weight"] @ inputs + parameters[f"{name}.bias"]


def deep(parameters: Parameters, name: str, inputs: Tensor) -> Tensor:
    """A linear layer, or linear layers numbered 0, 2, 4, ... with ReLU between."""
    if f"{name}.weight" in parameters:
        return dense(parameters, name, inputs)
    number = 0
    while f"{name}.{number}.weight" in parameters:
        if number:
            inputs = inputs.relu()
        inputs = dense(parameters, f"{name}.{number}", inputs)
        number += 2
    return inputs


def optimistic_weights(outcomes: list[Outcome], alpha: float) -> list[float]:
    return [1.0 if one.value.item() < one.target else alpha for one in outcomes]


def central_weights(outcomes: list[Outcome], alpha: float) -> list[float]:
    return [
        1.0 if one.is_greedy or one.target > one.greedy_target else alpha
        for one in outcomes
    ]


def remix_weights(outcomes: list[Outcome], **options: Any) -> list[float]:
    """All three factors of the weight."""
    low, high = options["w_min"], options["w_max"]
    raws = [remix_raw(one, options) for one in outcomes]
    counted = [raw for raw, one in zip(raws, outcomes, strict=True) if one.valid]
    if max(counted) == 0:
        return [low] * len(raws)
    if options["normalization"] == "max":
        scaled = [low + (high - low) * raw / max(counted) for raw in raws]
    else:
        if options["normalization"] == "mean_positive":
            counted = [raw for raw in counted if raw > 0]
        scaled = [raw * len(counted) / sum(counted) for raw in raws]
    return [min(max(weight, low), high) for weight in scaled]


def remix_raw(one: Outcome, options: dict[str, Any]) -> float:
    value, clip = one.value.item(), options["exponent_clip"]
    error = max(one.target - value, 0.0)
    gap = min(max(one.unrestricted.item() - value, -clip), clip)
    bracket = -1.0
    for slope, probability in zip(one.gradient, one.probability, strict=True):
        bracket += (1.0 - probability) / max(slope, options["gradient_floor"])
    return error * math.exp(gap) * max(bracket, 0.0)
