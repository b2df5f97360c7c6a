"""The linear mixer of DOP.

Wang et al., "DOP: Off-Policy Multi-Agent Decomposed Policy Gradients", arXiv
2007.12322; layers as in TonghanWang/DOP, ``src/modules/mixers/qmix.py``.

Shapes: ``*B`` any batch, n agents, S state size, E embedding size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchrl.modules import MLP

# Keeps the sum that weights are divided by above zero.
SMALLEST_SUM = 1e-10


def linear_mix(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``sum_i k_i q_i + b``, ``[*B, 1]``.

    Of ``E_pi[Q_i]`` it is ``E_pi[Q_tot]``, for policies that choose independently.

    Args:
        values (Tensor): ``q_i``, ``[*B, n, 1]``.
        weight (Tensor): ``k_i``, ``[*B, n, 1]``.
        bias (Tensor): ``b``, ``[*B, 1]``.
    """
    return (weight * values).sum(-2) + bias


class LinearMixer(nn.Module):
    """What each agent's value counts in the team's, and what the state adds.

    ``k = |W(s)| |w(s)|`` with ``W: S > n * E`` and ``w: S > E``, each one linear layer,
    so ``k_i >= 0``; ``b: S > E > ReLU > 1``.

    Keyword Args:
        state_dim (int): size of the state, S.
        n_agents (int): agents, n.
        embed_dim (int): embedding size, E.
        normalize (bool): whether the weights are divided by their sum, as in the code.
        use_bias (bool): whether the state adds ``b``, as in the paper; 0 otherwise.
        device: where the parameters live.
    """

    def __init__(
        self,
        *,
        state_dim: int,
        n_agents: int,
        embed_dim: int,
        normalize: bool,
        use_bias: bool,
        device: torch.device | str | int | None = None,
    ) -> None:
        super().__init__()
        self.n_agents = n_agents
        self.normalize = normalize
        self.hyper_w_1 = nn.Linear(state_dim, n_agents * embed_dim, device=device)
        self.hyper_w_final = nn.Linear(state_dim, embed_dim, device=device)
        self.bias = None
        if use_bias:
            self.bias = MLP(
                in_features=state_dim,
                out_features=1,
                num_cells=[embed_dim],
                activation_class=nn.ReLU,
                device=device,
            )

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """``k`` ``[*B, n, 1]`` and ``b`` ``[*B, 1]`` of a state ``[*B, S]``."""
        first = self.hyper_w_1(state).abs().unflatten(-1, (self.n_agents, -1))
        weight = first @ self.hyper_w_final(state).abs().unsqueeze(-1)
        if self.normalize:
            weight = weight / (weight.sum(-2, keepdim=True) + SMALLEST_SUM)
        bias = torch.zeros_like(state[..., :1])
        return weight, bias if self.bias is None else self.bias(state)
