"""COMA's loss: a tiny one, and the same once more, slowly (``slow_reference``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from critic_networks import (
    CRITIC_INPUT,
    Values,
    counterfactual_input,
    counterfactual_size,
)
from loss_batches import GAMMA, HIDDEN, N_ACTIONS, agent_network, set_targets
from off_policy_reference import ACTOR, disorder, policy, spread
from on_policy_reference import LMBDA, Reference, collected_rows
from recurrent_networks import RecurrentValues
from slow_reference import (
    Moment,
    Step,
    agent_values,
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

from remix_plugin.objectives.coma import ComaLoss

CRITIC = "critic_network"
Keys = ComaLoss._AcceptedKeys


def make_critic(n_agents: int, recurrent: bool) -> Any:
    keys, size = Keys(), counterfactual_size(n_agents)
    if not recurrent:
        module = Values(size, N_ACTIONS)
        return TensorDictModule(module, [CRITIC_INPUT], [keys.action_value])
    return RecurrentValues(
        CRITIC_INPUT,
        keys.is_init,
        keys.action_value,
        n_agents=n_agents,
        sizes=(size, HIDDEN, N_ACTIONS),
    )


def make_coma(
    *,
    n_agents: int = 3,
    recurrent: bool = False,
    critic_memory: bool = False,
    lmbda: float | None = LMBDA,
    share_of_uniform: float = 0.0,
    **options: Any,
) -> ComaLoss:
    """A loss whose target critic differs from the online one."""
    torch.manual_seed(0)
    keys = Keys()
    loss = ComaLoss(
        agent_network(keys.logits, recurrent=recurrent, n_agents=n_agents),
        make_critic(n_agents, critic_memory),
        state_network=counterfactual_input(n_agents, keys.joint_action),
        epsilon=(lambda: share_of_uniform) if share_of_uniform else None,
        **{"sequential": recurrent, **options},
    )
    if lmbda is None:
        loss.make_value_estimator(ValueEstimators.TD0, gamma=GAMMA)
    else:
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA, lmbda=lmbda)
    set_targets(loss)
    return loss


def coma_reference(
    loss: ComaLoss, rows: TensorDictBase, lmbda: float | None, epsilon: float = 0.0
) -> Reference:
    """Losses of all steps of collected rows, whose targets it makes itself.

    Of what ``write_targets`` wrote it takes the actions that were drawn at ends.
    """
    online, target = parameters_of(loss, (ACTOR, CRITIC))
    collected = collected_rows(loss, rows)
    steps = [step for row in collected for step in row]
    agents = range(len(steps[0].action))
    following = next_actions(collected, rows)
    seen = [
        pair
        for row, actions in zip(collected, following, strict=True)
        for pair in critic_moments(row, actions)
    ]
    chosen = [action for actions in following for action in actions]
    returns = []
    for agent in agents:
        next_values = [
            agent_values(target, CRITIC, then, agent)[action[agent]].item()
            for (_, then), action in zip(seen, chosen, strict=True)
        ]
        returns.append(targets(collected, next_values, GAMMA, lmbda or 0.0))
    aims = [list(each) for each in zip(*returns, strict=True)]
    return losses(loss, online, steps, [now for now, _ in seen], aims, epsilon)


def losses(
    loss: ComaLoss,
    online: Any,
    steps: list[Step],
    seen: list[Moment],
    aims: list[list[float]],
    epsilon: float,
) -> Reference:
    actor, critic, entropies = [], [], []
    advantages: list[list[float]] = []
    chosen: list[float] = []
    for step, moment, aim in zip(steps, seen, aims, strict=True):
        agents = range(len(step.action))
        policies = [policy(online, step.now, a, epsilon) for a in agents]
        values = [agent_values(online, CRITIC, moment, a) for a in agents]
        taken = [values[a][step.action[a]] for a in agents]
        advantages.append(
            [
                taken[a].item() - sum(p * values[a][u] for u, p in own.items()).item()
                for a, own in enumerate(policies)
            ]
        )
        logs = [policies[a][step.action[a]].log() for a in agents]
        gain = sum(x * y for x, y in zip(advantages[-1], logs, strict=True))
        bonus = sum(-p * p.log() for own in policies for p in own.values())
        actor.append(-(gain + loss.entropy_coef * bonus) / len(agents))
        errors = [distance(taken[a] - aim[a], loss.loss_function) for a in agents]
        critic.append(sum(errors) / len(agents))
        entropies.append(disorder(policies))
        chosen.append(sum(value.item() for value in taken) / len(agents))
    center, deviation = spread(advantages, steps)
    terms = {"loss_actor": mean(actor, steps), "loss_critic": mean(critic, steps)}
    return Reference(
        {
            **{name: term.item() for name, term in terms.items()},
            "entropy": mean(entropies, steps),
            "chosen_value_mean": mean(chosen, steps),
            "target_value_mean": mean([sum(y) / len(y) for y in aims], steps),
            "advantage_mean": center,
            "advantage_std": deviation,
        },
        aims,
        {name: gradients_of(term, online) for name, term in terms.items()},
    )


def next_actions(
    collected: list[list[Step]], rows: TensorDictBase
) -> list[list[list[int]]]:
    """Joint actions after each step: taken if the episode goes on, else drawn."""
    drawn = rows["next", "agents", "joint_action"].tolist()
    return [
        [drawn[b][t] if s.ends else row[t + 1].action for t, s in enumerate(row)]
        for b, row in enumerate(collected)
    ]


def critic_moments(
    row: list[Step], following: list[list[int]]
) -> list[tuple[Moment, Moment]]:
    """What the critic sees at and after each step: inputs for observations."""
    history: list[Tensor] = []
    pairs = []
    for step, next_action in zip(row, following, strict=True):
        if len(step.now.history) == 1:
            history = []
        history = [*history, critic_inputs(step.now, step.action)]
        then = [*history, critic_inputs(step.then, next_action)]
        pairs.append(
            (replace(step.now, history=history), replace(step.then, history=then))
        )
    return pairs


def critic_inputs(moment: Moment, action: list[int]) -> Tensor:
    """``[s, o_i, onehot(i), onehot(u_-i)]``, own slot zero, of all agents."""
    agents = range(len(action))
    rows = []
    for agent in agents:
        index = [float(other == agent) for other in agents]
        slots = [
            float(other != agent and action[other] == u)
            for other in agents
            for u in range(N_ACTIONS)
        ]
        known = torch.tensor([*index, *slots], dtype=torch.float64)
        rows.append(torch.cat([moment.mixer_state, moment.observation[agent], known]))
    return torch.stack(rows)
