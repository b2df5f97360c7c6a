"""The joint value of FOP.

Zhang et al., "FOP: Factorizing Optimal Joint Policy of Maximum-Entropy Multi-Agent
Reinforcement Learning", ICML 2021; layers as in liyheng/FOP,
``src/modules/mixers/fop.py``.

Shapes: ``*B`` any batch, n agents, A actions, S state size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchrl.modules import MLP

from remix_plugin.modules.importance import ActionImportance


def fop_joint_value(
    chosen_value: Tensor, soft: Tensor, importance: Tensor, state_value: Tensor
) -> Tensor:
    """``Q_jt = sum_i q_i(u_i) + V(s) + sum_i (lambda_i - 1) sg[q_i(u_i) - v_i]``.

    Its value is ``V_jt + sum_i lambda_i (q_i(u_i) - v_i)`` with
    ``V_jt = sum_i v_i + V(s)``. No gradient flows into ``v_i``.

    Args:
        chosen_value (Tensor): ``q_i(u_i)``, ``[*B, n, 1]``.
        soft (Tensor): ``v_i``, ``[*B, n, 1]``.
        importance (Tensor): ``lambda_i > 0``, ``[*B, n, 1]``.
        state_value (Tensor): ``V(s)``, ``[*B, 1]``.

    Returns:
        Tensor: ``[*B, 1]``.
    """
    advantage = (chosen_value - soft).detach()
    return (chosen_value + (importance - 1) * advantage).sum(-2) + state_value


class FopMixer(nn.Module):
    """Joint value of FOP, whose importance of advantages has one linear layer.

    ``V: S > embed_dim > ReLU > 1``; ``lambda`` as in
    :class:`~.importance.ActionImportance`. That the greedy actions of agents maximize
    the joint value (IGM) does not hold at a positive temperature: ``q_i - v_i`` is
    negative at the greedy action too, and ``lambda`` depends on the joint action.

    Keyword Args:
        state_dim (int): size of the state, S.
        n_agents (int): agents, n.
        n_actions (int): actions of each agent, A.
        n_heads (int): heads of the importance.
        embed_dim (int): hidden units of the state's value.
        device: where the parameters live.
    """

    def __init__(
        self,
        *,
        state_dim: int,
        n_agents: int,
        n_actions: int,
        n_heads: int,
        embed_dim: int,
        device: torch.device | str | int | None = None,
    ) -> None:
        super().__init__()
        self.importance = ActionImportance(
            state_dim=state_dim,
            n_agents=n_agents,
            n_actions=n_actions,
            n_heads=n_heads,
            importance_layers=1,
            device=device,
        )
        self.state_value = MLP(
            in_features=state_dim,
            out_features=1,
            num_cells=[embed_dim],
            activation_class=nn.ReLU,
            device=device,
        )

    def forward(
        self, chosen_value: Tensor, soft: Tensor, joint_action: Tensor, state: Tensor
    ) -> Tensor:
        """``Q_jt(s, u)``, ``[*B, 1]``.

        Args:
            chosen_value (Tensor): ``q_i(u_i)``, ``[*B, n, 1]``.
            soft (Tensor): ``v_i``, ``[*B, n, 1]``.
            joint_action (Tensor): one-hot actions ``u``, ``[*B, n, A]``, of any type.
            state (Tensor): ``[*B, S]``.
        """
        importance = self.importance(joint_action, state)
        value = self.state_value(state)
        return fop_joint_value(chosen_value, soft, importance, value)
