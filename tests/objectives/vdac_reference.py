"""VDAC's loss: a tiny one, and the same once more, slowly (``slow_reference``)."""

from __future__ import annotations

from typing import Any

import torch
from loss_batches import GAMMA, agent_network, state_network, state_size
from off_policy_reference import ACTOR, disorder, policy, spread
from on_policy_reference import LMBDA, Reference, collected_rows
from slow_reference import (
    Moment,
    Parameters,
    agent_values,
    distance,
    gradients_of,
    mean,
    monotonic,
    parameters_of,
    targets,
)
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.modules import QMixer, VDNMixer
from torchrl.objectives import ValueEstimators

from remix_plugin.modules.mixers import DeepQMixer
from remix_plugin.objectives.vdac import VdacLoss

LOCAL, MIXER = "local_value_network", "mixer_network"
MIXERS = ("sum", "mix", "deep-mix")
EMBED = 3
Keys = VdacLoss._AcceptedKeys


def make_mixer(name: str, n_agents: int) -> TensorDictModule:
    keys = Keys()
    if name == "sum":
        module = VDNMixer(n_agents=n_agents, device="cpu")
        return TensorDictModule(module, [keys.local_value], [keys.global_value])
    module = {"mix": QMixer, "deep-mix": DeepQMixer}[name](
        state_shape=(state_size(n_agents),),
        mixing_embed_dim=EMBED,
        n_agents=n_agents,
        device="cpu",
    )
    read = [keys.local_value, "mixer_state"]
    return TensorDictModule(module, read, [keys.global_value])


def make_vdac(
    mixer: str = "mix",
    *,
    n_agents: int = 3,
    recurrent: bool = False,
    critic_memory: bool = False,
    lmbda: float | None = LMBDA,
    share_of_uniform: float = 0.0,
    **options: Any,
) -> VdacLoss:
    torch.manual_seed(0)
    keys = Keys()
    loss = VdacLoss(
        agent_network(keys.logits, recurrent=recurrent, n_agents=n_agents),
        agent_network(
            keys.local_value, recurrent=critic_memory, n_agents=n_agents, n_values=1
        ),
        make_mixer(mixer, n_agents),
        state_network=state_network(),
        epsilon=(lambda: share_of_uniform) if share_of_uniform else None,
        **{"sequential": recurrent, **options},
    )
    if lmbda is None:
        loss.make_value_estimator(ValueEstimators.TD0, gamma=GAMMA)
    else:
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA, lmbda=lmbda)
    return loss


def vdac_reference(
    loss: VdacLoss, rows: TensorDictBase, lmbda: float | None, epsilon: float = 0.0
) -> Reference:
    """Loss of all steps of collected rows, whose targets it makes itself."""
    online = parameters_of(loss, (ACTOR, LOCAL, MIXER))[0]
    collected = collected_rows(loss, rows)
    steps = [step for row in collected for step in row]
    agents = range(len(steps[0].action))
    next_values = [team_value(online, s.then).item() for s in steps]
    aims = targets(collected, next_values, GAMMA, lmbda or 0.0)
    values = [team_value(online, s.now) for s in steps]
    policies = [[policy(online, s.now, a, epsilon) for a in agents] for s in steps]
    advantages = [y - v.item() for y, v in zip(aims, values, strict=True)]
    logs = [
        sum(own[a][s.action[a]].log() for a in agents) / len(agents)
        for own, s in zip(policies, steps, strict=True)
    ]
    actor = mean([-x * y for x, y in zip(advantages, logs, strict=True)], steps)
    errors = [v - y for v, y in zip(values, aims, strict=True)]
    critic = mean([distance(error, loss.loss_function) for error in errors], steps)
    entropies = [entropy_of(own) for own in policies]
    bonus = mean(entropies, steps)
    total = actor + loss.critic_coef * critic - loss.entropy_coef * bonus
    center, deviation = spread([[x] for x in advantages], steps)
    return Reference(
        {
            "loss": total.item(),
            "loss_actor": actor.item(),
            "loss_critic": critic.item(),
            "entropy": mean([disorder(own) for own in policies], steps),
            "chosen_value_mean": mean([v.item() for v in values], steps),
            "target_value_mean": mean(aims, steps),
            "advantage_mean": center,
            "advantage_std": deviation,
        },
        [[y] for y in aims],
        {"loss": gradients_of(total, online)},
    )


def team_value(parameters: dict[str, Parameters], moment: Moment) -> Tensor:
    """``V_tot``."""
    agents = range(len(moment.mask))
    local = [agent_values(parameters, LOCAL, moment, a)[0] for a in agents]
    if not parameters[MIXER]:
        return sum(local)
    return monotonic(parameters[MIXER], local, moment.mixer_state)[0]


def entropy_of(policies: list[dict[int, Tensor]]) -> Tensor:
    """Mean over agents, with a gradient."""
    return sum(-p * p.log() for own in policies for p in own.values()) / len(policies)
