"""What critics that agents share read, for each agent.

Shapes: ``*B`` any batch, n agents, A actions, S state size, F features of one agent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CriticInput(nn.Module):
    """The state, what an agent sees, and which one it is: ``[s, o_i, onehot(i)]``.

    Args:
        n_agents (int): agents, n.
        has_state (bool): whether the first input is the state ``[*B, S]``; all others
            are of each agent, ``[*B, n, F]``.
    """

    def __init__(self, n_agents: int, has_state: bool) -> None:
        super().__init__()
        self.n_agents = n_agents
        self.has_state = has_state

    def forward(self, *inputs: Tensor) -> Tensor:
        """``[*B, n, K]``, all inputs side by side with the agent's index."""
        parts = list(inputs)
        if self.has_state:
            state = parts[0].unsqueeze(-2)
            parts[0] = state.expand(*state.shape[:-2], self.n_agents, -1)
        first = parts[0]
        index = torch.eye(self.n_agents, dtype=first.dtype, device=first.device)
        return torch.cat([*parts, index.expand(*first.shape[:-1], -1)], dim=-1)


class OthersActions(nn.Module):
    """Actions of all agents but oneself: ``onehot(u_-i)``, one's own slot zero.

    Args:
        n_actions (int): actions of each agent, A.
    """

    def __init__(self, n_actions: int) -> None:
        super().__init__()
        self.n_actions = n_actions

    def forward(self, action: Tensor) -> Tensor:
        """``[*B, n, n * A]`` of indices ``[*B, n]``, in float."""
        joint = nn.functional.one_hot(action, self.n_actions).float()
        return joint_actions(torch.zeros_like(joint), joint)


def joint_actions(own: Tensor, others: Tensor) -> Tensor:
    """For each agent all actions, its own slot filled from one and others' of another.

    Args:
        own (Tensor): vectors ``[*B, n, A]``.
        others (Tensor): vectors ``[*B, n, A]``.

    Returns:
        Tensor: ``[*B, n, n * A]``.
    """
    n_agents = own.shape[-2]
    is_own = torch.eye(n_agents, dtype=torch.bool, device=own.device).unsqueeze(-1)
    joint = torch.where(is_own, own.unsqueeze(-2), others.unsqueeze(-3))
    return joint.flatten(-2)
