"""DOP's loss: a tiny one, and the same once more, slowly (``slow_reference``)."""

from __future__ import annotations

from dataclasses import dataclass
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

from remix_plugin.modules.linear_mixer import LinearMixer
from remix_plugin.objectives.dop import DopLoss

CRITIC, MIXER = "critic_network", "mixer_network"
EMBED = 2
Keys = DopLoss._AcceptedKeys


def make_dop(
    *,
    n_agents: int = 3,
    recurrent: bool = False,
    lmbda: float | None = None,
    share_of_uniform: float = 0.0,
    normalize: bool = True,
    use_bias: bool = True,
    **options: Any,
) -> DopLoss:
    """A loss whose target networks differ from its online ones."""
    torch.manual_seed(0)
    keys = Keys()
    agents = {"recurrent": recurrent, "n_agents": n_agents}
    mixer = LinearMixer(
        state_dim=state_size(n_agents),
        n_agents=n_agents,
        embed_dim=EMBED,
        normalize=normalize,
        use_bias=use_bias,
    )
    sequential = recurrent or lmbda is not None
    options = {"sequential": sequential, **options}
    options = {"n_steps": 3 if options["sequential"] else 1, **options}
    loss = DopLoss(
        agent_network(keys.logits, **agents),
        agent_network(keys.dueling_value, n_values=1 + N_ACTIONS, **agents),
        TensorDictModule(mixer, ["mixer_state"], [keys.mixing_weight, "mixing_bias"]),
        state_network=state_network(),
        epsilon=(lambda: share_of_uniform) if share_of_uniform else None,
        **options,
    )
    if lmbda is None:
        loss.make_value_estimator(ValueEstimators.TD0, gamma=GAMMA)
    else:
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA, lmbda=lmbda)
    set_targets(loss)
    return loss


@dataclass
class DopReference:
    """All that is returned, the priorities, and the gradients of both losses."""

    scalars: dict[str, float]
    priorities: list[float]
    gradients: dict[str, dict[str, Tensor]]


@dataclass
class Team:
    """What one step says of all agents, with the online networks."""

    policies: list[dict[int, Tensor]]
    values: list[list[Tensor]]
    weights: list[Tensor]
    bias: Tensor | float

    @property
    def baselines(self) -> list[Tensor]:
        """``sum_a pi_i(a) Q_i(a)``, in which ``Q_i`` are plain numbers."""
        return [
            sum(p * q[a].item() for a, p in own.items())
            for own, q in zip(self.policies, self.values, strict=True)
        ]

    def total(self, action: list[int]) -> Tensor:
        return self.bias + sum(
            k * q[a] for k, q, a in zip(self.weights, self.values, action, strict=True)
        )

    def gain(self, action: list[int], gradient: str) -> Tensor:
        """What actors maximize, mean over agents."""
        gains = []
        for i, expected in enumerate(self.baselines):
            k = self.weights[i].item()
            if gradient == "sampled":
                advantage = self.values[i][action[i]].item() - expected.item()
                gains.append(advantage * k * self.policies[i][action[i]].log())
            else:
                gains.append(k * expected)
        return sum(gains) / len(gains)

    def advantages(self, action: list[int]) -> list[float]:
        return [
            (q[a] - expected).item()
            for q, a, expected in zip(self.values, action, self.baselines, strict=True)
        ]


class Networks:
    """Policies, values and weights at a moment, of given parameters."""

    def __init__(
        self,
        loss: DopLoss,
        actors: dict[str, Parameters],
        others: dict[str, Parameters],
        share_of_uniform: float,
    ) -> None:
        self.actors, self.others = actors, others
        self.normalize = loss.mixer_network.module.normalize
        self.share = share_of_uniform

    def team(self, moment: Moment) -> Team:
        agents = range(len(moment.mask))
        values = []
        for agent in agents:
            v, *more = agent_values(self.others, CRITIC, moment, agent)
            values.append([v + x for x in more])
        policies = [policy(self.actors, moment, a, self.share) for a in agents]
        return Team(policies, values, *self.mixing(moment))

    def mixing(self, moment: Moment) -> tuple[list[Tensor], Tensor | float]:
        own = self.others[MIXER]
        first = dense(own, "module.hyper_w_1", moment.mixer_state)
        last = dense(own, "module.hyper_w_final", moment.mixer_state)
        weights = []
        for agent in range(len(moment.mask)):
            terms = first[agent * EMBED : (agent + 1) * EMBED].abs() * last.abs()
            weights.append(sum(terms))
        if self.normalize:
            total = sum(weights) + 1e-10
            weights = [k / total for k in weights]
        if "module.bias.0.weight" not in own:
            return weights, 0.0
        return weights, deep(own, "module.bias", moment.mixer_state)[0]

    def expected(self, moment: Moment) -> float:
        """``Qexp``."""
        team = self.team(moment)
        terms = zip(team.weights, team.baselines, strict=True)
        return (team.bias + sum(k * e for k, e in terms)).item()


