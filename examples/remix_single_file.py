"""ReMIX in one file: from the paper's equations to the update, in plain PyTorch.

It plays the one-step game of the QTRAN paper, which a monotonic mixer trained like QMIX
gets wrong and ReMIX solves in seconds:

    python examples/remix_single_file.py

For reading beside the paper (arXiv 2302.05593), and for changing: everything that the
plugin needs to be general (recurrent agents, action masks, several groups, prioritized
replay, checkpoints) is left out. A test holds :func:`remix_loss` to the plugin's
``WeightedProjectionLoss``, and the options to ``algorithm/remix.yaml``.

Shapes: B transitions, n agents, A actions, F features of an observation, S of a state.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

PAYOFF = torch.tensor([[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]])
N_AGENTS, N_ACTIONS, N_FEATURES, N_STATE = 2, 3, 3, 1


@dataclass
class Options:
    """ReMIX's options, named and set as in ``algorithm/remix.yaml``, and training's."""

    mixing_embed_dim: int = 32
    unrestricted_embed_dim: int = 256
    unrestricted_coef: float = 1.0
    mean_multiple: float = 2.0
    w_min: float = 0.1
    w_max: float = 1.0
    exponent_clip: float = 5.0
    gradient_floor: float = 0.001
    recent_fraction: float = 0.25
    recent_size: int = 20_000
    # As experiment=matrix_game has them
    gamma: float = 0.99
    lr: float = 0.001
    clip_grad_val: float = 10.0
    polyak_tau: float = 0.005
    games_per_iteration: int = 64
    updates_per_iteration: int = 20
    batch_size: int = 64


@dataclass
class Batch:
    """Transitions."""

    observation: Tensor  # [B, n, F]
    state: Tensor  # [B, S]
    action: Tensor  # index [B, n]
    reward: Tensor  # [B, 1]
    next_observation: Tensor
    next_state: Tensor
    terminated: Tensor  # bool [B, 1]


class MonotonicMixer(nn.Module):
    """``Q_tot`` of the agents' utilities and the state, rising in each utility.

    QMIX's mixer (arXiv 1803.11485) with the deeper hypernetworks of Weighted QMIX's
    code: weights are absolute values of what hypernetworks make of the state.
    """

    def __init__(self, embed_dim: int, hypernet_dim: int = 64) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.hyper_w_1 = mlp(N_STATE, hypernet_dim, N_AGENTS * embed_dim)
        self.hyper_b_1 = nn.Linear(N_STATE, embed_dim)
        self.hyper_w_final = mlp(N_STATE, hypernet_dim, embed_dim)
        self.V = mlp(N_STATE, embed_dim, 1)

    def forward(self, utility: Tensor, state: Tensor) -> Tensor:
        """``[B, 1]`` of chosen utilities ``[B, n, 1]`` and states."""
        w_1 = self.hyper_w_1(state).abs().view(-1, N_AGENTS, self.embed_dim)
        b_1 = self.hyper_b_1(state).unsqueeze(-2)
        hidden = nn.functional.elu(utility.transpose(-1, -2) @ w_1 + b_1)
        w_final = self.hyper_w_final(state).abs().unsqueeze(-1)
        return (hidden @ w_final).squeeze(-1) + self.V(state)


class UnrestrictedMixer(nn.Module):
    """``Q_star``: any function of utilities and state, as in Weighted QMIX."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        hidden = [embed_dim] * 3
        self.joint_value = mlp(N_STATE + N_AGENTS, *hidden, 1)
        self.state_value = mlp(N_STATE, embed_dim, 1)

    def forward(self, utility: Tensor, state: Tensor) -> Tensor:
        """``[B, 1]`` of chosen utilities ``[B, n, 1]`` and states."""
        joint = torch.cat([state, utility.squeeze(-1)], dim=-1)
        return self.joint_value(joint) + self.state_value(state)


