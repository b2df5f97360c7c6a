"""The duplex dueling mixer of QPLEX.

Wang et al., "QPLEX: Duplex Dueling Multi-Agent Q-Learning", arXiv 2008.01062; where the
text leaves a choice, the code is followed: wjh720/QPLEX,
``pymarl-master/src/modules/mixers/dmaq_general.py`` and ``dmaq_si_weight.py``.

Shapes: ``*B`` any batch, n agents, A actions, S state size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchrl.modules import MLP

from remix_plugin.modules.importance import SMALLEST_WEIGHT, ActionImportance
from remix_plugin.validation import check_number


def duplex_dueling(
    chosen_value: Tensor,
    max_value: Tensor,
    weight: Tensor,
    bias: Tensor,
    importance: Tensor,
) -> Tensor:
    """``Q_tot = sum_i Q_i + sum_i (lambda_i - 1) sg[A_i]``.

    With ``Q_i = w_i q_i(u_i) + b_i``, ``V_i = w_i max q_i + b_i`` and
    ``A_i = Q_i - V_i``, the value is ``sum_i V_i + sum_i lambda_i A_i``. The advantages
    ``A_i`` are detached in the second term, so utilities, ``w`` and ``b`` learn from
    ``sum_i Q_i`` alone, ``lambda`` from the advantages, and the maximum from nothing.

    Args:
        chosen_value (Tensor): ``q_i(u_i)``, ``[*B, n, 1]``, not masked.
        max_value (Tensor): ``max q_i`` over the allowed actions, ``[*B, n, 1]``.
        weight (Tensor): ``w_i > 0``, ``[*B, n, 1]``.
        bias (Tensor): ``b_i``, ``[*B, n, 1]``.
        importance (Tensor): ``lambda_i > 0``, ``[*B, n, 1]``.

    Returns:
        Tensor: ``Q_tot``, ``[*B, 1]``.
    """
    # The bias cancels in Q_i - V_i.
    advantage = (weight * (chosen_value - max_value)).detach()
    transformed = weight * chosen_value + bias
    return (transformed + (importance - 1) * advantage).sum(-2)


class DuplexDuelingMixer(nn.Module):
    """Joint value of QPLEX: greedy as the agents are, otherwise unrestricted.

    Transformation of the utilities (``weighted_head`` in the code):
    ``w_i(s) = |W(s)|_i + 1e-10`` with ``W: S > hypernet_dim > ReLU > n``, and
    ``b_i(s)`` of the same layers. The importance ``lambda_i(s, u)`` of the advantages
    is that of :class:`~.importance.ActionImportance`.

    Keyword Args:
        state_dim (int): size of the state, S.
        n_agents (int): agents, n.
        n_actions (int): actions of each agent, A.
        n_heads (int): heads of the importance (``num_kernel`` in the code).
        importance_layers (int): linear layers of its networks, 1 to 3.
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
        check_number("hypernet_dim", hypernet_dim, low=1, integer=True)

        def hypernet() -> MLP:
            return MLP(
                in_features=state_dim,
                out_features=n_agents,
                num_cells=[hypernet_dim],
                activation_class=nn.ReLU,
                device=device,
            )

        self.hyper_weight = hypernet()
        self.hyper_bias = hypernet()
        self.importance = ActionImportance(
            state_dim=state_dim,
            n_agents=n_agents,
            n_actions=n_actions,
            n_heads=n_heads,
            importance_layers=importance_layers,
            hypernet_dim=hypernet_dim,
            device=device,
        )

    def forward(
        self,
        chosen_value: Tensor,
        max_value: Tensor,
        joint_action: Tensor,
        state: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The joint value and the importance of each agent's advantage.

        Args:
            chosen_value (Tensor): ``q_i(u_i)``, ``[*B, n, 1]``, not masked: a filled
                value of a forbidden action would enter the advantage.
            max_value (Tensor): ``max q_i`` over the allowed actions, ``[*B, n, 1]``;
                gets no gradient.
            joint_action (Tensor): one-hot actions ``u``, ``[*B, n, A]``, of any type.
            state (Tensor): ``[*B, S]``.

        Returns:
            tuple of Tensor: ``Q_tot`` ``[*B, 1]`` and ``lambda`` ``[*B, n, 1]``.
        """
        weight = (self.hyper_weight(state).abs() + SMALLEST_WEIGHT).unsqueeze(-1)
        bias = self.hyper_bias(state).unsqueeze(-1)
        importance = self.importance(joint_action, state)
        value = duplex_dueling(chosen_value, max_value, weight, bias, importance)
        return value, importance
