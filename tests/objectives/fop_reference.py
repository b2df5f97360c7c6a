"""FOP's loss: a tiny one, and the same once more, slowly (``slow_reference``)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from loss_batches import (
    GAMMA,
    N_ACTIONS,
    agent_network,
    set_targets,
    state_network,
    state_size,
)
from off_policy_reference import ACTOR, disorder, policy, rows_with_memory, spread
from slow_reference import (
    Moment,
    Parameters,
    Step,
    agent_values,
    deep,
    dense,
    distance,
    gradients_of,
    mean,
    parameters_of,
    targets,
)
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.objectives import ValueEstimators

import remix_plugin.objectives.fop as fop_module
from remix_plugin.modules.fop import FopMixer
from remix_plugin.objectives.fop import FopLoss

TWINS = ("first", "second")
CRITICS = tuple(f"{twin}_critic_network" for twin in TWINS)
MIXERS = tuple(f"{twin}_mixer_network" for twin in TWINS)
HEADS, EMBED = 2, 3
Keys = FopLoss._AcceptedKeys


def make_fop(
    *,
    n_agents: int = 3,
    recurrent: bool = False,
    lmbda: float | None = None,
    share_of_uniform: float = 0.0,
    **options: Any,
) -> FopLoss:
    """A loss whose target networks differ from its online ones."""
    torch.manual_seed(0)
    keys = Keys()
    agents = {"recurrent": recurrent, "n_agents": n_agents}
    read = [keys.local_value, keys.soft_value, keys.joint_action, "mixer_state"]
    mixers = [
        FopMixer(
            state_dim=state_size(n_agents),
            n_agents=n_agents,
            n_actions=N_ACTIONS,
            n_heads=HEADS,
            embed_dim=EMBED,
        )
        for _ in TWINS
    ]
    loss = FopLoss(
        agent_network(keys.logits, **agents),
        *(agent_network(keys.action_value, **agents) for _ in TWINS),
        *(TensorDictModule(mixer, read, [keys.global_value]) for mixer in mixers),
        state_network=state_network(),
        epsilon=(lambda: share_of_uniform) if share_of_uniform else None,
        **{"sequential": recurrent or lmbda is not None, **options},
    )
    if lmbda is None:
        loss.make_value_estimator(ValueEstimators.TD0, gamma=GAMMA)
    else:
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA, lmbda=lmbda)
    set_targets(loss)
    return loss


class Draws:
    """Lets a loss draw its actions, and keeps what it drew them from and what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.probability = self.actions = torch.empty(0)
        self.count = 0
        self._draw = fop_module.sample_actions
        monkeypatch.setattr(fop_module, "sample_actions", self)

    def __call__(self, probability: Tensor) -> Tensor:
        self.count += 1
        self.probability, self.actions = probability, self._draw(probability)
        return self.actions


@dataclass
class FopReference:
    """All that is returned, the priorities, and the gradients of both losses."""

    scalars: dict[str, float]
    priorities: list[float]
    gradients: dict[str, dict[str, Tensor]]


def fop_reference(
    loss: FopLoss,
    batch: TensorDictBase,
    drawn: Tensor,
    lmbda: float = 0.0,
    share_of_uniform: float = 0.0,
) -> FopReference:
    """Losses of a batch with default keys, for next actions ``drawn`` ``[*B, n]``."""
    online, target = parameters_of(loss, (ACTOR, *CRITICS, *MIXERS))
    alpha = loss.alpha.item()
    rows = rows_with_memory(loss, batch)
    steps = [step for row in rows for step in row]
    nexts = drawn.flatten(0, -2).tolist()
    aims = fop_targets(
        loss, rows, nexts, {**target, ACTOR: online[ACTOR]}, lmbda, share_of_uniform
    )
    joint = {
        twin: [joint_value(online, twin, s.now, s.action, alpha) for s in steps]
        for twin in TWINS
    }
    errors = {
        twin: [q - y for q, y in zip(values, aims, strict=True)]
        for twin, values in joint.items()
    }
    policies = [
        [policy(online, s.now, a, share_of_uniform) for a in range(len(s.action))]
        for s in steps
    ]
    regrets = [
        regret(online, s.now, own, alpha)
        for s, own in zip(steps, policies, strict=True)
    ]
    distances = [
        sum(distance(error, loss.loss_function) for error in pair)
        for pair in zip(*errors.values(), strict=True)
    ]
    terms = {
        "loss_actor": mean(regrets, steps),
        "loss_qvalue": mean(distances, steps, weighted=True),
    }
    center, deviation = spread([advantages(online, s, alpha) for s in steps], steps)
    chosen = [value.item() for value in joint["first"]]
    return FopReference(
        {
            **{name: term.item() for name, term in terms.items()},
            "alpha": alpha,
            "entropy": mean([disorder(own) for own in policies], steps),
            "chosen_value_mean": mean(chosen, steps),
            "target_value_mean": mean(aims, steps),
            "advantage_mean": center,
            "advantage_std": deviation,
        },
        [
            sum(error.item() ** 2 for error in pair) / 2
            for pair in zip(*errors.values(), strict=True)
        ],
        {name: gradients_of(term, online) for name, term in terms.items()},
    )


