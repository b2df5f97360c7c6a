"""Discrete MADDPG's loss: a tiny one, and the same once more, slowly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from critic_networks import CRITIC_INPUT, Values, indexed_state
from loss_batches import GAMMA, N_ACTIONS, agent_network, set_targets, state_size
from off_policy_reference import (
    ACTOR,
    disorder,
    policy,
    policy_batch,
    rows_with_memory,
    spread,
)
from on_policy_reference import Reference
from slow_reference import (
    Moment,
    Parameters,
    Step,
    agent_values,
    best,
    dense,
    distance,
    gradients_of,
    mean,
    parameters_of,
    targets,
)
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.objectives import ValueEstimators

from remix_plugin.objectives.discrete_maddpg import DiscreteMaddpgLoss

CRITIC = "critic_network"
SEED = 7
AGENT_REWARD = ("next", "agents", "reward")
Keys = DiscreteMaddpgLoss._AcceptedKeys


def make_maddpg(
    *,
    n_agents: int = 3,
    recurrent: bool = False,
    lmbda: float | None = None,
    share_of_uniform: float = 0.0,
    **options: Any,
) -> DiscreteMaddpgLoss:
    """A loss whose target networks differ from its online ones."""
    torch.manual_seed(0)
    keys = Keys()
    size = state_size(n_agents) + n_agents + n_agents * N_ACTIONS
    loss = DiscreteMaddpgLoss(
        agent_network(keys.logits, recurrent=recurrent, n_agents=n_agents),
        TensorDictModule(
            Values(size, 1), [CRITIC_INPUT, keys.joint_action], [keys.action_value]
        ),
        state_network=indexed_state(n_agents),
        epsilon=(lambda: share_of_uniform) if share_of_uniform else None,
        **{"sequential": recurrent or lmbda is not None, **options},
    )
    if lmbda is None:
        loss.make_value_estimator(ValueEstimators.TD0, gamma=GAMMA)
    else:
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA, lmbda=lmbda)
    set_targets(loss)
    return loss


def with_rewards(td: TensorDict) -> TensorDict:
    """The batch with a reward for each agent, which the team's has no part in."""
    generator = torch.Generator().manual_seed(13)
    shape = (*td["agents"].batch_size, 1)
    td[AGENT_REWARD] = torch.randn(shape, generator=generator)
    return td


def rewarded_batch(options: dict[str, Any], **more: Any) -> TensorDict:
    """A batch for a loss that was made with these options."""
    return with_rewards(policy_batch(options, **more)).exclude("critic_initial_state")


def drawn_noise(td: TensorDictBase) -> Tensor:
    """The Gumbel noise ``[*B, n, A]`` that the loss draws after ``SEED``."""
    torch.manual_seed(SEED)
    shape = td["agents", "action_mask"].shape
    return -torch.empty(shape, dtype=torch.float64).exponential_().log()


def maddpg_reference(
    loss: DiscreteMaddpgLoss,
    batch: TensorDictBase,
    lmbda: float = 0.0,
    epsilon: float = 0.0,
) -> tuple[Reference, list[float]]:
    """Losses of a batch with default keys, and its priorities."""
    online, target = parameters_of(loss, (ACTOR, CRITIC))
    rows = rows_with_memory(loss, batch)
    steps = [step for row in rows for step in row]
    aims = targets_of(rows, target, batch, lmbda)
    agents = range(len(steps[0].action))
    noise = drawn_noise(batch).reshape(len(steps), len(agents), N_ACTIONS)
    taken = [[critic(online, s.now, a, slots(s.action)) for a in agents] for s in steps]
    errors = [
        [v - y for v, y in zip(own, aim, strict=True)]
        for own, aim in zip(taken, aims, strict=True)
    ]
    each = [sum(distance(e, loss.loss_function) for e in own) for own in errors]
    drawn = [
        drawn_values(loss, online, s, g) for s, g in zip(steps, noise, strict=True)
    ]
    size = squared_logits(online, steps)
    actor = loss.logit_coef * size - mean(
        [sum(own) / len(agents) for own in drawn], steps
    )
    terms = {
        "loss_actor": actor,
        "loss_critic": mean([x / len(agents) for x in each], steps, weighted=True),
    }
    gains = [
        [(d - v).item() for d, v in zip(new, old, strict=True)]
        for new, old in zip(drawn, taken, strict=True)
    ]
    center, deviation = spread(gains, steps)
    policies = [[policy(online, s.now, a, epsilon) for a in agents] for s in steps]
    reference = Reference(
        {
            **{name: term.item() for name, term in terms.items()},
            "entropy": mean([disorder(own) for own in policies], steps),
            "chosen_value_mean": mean([average(own) for own in taken], steps),
            "target_value_mean": mean([sum(y) / len(y) for y in aims], steps),
            "advantage_mean": center,
            "advantage_std": deviation,
        },
        aims,
        {name: gradients_of(term, online) for name, term in terms.items()},
    )
    return reference, [average([e * e for e in own]) for own in errors]