class Networks(nn.Module):
    """The monotonic value, which acts, and the unrestricted one, which it follows."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.utilities = mlp(N_FEATURES, 64, N_ACTIONS)
        self.mixer = MonotonicMixer(options.mixing_embed_dim)
        self.unrestricted_utilities = mlp(N_FEATURES, 64, N_ACTIONS)
        self.unrestricted_mixer = UnrestrictedMixer(options.unrestricted_embed_dim)

    def unrestricted_value(
        self, observation: Tensor, state: Tensor, action: Tensor
    ) -> Tensor:
        """``Q_star(s, u)``, ``[B, 1]``."""
        chosen = choose(self.unrestricted_utilities(observation), action)
        return self.unrestricted_mixer(chosen, state)


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def choose(utilities: Tensor, action: Tensor) -> Tensor:
    """Utilities ``[B, n, 1]`` of the actions ``[B, n]``."""
    return utilities.gather(-1, action.unsqueeze(-1))


def remix_loss(
    online: Networks, delayed: Networks, batch: Batch, options: Options
) -> dict[str, Tensor]:
    """The loss of a batch and its parts: joint values, target, weight, regressions."""
    # 1. Joint values of the actions taken. By Theorem 1 the weight needs dQ_tot / dq_a.
    utilities = online.utilities(batch.observation)
    chosen = choose(utilities, batch.action)
    value = online.mixer(chosen, batch.state)
    (gradient,) = torch.autograd.grad(value.sum(), chosen, retain_graph=True)
    unrestricted = online.unrestricted_value(
        batch.observation, batch.state, batch.action
    )

    # 2. One target for both: y = r + gamma Q_star'(s', u'), where u' is greedy by each
    # agent's own utilities, which by monotonicity is greedy for Q_tot.
    with torch.no_grad():
        best = online.utilities(batch.next_observation).argmax(-1)
        following = delayed.unrestricted_value(
            batch.next_observation, batch.next_state, best
        )
        target = batch.reward + options.gamma * following.where(~batch.terminated, 0.0)

        # 3. The weight of each transition in the projection.
        policy = utilities.softmax(-1).gather(-1, batch.action.unsqueeze(-1))
        weight = projection_weight(
            value, unrestricted, target, gradient, policy, options
        )

    # 4. Two regressions: the projection of y onto monotonic values, by weight, and the
    # unrestricted value's own. They share no parameter, so one optimizer serves both.
    projection = (weight * (value - target).square()).mean()
    central = (unrestricted - target).square().mean()
    return {
        "loss": projection + options.unrestricted_coef * central,
        "loss_projection": projection,
        "loss_unrestricted": central,
        "projection_weight": weight,
    }


def projection_weight(
    value: Tensor,
    unrestricted: Tensor,
    target: Tensor,
    gradient: Tensor,
    policy: Tensor,
    options: Options,
) -> Tensor:
    """Theorem 1's weights that minimize the regret, in ``[w_min, w_max]``, ``[B, 1]``.

    Three of the four factors; the fourth, the density of the current policy over that
    of the data, is in how batches are drawn, see :func:`sample`.

    Args:
        value: ``Q_tot`` ``[B, 1]``.
        unrestricted: ``Q_star`` ``[B, 1]``.
        target: ``y`` ``[B, 1]``.
        gradient: ``dQ_tot / dq_a`` ``[B, n, 1]``.
        policy: Boltzmann probability of the action that each agent took ``[B, n, 1]``.
        options: bounds and normalization.
    """
    value, unrestricted, target = value.double(), unrestricted.double(), target.double()
    # Underestimated by how much: overestimated transitions have no weight at all.
    bellman_error = (target - value).clamp_min(0.0)
    # exp(Q_star - Q_tot), bounded against overflow.
    gap = (unrestricted - value).clamp(-options.exponent_clip, options.exponent_clip)
    # sum_a (1 - pi_a) / (dQ_tot / dq_a) - 1; the gradient may vanish, and the sum may
    # be below 1.
    steepness = gradient.double().clamp_min(options.gradient_floor)
    bracket = (((1.0 - policy.double()) / steepness).sum(-2) - 1.0).clamp_min(0.0)
    raw = bellman_error * gap.exp() * bracket
    # normalization=clipped: outliers count up to a multiple of the positive mean, then
    # the least is w_min and the largest w_max.
    mean_positive = raw.sum() / (raw > 0).sum().clamp_min(1)
    cut = raw.clamp_max(options.mean_multiple * mean_positive)
    spread = cut.max() - cut.min()
    share = (cut - cut.min()) / spread if spread > 0 else torch.zeros_like(cut)
    return (options.w_min + (options.w_max - options.w_min) * share).float()


def sample(n_stored: int, options: Options) -> Tensor:
    """Indices of a batch: a share from the newest games, the rest from all."""
    n_recent = round(options.recent_fraction * options.batch_size)
    newest = min(n_stored, options.recent_size)
    recent = n_stored - 1 - torch.randint(newest, (n_recent,))
    return torch.cat(
        [recent, torch.randint(n_stored, (options.batch_size - n_recent,))]
    )


def play(action: Tensor) -> Batch:
    """One-step games ``[B]`` with joint actions ``[B, n]``."""
    size = len(action)
    constant, index = torch.ones(N_AGENTS, 1), torch.eye(N_AGENTS)
    observation = torch.cat([constant, index], dim=-1).expand(size, -1, -1)
    state = torch.ones(size, N_STATE)
    return Batch(
        observation=observation,
        state=state,
        action=action,
        reward=PAYOFF[action.unbind(-1)].unsqueeze(-1),
        next_observation=observation,
        next_state=state,
        terminated=torch.ones(size, 1, dtype=torch.bool),
    )


def train(n_games: int, options: Options) -> tuple[int, ...]:
    """Learn from random joint actions; the greedy one at the end."""
    online = Networks(options)
    delayed = copy.deepcopy(online).requires_grad_(False)
    optimizer = torch.optim.Adam(online.parameters(), lr=options.lr)
    actions = torch.empty(0, N_AGENTS, dtype=torch.long)
    for _ in range(n_games // options.games_per_iteration):
        new = torch.randint(N_ACTIONS, (options.games_per_iteration, N_AGENTS))
        actions = torch.cat([actions, new])
        for _ in range(options.updates_per_iteration):
            batch = play(actions[sample(len(actions), options)])
            optimizer.zero_grad()
            remix_loss(online, delayed, batch, options)["loss"].backward()
            nn.utils.clip_grad_norm_(online.parameters(), options.clip_grad_val)
            optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(
                    delayed.parameters(), online.parameters(), strict=True
                ):
                    slow.lerp_(fast, options.polyak_tau)
    observation = play(torch.zeros(1, N_AGENTS, dtype=torch.long)).observation
    return tuple(online.utilities(observation).argmax(-1)[0].tolist())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--games", type=int, default=6_400)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    joint_action = train(args.games, Options())
    print(f"greedy joint action {joint_action}, payoff {PAYOFF[joint_action]:g}")
