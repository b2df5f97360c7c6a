"""QTRAN's loss: a tiny one, and the same once more, slowly (``slow_reference``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from loss_batches import (
    GAMMA,
    N_ACTIONS,
    agent_network,
    set_targets,
    state_network,
    state_size,
)
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
    parameters_of,
    rows_of,
    targets,
)
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.objectives import ValueEstimators

from remix_plugin.modules.qtran import FeatureJointValue, JointActionValue, StateValue
from remix_plugin.objectives.qtran import QtranLoss

LOCAL, JOINT, STATE = (
    "local_value_network",
    "joint_value_network",
    "state_value_network",
)
FEATURE = "feature_network"
N_OUT, EMBED = 3, 4
Keys = QtranLoss._AcceptedKeys


def make_qtran(
    *,
    features: bool = True,
    n_agents: int = 3,
    recurrent: bool = False,
    renamed: dict[str, NestedKey] | None = None,
    lmbda: float | None = None,
    **options: Any,
) -> QtranLoss:
    """A loss whose target networks differ from its online ones."""
    torch.manual_seed(0)
    renamed = renamed or {}
    keys = replace(Keys(), **renamed)
    size = state_size(n_agents)
    agents = {"recurrent": recurrent, "n_agents": n_agents, "is_init": keys.is_init}
    sizes = {"state_dim": size, "n_actions": N_ACTIONS, "embed_dim": EMBED}
    if features:
        joint = FeatureJointValue(n_features=N_OUT, **sizes)
        read = [keys.joint_action, keys.feature, "mixer_state"]
        options["feature_network"] = agent_network(
            keys.feature, n_values=N_OUT, **agents
        )
    else:
        joint = JointActionValue(n_agents=n_agents, **sizes)
        read = [keys.joint_action, "mixer_state"]
    state_value = StateValue(state_dim=size, embed_dim=EMBED)
    loss = QtranLoss(
        agent_network(keys.action_value, **agents),
        TensorDictModule(joint, read, [keys.global_value]),
        TensorDictModule(state_value, ["mixer_state"], [keys.state_value]),
        state_network=state_network(),
        **{"sequential": recurrent or lmbda is not None, **options},
    )
    loss.set_keys(**renamed)
    if lmbda is None:
        loss.make_value_estimator(ValueEstimators.TD0, gamma=GAMMA)
    else:
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA, lmbda=lmbda)
    set_targets(loss)
    return loss


@dataclass
class QtranReference:
    """The terms, the priorities, and the gradient of each term by parameter."""

    scalars: dict[str, float]
    priorities: list[float]
    gradients: dict[str, dict[str, Tensor]]


def qtran_reference(
    loss: QtranLoss, batch: TensorDictBase, lmbda: float = 0.0
) -> QtranReference:
    """Loss of a batch with default keys, whatever its shape."""
    names = (LOCAL, JOINT, STATE) + (FEATURE,) * loss.has_features
    online = parameters_of(loss, names)[0]
    target = qtran_targets(loss, names)
    rows = rows_of(loss, batch)
    steps = [step for row in rows for step in row]
    chooser = online if loss.double_q else target
    bootstraps = [
        joint_value(target, s.then, greedy(chooser, s.then)).item() for s in steps
    ]
    aims = targets(rows, bootstraps, GAMMA, lmbda)
    joint = [joint_value(online, s.now, s.action) for s in steps]
    errors = [value - y for value, y in zip(joint, aims, strict=True)]
    optimum, other = zip(*(residuals(online, s) for s in steps), strict=True)
    per_step = {
        "loss_td": [distance(error, loss.loss_function) for error in errors],
        "loss_opt": [x * x for x in optimum],
        "loss_nopt": [x * x for x in other],
    }
    terms = {name: mean(v, steps, weighted=True) for name, v in per_step.items()}
    total = terms["loss_td"] + loss.optimum_weight * terms["loss_opt"]
    terms["loss"] = total + loss.other_weight * terms["loss_nopt"]
    return QtranReference(
        {
            **{name: term.item() for name, term in terms.items()},
            "chosen_value_mean": mean([value.item() for value in joint], steps),
            "target_value_mean": mean(aims, steps),
        },
        [error.item() ** 2 for error in errors],
        {name: gradients_of(term, online) for name, term in terms.items()},
    )


def qtran_targets(loss: QtranLoss, names: tuple[str, ...]) -> dict[str, Parameters]:
    """Target numbers of the networks that have targets of their own."""
    own = tuple(
        n for n in names if n in (JOINT, FEATURE) or (n == LOCAL and not loss.double_q)
    )
    return parameters_of(loss, own)[1]


def residuals(online: dict[str, Parameters], step: Step) -> tuple[Tensor, Tensor]:
    """What both constraints miss; the joint values in them are plain numbers."""
    now, agents = step.now, range(len(step.action))
    values = [agent_values(online, LOCAL, now, a) for a in agents]
    own = {k.removeprefix("module."): p for k, p in online[STATE].items()}
    state_value = deep(own, "state_value", now.mixer_state)[0]
    chosen = greedy(online, now)
    optimum = sum(values[a][chosen[a]] for a in agents) + state_value
    optimum = optimum - joint_value(online, now, chosen).item()
    other = sum(values[a][step.action[a]] for a in agents) + state_value
    other = other - joint_value(online, now, step.action).item()
    return optimum, other if other < 0 else 0.0 * other


def greedy(parameters: dict[str, Parameters], moment: Moment) -> list[int]:
    agents = range(len(moment.mask))
    return [
        best(agent_values(parameters, LOCAL, moment, a), moment.mask[a]) for a in agents
    ]


def joint_value(
    parameters: dict[str, Parameters], moment: Moment, action: list[int]
) -> Tensor:
    """``Q_jt`` of a joint action."""
    own = {k.removeprefix("module."): p for k, p in parameters[JOINT].items()}
    vectors = torch.eye(N_ACTIONS, dtype=torch.float64)[action]
    if FEATURE not in parameters:
        inputs = torch.cat([moment.mixer_state, vectors.flatten()])
        return deep(own, "joint_value", inputs)[0]
    encoded = 0.0
    for agent, vector in enumerate(vectors):
        feature = agent_values(parameters, FEATURE, moment, agent)
        encoded = encoded + deep(own, "encoder", torch.cat([feature, vector]))
    return deep(own, "joint_value", torch.cat([moment.mixer_state, encoded]))[0]
