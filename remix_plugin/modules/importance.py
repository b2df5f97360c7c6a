"""How much the advantage of each agent counts, by what the team does.

Of QPLEX (arXiv 2008.01062) and FOP (Zhang et al., "FOP: Factorizing Optimal Joint
Policy of Maximum-Entropy Multi-Agent Reinforcement Learning", ICML 2021).

Shapes: ``*B`` any batch, n agents, A actions, S state size, H heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from remix_plugin.modules.heads import HeadMLP
from remix_plugin.validation import check_choice, check_number

# Keeps every weight above zero, as in the reference code of QPLEX.
SMALLEST_WEIGHT = 1e-10


class ActionImportance(nn.Module):
    """Positive weights of the state and the joint action, over H heads.

    ``lambda_i(s, u) = sum_h (|key_h(s)| + 1e-10) sigmoid(agent_{h,i}(s))
    sigmoid(action_{h,i}(s, u))`` with ``key_h: S -> 1``, ``agent_h: S -> n`` and
    ``action_h: S + n A -> n`` (wjh720/QPLEX, ``dmaq_si_weight.py``).

    Keyword Args:
        state_dim (int): size of the state, S.
        n_agents (int): agents, n.
        n_actions (int): actions of each agent, A.
        n_heads (int): heads, H.
        importance_layers (int): linear layers of the key, agent and action networks,
            1 to 3.
        hypernet_dim (int): units of every hidden layer.
        device: where the parameters live.

    Raises:
        TypeError: if a size is not an integer.
        ValueError: if a size is below 1, or ``importance_layers`` not 1, 2 or 3.
    """

    def __init__(
        self,
        *,
        state_dim: int,
        n_agents: int,
        n_actions: int,
        n_heads: int,
        importance_layers: int,
        hypernet_dim: int = 64,
        device: torch.device | str | int | None = None,
    ) -> None:
        super().__init__()
        check_number("n_heads", n_heads, low=1, integer=True)
        check_number("hypernet_dim", hypernet_dim, low=1, integer=True)
        check_choice("importance_layers", importance_layers, (1, 2, 3))

        def heads(in_features: int, out_features: int) -> HeadMLP:
            return HeadMLP(
                in_features=in_features,
                out_features=out_features,
                num_cells=[hypernet_dim] * (importance_layers - 1),
                n_heads=n_heads,
                device=device,
            )

        self.key = heads(state_dim, 1)
        self.agent = heads(state_dim, n_agents)
        self.action = heads(state_dim + n_agents * n_actions, n_agents)

    def forward(self, joint_action: Tensor, state: Tensor) -> Tensor:
        """``lambda_i > 0``, ``[*B, n, 1]``.

        Args:
            joint_action (Tensor): one-hot actions ``u``, ``[*B, n, A]``, of any type.
            state (Tensor): ``[*B, S]``.
        """
        joint = torch.cat([state, joint_action.flatten(-2).to(state.dtype)], dim=-1)
        key = self.key(state).abs() + SMALLEST_WEIGHT  # [*B, H, 1]
        agent = self.agent(state).sigmoid()  # [*B, H, n]
        action = self.action(joint).sigmoid()  # [*B, H, n]
        return (key * agent * action).sum(-2).unsqueeze(-1)
