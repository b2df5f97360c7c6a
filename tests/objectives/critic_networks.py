"""Tiny critics of all agents for the tests of COMA and MADDPG, and what they read."""

from __future__ import annotations

import torch
from loss_batches import (
    HIDDEN,
    N_ACTIONS,
    N_FEATURES,
    OBSERVATION,
    state_network,
    state_size,
)
from tensordict import NestedKey
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import Tensor, nn

from remix_plugin.modules.critic_inputs import CriticInput, OthersActions

CRITIC_INPUT, OTHERS = ("agents", "critic_input"), ("agents", "others_actions")


class Values(nn.Module):
    """Values ``[*B, n, K]`` of a network without memory that all agents share."""

    def __init__(self, n_inputs: int, n_values: int) -> None:
        super().__init__()
        self.below = nn.Linear(n_inputs, HIDDEN)
        self.above = nn.Linear(HIDDEN, n_values)

    def forward(self, *inputs: Tensor) -> Tensor:
        return 3.0 * self.above(self.below(torch.cat(inputs, dim=-1)).tanh())


def side_by_side(*inputs: Tensor) -> Tensor:
    return torch.cat(inputs, dim=-1)


def counterfactual_input(n_agents: int, joint_action: NestedKey) -> TensorDictModule:
    """Writes ``[s, o_i, onehot(i), onehot(u_-i)]`` for each agent."""
    return TensorDictSequential(
        state_network(),
        TensorDictModule(
            CriticInput(n_agents, has_state=True),
            ["mixer_state", OBSERVATION],
            ["observed"],
        ),
        TensorDictModule(OthersActions(N_ACTIONS), [joint_action], [OTHERS]),
        TensorDictModule(side_by_side, ["observed", OTHERS], [CRITIC_INPUT]),
    )


def counterfactual_size(n_agents: int) -> int:
    return state_size(n_agents) + N_FEATURES + n_agents + n_agents * N_ACTIONS


def indexed_state(n_agents: int) -> TensorDictModule:
    """Writes ``[s, onehot(i)]`` for each agent."""
    return TensorDictSequential(
        state_network(),
        TensorDictModule(
            CriticInput(n_agents, has_state=True), ["mixer_state"], [CRITIC_INPUT]
        ),
    )
