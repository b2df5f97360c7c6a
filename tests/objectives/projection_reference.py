"""The projection loss once more, slowly: float64, one transition after the other.

Written from the formulae, see ``slow_reference``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from projection_setup import GAMMA, NETWORKS, WEIGHTINGS
from slow_reference import (
    Moment,
    Parameters,
    Step,
    agent_values,
    best,
    deep,
    distance,
    gradients_of,
    mean,
    monotonic,
    parameters_of,
    rows_of,
    softmax,
    targets,
)
from tensordict import TensorDictBase
from torch import Tensor

from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss


@dataclass
class Outcome:
    """What one transition contributes; values carry gradients, the rest does not."""

    value: Tensor
    unrestricted: Tensor
    gradient: list[float]
    probability: list[float]
    unmasked_probability: list[float]
    unrestricted_target: float
    is_greedy: bool
    greedy_target: float
    bootstrap: float
    valid: bool
    target: float = math.nan
    weight: float = math.nan


@dataclass
class Reference:
    """All that the loss returns and writes, and the gradient of each parameter."""

    scalars: dict[str, float]
    weights: list[float]
    priorities: list[float]
    gradients: dict[str, Tensor]


def reference(
    loss: WeightedProjectionLoss,
    batch: TensorDictBase,
    weighting: str,
    lmbda: float = 0.0,
) -> Reference:
    """Loss of a batch with default keys, whatever its shape."""
    online, target = parameters_of(loss, NETWORKS)
    rows = rows_of(loss, batch)
    steps = [step for row in rows for step in row]
    outcomes = [outcome(loss, online, target, step) for step in steps]
    found = targets(rows, [one.bootstrap for one in outcomes], GAMMA, lmbda)
    for one, y in zip(outcomes, found, strict=True):
        one.target = y
    kind, options = WEIGHTINGS[weighting]
    weights = {
        "remix_weighting": remix_weights,
        "OptimisticWeighting": optimistic_weights,
        "CentralWeighting": central_weights,
        "UniformWeighting": lambda outcomes: [1.0] * len(outcomes),
    }[kind.__name__](outcomes, **options)
    for one, weight in zip(outcomes, weights, strict=True):
        one.weight = weight
    return summary(outcomes, steps, online, loss)


def summary(
    outcomes: list[Outcome],
    steps: list[Step],
    online: dict[str, Parameters],
    loss: WeightedProjectionLoss,
) -> Reference:
    loss_function, coef = loss.loss_function, loss.unrestricted_coef
    errors = [
        one.weight * distance(one.value - one.target, loss_function) for one in outcomes
    ]
    projection = mean(errors, steps, weighted=True)
    errors = [
        distance(one.unrestricted - one.target, loss_function) for one in outcomes
    ]
    unrestricted = mean(errors, steps, weighted=True)
    slopes = [sum(one.gradient) / len(one.gradient) for one in outcomes]
    scalars = {
        "loss": (projection + coef * unrestricted).item(),
        "loss_projection": projection.item(),
        "loss_unrestricted": unrestricted.item(),
        "projection_weight_mean": mean([one.weight for one in outcomes], steps),
        "underestimated_fraction": mean(
            [float(one.value.item() < one.target) for one in outcomes], steps
        ),
        "mixer_gradient_mean": mean(slopes, steps),
    }
    return Reference(
        scalars,
        [one.weight for one in outcomes],
        [(one.value.item() - one.target) ** 2 for one in outcomes],
        gradients_of(projection + coef * unrestricted, online),
    )


def outcome(
    loss: WeightedProjectionLoss,
    online: dict[str, Parameters],
    target: dict[str, Parameters],
    step: Step,
) -> Outcome:
    """One transition."""
    now, then, action = step.now, step.then, step.action
    agents, name = range(len(action)), "local_value_network"
    local = [agent_values(online, name, now, a) for a in agents]
    chosen = [local[a][action[a]] for a in agents]
    value, gradient = monotonic(online["mixer_network"], chosen, now.mixer_state)
    greedy = [best(local[a], now.mask[a]) for a in agents]
    chooser = online if loss.double_q else target
    following = [
        best(agent_values(chooser, name, then, a), then.mask[a]) for a in agents
    ]
    return Outcome(
        value=value,
        unrestricted=unrestricted(online, action, now),
        gradient=gradient,
        probability=[softmax(local[a], now.mask[a], action[a]) for a in agents],
        unmasked_probability=[
            softmax(local[a], [True] * len(local[a]), action[a]) for a in agents
        ],
        unrestricted_target=unrestricted(target, action, now).item(),
        is_greedy=greedy == action,
        greedy_target=unrestricted(target, greedy, now).item(),
        bootstrap=unrestricted(target, following, then).item(),
        valid=step.valid,
    )


def unrestricted(
    parameters: dict[str, Parameters], action: list[int], moment: Moment
) -> Tensor:
    """``Q_star``."""
    chosen = [
        agent_values(parameters, "unrestricted_value_network", moment, a)[action[a]]
        for a in range(len(action))
    ]
    mixer = parameters["unrestricted_mixer_network"]
    state = moment.mixer_state
    joint = deep(mixer, "module.joint_value", torch.cat([state, torch.stack(chosen)]))
    return joint[0] + deep(mixer, "module.state_value", state)[0]


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
    positive = [raw for raw in counted if raw > 0]
    if options["normalization"] == "clipped":
        limit = options["mean_multiple"] * sum(positive) / len(positive)
        least, most = min(*counted, limit), min(max(counted), limit)
        if least == most:
            return [low] * len(raws)
        shares = [(min(raw, limit) - least) / (most - least) for raw in raws]
        scaled = [low + (high - low) * share for share in shares]
    elif options["normalization"] == "max":
        scaled = [low + (high - low) * raw / max(counted) for raw in raws]
    else:
        if options["normalization"] == "mean_positive":
            counted = positive
        scaled = [raw * len(counted) / sum(counted) for raw in raws]
    return [min(max(weight, low), high) for weight in scaled]


def remix_raw(one: Outcome, options: dict[str, Any]) -> float:
    value, clip = one.value.item(), options["exponent_clip"]
    error = max(one.target - value, 0.0)
    offered = one.unrestricted.item()
    if options.get("unrestricted_value") == "target":
        offered = one.unrestricted_target
    gap = min(max(offered - value, -clip), clip)
    probabilities = one.probability
    if options.get("policy_support") == "all":
        probabilities = one.unmasked_probability
    bracket = -1.0
    for slope, probability in zip(one.gradient, probabilities, strict=True):
        bracket += (1.0 - probability) / max(slope, options["gradient_floor"])
    return error * math.exp(gap) * max(bracket, 0.0)
