"""The attention mixer of Qatten.

Yang et al., "Qatten: A General Framework for Cooperative Multiagent Reinforcement
Learning", arXiv 2002.03939; layers and their biases as in hijkzzz/pymarl2,
``src/modules/mixers/qatten.py``. The "nonlinear" variant of wjh720/QPLEX, whose keys
read the utilities, is not implemented: the joint value would no longer be monotonic.

Shapes: ``*B`` any batch, n agents, S state size, F features of one agent, H heads,
E embedding size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torchrl.modules import MLP

from remix_plugin.modules.heads import HeadMLP
from remix_plugin.validation import check_number


def attention_mix(
    chosen_value: Tensor,
    attention: Tensor,
    head_weight: Tensor | None,
    constant: Tensor,
) -> Tensor:
    """``Q_tot = sum_h w_h sum_i lambda_{h,i} q_i(u_i) + c``.

    Args:
        chosen_value (Tensor): ``q_i(u_i)``, ``[*B, n, 1]``.
        attention (Tensor): ``lambda_{h,i} >= 0``, ``[*B, H, n]``.
        head_weight (Tensor, optional): ``w_h >= 0``, ``[*B, H]``; 1 if ``None``.
        constant (Tensor): ``c``, ``[*B, 1]``.

    Returns:
        Tensor: ``Q_tot``, ``[*B, 1]``.
    """
    heads = (attention @ chosen_value).squeeze(-1)  # [*B, H]
    if head_weight is not None:
        heads = head_weight * heads
    return heads.sum(-1, keepdim=True) + constant


def attention_penalty(logits: Tensor) -> Tensor:
    """``sum_h mean_i logits_{h,i}^2``, which keeps the logits small.

    As in wjh720/QPLEX, ``pymarl-master/src/modules/mixers/dmaq_qatten_weight.py``,
    before its coefficient and its mean over the batch. hijkzzz/pymarl2 has no penalty.

    Args:
        logits (Tensor): unscaled, ``[*B, H, n]``.

    Returns:
        Tensor: ``[*B, 1]``, at least 0.
    """
    return logits.square().mean(-1).sum(-1, keepdim=True)


def attention_entropy(attention: Tensor) -> Tensor:
    """Entropy of the attention over agents, mean of the heads.

    Args:
        attention (Tensor): probabilities ``[*B, H, n]``, summing to 1 over agents.

    Returns:
        Tensor: ``[*B, 1]`` in nats, from 0 to ``log n``.
    """
    return torch.special.entr(attention).sum(-1).mean(-1, keepdim=True)


class QattenMixer(nn.Module):
    """Joint value of Qatten: affine in the utilities, with non-negative weights.

    Query ``k_h(s)``: ``S > query_dim > ReLU > E``; key ``g_h(x_i)``: ``F > E``;
    attention ``lambda_{h,i} = softmax_i(k_h . g_h / sqrt(E))``; head weights
    ``w_h(s)``: ``|.|`` of ``S > head_dim > ReLU > H``; constant ``c(s)``:
    ``S > constant_dim > ReLU > 1``. Every layer has a bias, as in hijkzzz/pymarl2; in
    wjh720/QPLEX (``dmaq_qatten_weight.py``) keys and the last layer of queries have
    none. Both codes take an agent's features from its slice of the state; here they
    are an input of their own.

    Keyword Args:
        state_dim (int): size of the state, S.
        n_features (int): features of one agent, F.
        n_heads (int): heads of the attention, H.
        embed_dim (int): size of queries and keys, E.
        query_dim (int): hidden units of the query.
        head_dim (int): hidden units of the head weights.
        constant_dim (int): hidden units of the constant.
        weighted_heads (bool): whether heads are weighted by the state, or all by 1.
        device: where the parameters live.

    Raises:
        TypeError: if a size is not an integer.
        ValueError: if a size is below 1.
    """

    def __init__(
        self,
        *,
        state_dim: int,
        n_features: int,
        n_heads: int = 4,
        embed_dim: int = 32,
        query_dim: int = 64,
        head_dim: int = 64,
        constant_dim: int = 32,
        weighted_heads: bool = True,
        device: torch.device | str | int | None = None,
    ) -> None:
        super().__init__()
        check_number("n_heads", n_heads, low=1, integer=True)
        check_number("embed_dim", embed_dim, low=1, integer=True)
        self.n_heads = n_heads
        self.embed_dim = embed_dim

        def hypernet(hidden: int, out: int) -> MLP:
            return MLP(
                in_features=state_dim,
                out_features=out,
                num_cells=[hidden],
                activation_class=nn.ReLU,
                device=device,
            )

        self.query = HeadMLP(
            in_features=state_dim,
            out_features=embed_dim,
            num_cells=[query_dim],
            n_heads=n_heads,
            device=device,
        )
        # The keys of all heads are one linear layer.
        self.key = nn.Linear(n_features, n_heads * embed_dim, device=device)
        self.head_weight = hypernet(head_dim, n_heads) if weighted_heads else None
        self.constant = hypernet(constant_dim, 1)

    def forward(
        self, chosen_value: Tensor, features: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The joint value, and the attention that made it.

        Args:
            chosen_value (Tensor): ``q_i(u_i)``, ``[*B, n, 1]``.
            features (Tensor): what each agent sees, ``[*B, n, F]``.
            state (Tensor): ``[*B, S]``.

        Returns:
            tuple of Tensor: ``Q_tot`` ``[*B, 1]``, attention ``[*B, H, n]`` and its
            logits ``k_h . g_h`` before scaling ``[*B, H, n]``.
        """
        query = self.query(state)  # [*B, H, E]
        key = self.key(features).unflatten(-1, (self.n_heads, self.embed_dim))
        logits = torch.einsum("...he,...nhe->...hn", query, key)
        attention = (logits / math.sqrt(self.embed_dim)).softmax(-1)
        weight = None if self.head_weight is None else self.head_weight(state).abs()
        value = attention_mix(chosen_value, attention, weight, self.constant(state))
        return value, attention, logits