def average(values: list[Tensor]) -> float:
    return sum(value.item() for value in values) / len(values)


def targets_of(
    rows: list[list[Step]],
    target: dict[str, Parameters],
    batch: TensorDictBase,
    lmbda: float,
) -> list[list[float]]:
    """For each step those of all agents, of rewards of their own."""
    steps = [step for row in rows for step in row]
    agents = range(len(steps[0].action))
    rewards = batch[AGENT_REWARD].double().reshape(len(steps), len(agents)).tolist()
    greedy = [
        slots(
            [
                best(agent_values(target, ACTOR, s.then, a), s.then.mask[a])
                for a in agents
            ]
        )
        for s in steps
    ]
    found = []
    for agent in agents:
        values = [
            critic(target, s.then, agent, u).item()
            for s, u in zip(steps, greedy, strict=True)
        ]
        own = iter(row[agent] for row in rewards)
        rewarded = [[replace(s, reward=next(own)) for s in row] for row in rows]
        found.append(targets(rewarded, values, GAMMA, lmbda))
    return [list(each) for each in zip(*found, strict=True)]


def slots(action: list[int]) -> list[Tensor]:
    """One-hot vectors of all agents."""
    return list(torch.eye(N_ACTIONS, dtype=torch.float64)[action])


def critic(
    parameters: dict[str, Parameters], moment: Moment, agent: int, action: list[Tensor]
) -> Tensor:
    """``Q_i`` of all agents' actions, as vectors."""
    own = parameters[CRITIC]
    index = [float(other == agent) for other in range(len(action))]
    known = torch.tensor(index, dtype=torch.float64)
    inputs = torch.cat([moment.mixer_state, known, *action])
    hidden = dense(own, "module.below", inputs).tanh()
    return 3.0 * dense(own, "module.above", hidden)[0]


def drawn_values(
    loss: DiscreteMaddpgLoss,
    online: dict[str, Parameters],
    step: Step,
    noise: Tensor,
) -> list[Tensor]:
    """``Q_i`` of the actions drawn, which learn from relaxed ones."""
    frozen = {CRITIC: {k: p.detach() for k, p in online[CRITIC].items()}}
    hard, relaxed = [], []
    for agent, available in enumerate(step.now.mask):
        moved = agent_values(online, ACTOR, step.now, agent) + noise[agent]
        hard.append(slots([best(moved, available)])[0])
        relaxed.append(soft(moved / loss.temperature, available))
    values = []
    for agent in range(len(hard)):
        action = list(hard) if loss.others == "policy" else slots(step.action)
        own = hard[agent].clone().requires_grad_()
        action[agent] = own
        value = critic(frozen, step.now, agent, action)
        (slope,) = torch.autograd.grad(value, own)
        linear = (slope * relaxed[agent]).sum()
        values.append(value.detach() + linear - linear.detach())
    return values


def soft(values: Tensor, available: list[bool]) -> Tensor:
    """A softmax over available actions."""
    top = max(x.item() for x, ok in zip(values, available, strict=True) if ok)
    weights = [
        (x - top).exp() if ok else 0.0 * x
        for x, ok in zip(values, available, strict=True)
    ]
    return torch.stack(weights) / sum(weights)


def squared_logits(online: dict[str, Parameters], steps: list[Step]) -> Tensor:
    """Mean over the available actions of all agents at all steps that count."""
    found: list[Any] = []
    for step in steps:
        for agent, available in enumerate(step.now.mask):
            logits = agent_values(online, ACTOR, step.now, agent)
            squares = [x * x for x, ok in zip(logits, available, strict=True) if ok]
            found += squares if step.valid else []
    return sum(found) / len(found)
