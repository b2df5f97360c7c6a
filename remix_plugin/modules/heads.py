"""Networks of several heads at once.

Shapes: ``*B`` any batch, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class HeadMLP(nn.Module):
    """Independent networks of several heads on one input, run as one.

    Every head is ``in > cells > ReLU > .. > out`` with parameters of its own, drawn as
    those of ``torch.nn.Linear``.

    Keyword Args:
        in_features (int): size of the input, the same for all heads.
        out_features (int): outputs of each head.
        num_cells (sequence of int): units of each hidden layer of one head.
        n_heads (int): heads, H.
        device: where the parameters live.
    """

    def __init__(
        self,
        *,
        in_features: int,
        out_features: int,
        num_cells: Sequence[int],
        n_heads: int,
        device: torch.device | str | int | None = None,
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        widths = [*num_cells, out_features]
        # All heads read the same input: their first layers are one wide layer.
        self.first = nn.Linear(in_features, n_heads * widths[0], device=device)
        self.others = nn.ModuleList(
            _HeadLinear(below, above, n_heads, device)
            for below, above in pairwise(widths)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """``[*B, H, out_features]`` of ``[*B, in_features]``."""
        outputs = self.first(inputs).unflatten(-1, (self.n_heads, -1))
        for layer in self.others:
            outputs = layer(outputs.relu())
        return outputs


class _HeadLinear(nn.Module):
    """One linear layer per head, from ``[*B, H, in]`` to ``[*B, H, out]``."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_heads: int,
        device: torch.device | str | int | None,
    ) -> None:
        super().__init__()
        weight = torch.empty(n_heads, out_features, in_features, device=device)
        bias = torch.empty(n_heads, out_features, device=device)
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(weight.uniform_(-bound, bound))
        self.bias = nn.Parameter(bias.uniform_(-bound, bound))

    def forward(self, inputs: Tensor) -> Tensor:
        """``[*B, H, out]`` of ``[*B, H, in]``."""
        return torch.einsum("...hi,hoi->...ho", inputs, self.weight) + self.bias