def dop_reference(
    loss: DopLoss,
    batch: TensorDictBase,
    lmbda: float = 0.0,
    share_of_uniform: float = 0.0,
) -> DopReference:
    """Losses of a batch with default keys, whatever its shape."""
    online, target = parameters_of(loss, (ACTOR, CRITIC, MIXER))
    now = Networks(loss, online, online, share_of_uniform)
    delayed = Networks(loss, online, target, share_of_uniform)
    rows = rows_with_memory(loss, batch)
    steps = [step for row in rows for step in row]
    flags = batch.get("recent", torch.zeros(batch.shape, dtype=torch.bool))
    recent = flags.flatten().tolist()
    aims = dop_targets(loss, rows, recent, delayed, lmbda)
    teams = [now.team(s.now) for s in steps]
    totals = [t.total(s.action) for t, s in zip(teams, steps, strict=True)]
    errors = [total - y for total, y in zip(totals, aims, strict=True)]
    pairs = list(zip(teams, steps, strict=True))
    gains = [team.gain(s.action, loss.actor_gradient) for team, s in pairs]
    distances = [distance(error, loss.loss_function) for error in errors]
    terms = {
        "loss_actor": -shared(gains, actor_shares(loss, steps, recent)),
        "loss_critic": shared(distances, critic_shares(loss, steps, recent)),
    }
    advantages = [team.advantages(s.action) for team, s in pairs]
    center, deviation = spread(advantages, steps)
    return DopReference(
        {
            **{name: term.item() for name, term in terms.items()},
            "entropy": mean([disorder(team.policies) for team in teams], steps),
            "chosen_value_mean": mean([total.item() for total in totals], steps),
            "target_value_mean": mean(aims, steps),
            "advantage_mean": center,
            "advantage_std": deviation,
        },
        [error.item() ** 2 for error in errors],
        {name: gradients_of(term, online) for name, term in terms.items()},
    )


def dop_targets(
    loss: DopLoss,
    rows: list[list[Step]],
    recent: list[bool],
    delayed: Networks,
    lmbda: float,
) -> list[float]:
    """Tree backups, and lambda-returns where data is recent."""
    bootstraps = [delayed.expected(s.then) for row in rows for s in row]
    returns = targets(rows, bootstraps, GAMMA, lmbda)
    found: list[float] = []
    for row in rows:
        following = bootstraps[len(found) : len(found) + len(row)]
        found += row_backups(loss, row, following, delayed)
    choices = zip(recent, returns, found, strict=True)
    return [of_return if is_recent else y for is_recent, of_return, y in choices]


def row_backups(
    loss: DopLoss, row: list[Step], following: list[float], delayed: Networks
) -> list[float]:
    """The tree backup of each step of a row."""
    values, probabilities, errors = [], [], []
    for step, value in zip(row, following, strict=True):
        team = delayed.team(step.now)
        values.append(team.total(step.action).item())
        probabilities.append(1.0)
        for own, a in zip(team.policies, step.action, strict=True):
            probabilities[-1] *= own[a].item()
        goal = step.reward + (0.0 if step.terminated else GAMMA * value)
        errors.append(goal - values[-1])
    ends = [step.ends for step in row]
    decay = GAMMA * loss.tree_lambda
    return [
        values[t] + backup(errors, probabilities, ends, t, loss.n_steps, decay)
        for t in range(len(row))
    ]


def backup(
    errors: list[float],
    probabilities: list[float],
    ends: list[bool],
    t: int,
    n_steps: int,
    decay: float,
) -> float:
    """The sum of the errors that are reached within so many steps."""
    if n_steps == 1 or ends[t] or t + 1 == len(errors):
        return errors[t]
    rest = backup(errors, probabilities, ends, t + 1, n_steps - 1, decay)
    return errors[t] + decay * probabilities[t + 1] * rest


def shared(values: list[Tensor], shares: list[float]) -> Tensor:
    """A mean in which each value has its share."""
    return sum(v * share for v, share in zip(values, shares, strict=True)) / sum(shares)


def actor_shares(loss: DopLoss, steps: list[Step], recent: list[bool]) -> list[float]:
    valid = [step.valid for step in steps]
    both = [v and r for v, r in zip(valid, recent, strict=True)]
    only_recent = loss.actor_data == "recent" and any(both)
    return [float(x) for x in (both if only_recent else valid)]


def critic_shares(loss: DopLoss, steps: list[Step], recent: list[bool]) -> list[float]:
    weights = [step.importance if step.valid else 0.0 for step in steps]
    pairs = list(zip(weights, recent, strict=True))
    newest = sum(w for w, is_recent in pairs if is_recent)
    others = sum(w for w, is_recent in pairs if not is_recent)
    if newest == 0 or others == 0:
        return weights
    share = loss.replay_share
    return [(1 - share) * w / newest if r else share * w / others for w, r in pairs]
