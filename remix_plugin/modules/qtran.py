"""The joint and state values of QTRAN, and how far they are from its conditions.

Son et al., "QTRAN: Learning to Factorize with Transformation for Cooperative
Multi-Agent Reinforcement Learning", arXiv 1905.05408; layers as in the "small"
networks of hijkzzz/pymarl2, ``src/modules/mixers/qtran.py`` (its "big" ones, with one
more layer, are not implemented). This is QTRAN-base; QTRAN-alt is not implemented.

Shapes: ``*B`` any batch, n agents, A actions, S state size, F features of one agent,
E embedding size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchrl.modules import MLP


def qtran_residuals(
    sum_greedy: Tensor,
    joint_greedy: Tensor,
    sum_taken: Tensor,
    joint_taken: Tensor,
    state_value: Tensor,
) -> tuple[Tensor, Tensor]:
    """What the squared losses ``L_opt`` and ``L_nopt`` of QTRAN-base push to zero.

    With ``Q'(u) = sum_i q_i(u_i)`` and ``u_hat`` the agents' greedy actions, if
    ``Q'(u_hat) - Q_jt(u_hat) + V = 0`` and ``Q'(u) - Q_jt(u) + V >= 0`` for every
    ``u``, then ``u_hat`` maximizes ``Q_jt`` (theorem 1 of the paper). Nothing is
    detached here: the caller detaches the joint values, or they would collapse onto
    the sum.

    Args:
        sum_greedy (Tensor): ``Q'(u_hat)``, ``[*B, 1]``.
        joint_greedy (Tensor): ``Q_jt(u_hat)``, ``[*B, 1]``.
        sum_taken (Tensor): ``Q'(u)`` of the joint action taken, ``[*B, 1]``.
        joint_taken (Tensor): ``Q_jt(u)``, ``[*B, 1]``.
        state_value (Tensor): ``V``, ``[*B, 1]``.

    Returns:
        tuple of Tensor: ``Q'(u_hat) - Q_jt(u_hat) + V`` and
        ``min(0, Q'(u) - Q_jt(u) + V)``, each ``[*B, 1]``.
    """
    optimal = sum_greedy - joint_greedy + state_value
    not_optimal = (sum_taken - joint_taken + state_value).clamp(max=0)
    return optimal, not_optimal


class FeatureJointValue(nn.Module):
    """``Q_jt`` of the agents' features and actions, encoded and summed.

    ``e_i = encoder(concat(x_i, onehot(u_i)))`` with one encoder for all agents,
    ``F + A > F + A > ReLU > F + A`` (two linear layers), then
    ``concat(s, sum_i e_i) > E > ReLU > E > ReLU > 1``. The form "qtran_paper" of the
    code, where ``x_i`` is the agent's recurrent state. Which agent did what is lost in
    the sum unless features or state tell.

    Keyword Args:
        state_dim (int): size of the state, S.
        n_features (int): features of one agent, F.
        n_actions (int): actions of each agent, A.
        embed_dim (int): units of each hidden layer after the sum, E.
        device: where the parameters live.
    """

    def __init__(
        self,
        *,
        state_dim: int,
        n_features: int,
        n_actions: int,
        embed_dim: int = 64,
        device: torch.device | str | int | None = None,
    ) -> None:
        super().__init__()
        encoded = n_features + n_actions
        self.encoder = MLP(
            in_features=encoded,
            out_features=encoded,
            num_cells=[encoded],
            activation_class=nn.ReLU,
            device=device,
        )
        self.joint_value = _value_network(state_dim + encoded, embed_dim, device)

    def forward(self, joint_action: Tensor, features: Tensor, state: Tensor) -> Tensor:
        """``Q_jt(s, u)``.

        Args:
            joint_action (Tensor): one-hot actions ``[*B, n, A]``, of any type.
            features (Tensor): ``x_i``, ``[*B, n, F]``.
            state (Tensor): ``[*B, S]``.

        Returns:
            Tensor: ``[*B, 1]``.
        """
        encoded = self.encoder(features, joint_action.to(features.dtype)).sum(-2)
        return self.joint_value(state, encoded)


class JointActionValue(nn.Module):
    """``Q_jt`` of the state and all agents' actions: no features, no encoder.

    ``concat(s, onehot(u_1) .. onehot(u_n)) > E > ReLU > E > ReLU > 1``. The form
    "coma_critic" of the code.

    Keyword Args:
        state_dim (int): size of the state, S.
        n_agents (int): agents, n.
        n_actions (int): actions of each agent, A.
        embed_dim (int): units of each hidden layer, E.
        device: where the parameters live.
    """

    def __init__(
        self,
        *,
        state_dim: int,
        n_agents: int,
        n_actions: int,
        embed_dim: int = 64,
        device: torch.device | str | int | None = None,
    ) -> None:
        super().__init__()
        in_features = state_dim + n_agents * n_actions
        self.joint_value = _value_network(in_features, embed_dim, device)

    def forward(self, joint_action: Tensor, state: Tensor) -> Tensor:
        """``Q_jt(s, u)``.

        Args:
            joint_action (Tensor): one-hot actions ``[*B, n, A]``, of any type.
            state (Tensor): ``[*B, S]``.

        Returns:
            Tensor: ``[*B, 1]``.
        """
        return self.joint_value(state, joint_action.flatten(-2).to(state.dtype))


class StateValue(nn.Module):
    """``V_jt``, the gap between ``Q_jt`` and the sum of the agents' utilities.

    ``s > E > ReLU > E > ReLU > 1``.

    Keyword Args:
        state_dim (int): size of the state, S.
        embed_dim (int): units of each hidden layer, E.
        device: where the parameters live.
    """

    def __init__(
        self,
        *,
        state_dim: int,
        embed_dim: int = 64,
        device: torch.device | str | int | None = None,
    ) -> None:
        super().__init__()
        self.state_value = _value_network(state_dim, embed_dim, device)

    def forward(self, state: Tensor) -> Tensor:
        """``[*B, 1]`` of a state ``[*B, S]``."""
        return self.state_value(state)


def _value_network(
    in_features: int, embed_dim: int, device: torch.device | str | int | None
) -> MLP:
    """``in_features > E > ReLU > E > ReLU > 1``."""
    return MLP(
        in_features=in_features,
        out_features=1,
        num_cells=[embed_dim] * 2,
        activation_class=nn.ReLU,
        device=device,
    )
