"""Specs that the batched environments share."""

from __future__ import annotations

import torch
from torchrl.data import Binary, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase


def set_team_specs(
    env: EnvBase, n_agents: int, n_actions: int, *, truncates: bool = True
) -> None:
    """Set all specs of a team but that of what it observes.

    Discrete actions, ``("agents", "action")`` int64 ``[B, n]``; a reward ``[B, 1]``
    that agents share, and ends ``[B, 1]`` that they share too.

    Args:
        env (EnvBase): environment whose batch size is ``[B]``.
        n_agents (int): agents, n.
        n_actions (int): actions of each.

    Keyword Args:
        truncates (bool): whether episodes are also truncated.
    """
    batch, device = env.batch_size, env.device
    env.action_spec = Composite(
        agents=Composite(
            action=Categorical(
                n_actions, (*batch, n_agents), device, dtype=torch.int64
            ),
            shape=(*batch, n_agents),
            device=device,
        ),
        shape=batch,
        device=device,
    )
    env.reward_spec = Unbounded((*batch, 1), device)
    ends = ("done", "terminated", *(("truncated",) if truncates else ()))
    env.done_spec = Composite(
        {key: Binary(1, (*batch, 1), device, torch.bool) for key in ends},
        shape=batch,
        device=device,
    )