def regret(
    online: dict[str, Parameters],
    moment: Moment,
    policies: list[dict[int, Tensor]],
    alpha: float,
) -> Tensor:
    """What actors minimize, mean over agents, in which values are plain numbers."""
    total = 0.0
    for agent, own in enumerate(policies):
        first, second = (
            agent_values(online, name, moment, agent).tolist() for name in CRITICS
        )
        for action, p in own.items():
            total = total + p * (alpha * p.log() - min(first[action], second[action]))
    return total / len(policies)


def advantages(online: dict[str, Parameters], step: Step, alpha: float) -> list[float]:
    """``q_i(u_i) - v_i`` of the first critic."""
    found = []
    for agent, action in enumerate(step.action):
        values = agent_values(online, CRITICS[0], step.now, agent).tolist()
        found.append(values[action] - soft(values, step.now.mask[agent], alpha))
    return found


def soft(values: list[float], available: list[bool], alpha: float) -> float:
    """``v_i``."""
    scaled = [q / alpha for q, ok in zip(values, available, strict=True) if ok]
    top = max(scaled)
    return alpha * (top + math.log(sum(math.exp(x - top) for x in scaled)))


def joint_value(
    parameters: dict[str, Parameters],
    twin: str,
    moment: Moment,
    action: list[int],
    alpha: float,
) -> Tensor:
    """``Q_jt = V(s) + sum_i q_i(u_i) + (lambda_i - 1) sg[q_i(u_i) - v_i]``."""
    own, state = parameters[f"{twin}_mixer_network"], moment.mixer_state
    total = deep(own, "module.state_value", state)[0]
    importance = importances(own, action, state)
    for agent, chosen in enumerate(action):
        values = agent_values(parameters, f"{twin}_critic_network", moment, agent)
        v = soft(values.tolist(), moment.mask[agent], alpha)
        gap = values[chosen].item() - v
        total = total + values[chosen] + (importance[agent] - 1) * gap
    return total


def importances(own: Parameters, action: list[int], state: Tensor) -> list[Tensor]:
    """``lambda_i``."""
    vectors = [float(a == b) for a in action for b in range(N_ACTIONS)]
    joint = torch.cat([state, torch.tensor(vectors, dtype=state.dtype)])
    key = dense(own, "module.importance.key.first", state)
    agents = dense(own, "module.importance.agent.first", state)
    actions = dense(own, "module.importance.action.first", joint)
    n_agents, found = len(action), []
    for i in range(n_agents):
        total = 0.0
        for h in range(HEADS):
            gates = [1 / (1 + (-x[h * n_agents + i]).exp()) for x in (agents, actions)]
            total = total + (key[h].abs() + 1e-10) * gates[0] * gates[1]
        found.append(total)
    return found


def fop_targets(
    loss: FopLoss,
    rows: list[list[Step]],
    nexts: list[list[int]],
    delayed: dict[str, Parameters],
    lmbda: float,
    share_of_uniform: float,
) -> list[float]:
    """``y`` of each step."""
    alpha = loss.alpha.item()
    steps = [step for row in rows for step in row]
    values, surprises = [], []
    for step, action in zip(steps, nexts, strict=True):
        both = [joint_value(delayed, k, step.then, action, alpha) for k in TWINS]
        values.append(min(value.item() for value in both))
        surprises.append(
            [
                policy(delayed, step.then, agent, share_of_uniform)[a].log().item()
                for agent, a in enumerate(action)
            ]
        )
    if loss.entropy_target == "soft":
        pairs = zip(values, surprises, strict=True)
        soft_bootstraps = [value - alpha * sum(own) for value, own in pairs]
        return targets(rows, soft_bootstraps, GAMMA, lmbda)
    pairs = zip(targets(rows, values, GAMMA, lmbda), surprises, strict=True)
    return [y - alpha * sum(own) / len(own) for y, own in pairs]
