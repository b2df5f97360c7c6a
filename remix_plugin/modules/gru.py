"""Gated recurrent units on PyTorch's fused kernel, with resets inside a sequence.

Shapes: B rows, T steps, ``*N`` any dimensions between (none, or n agents), F features,
L layers, H hidden units, S steps with those put in between.

``torch.gru`` unrolls a whole sequence in one call (a loop in C++ on a CPU, a few cuDNN
kernels on a GPU) but knows no resets: episodes that end inside a row need their memory
zeroed there. Cutting rows at those ends would leave pieces to pad. Instead a *control
step* is put before each step that begins an episode, and two more input channels tell
it from the others::

    channel   control step   other steps   weights (r, z, n)
    control   1              0             (-1e4, -1e4, 0)
    real      0              1             (0, 0, b_in)

with ``b_in``, the new gate's input bias, moved from the bias to its channel. In a
control step features are 0, both gates ``sigmoid(-1e4 + ...) = 0`` and the new gate
``tanh(0 + 0 * ...) = 0``, hence the memory ``(1 - z) * n + z * h = 0``: exactly, with
derivative exactly 0 to what came before, and with no share in any parameter's gradient.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.types import Device

# Sigmoid of it is 0 in every floating type, and half precision can hold it.
CLOSED = -1e4


class Timeline(NamedTuple):
    """Where a row's steps lie once a control step is put before every reset.

    Attributes:
        first: whether a row's first step begins an episode, bool ``[B]``; it needs no
            control step, as the initial memory can be zeroed.
        positions: index of each step among the S, int64 ``[B, T]``; what is left is
            control steps, at the end of a row too, if others have more.
        length: S, which is T where no row has a reset after its first step.
    """

    first: Tensor
    positions: Tensor
    length: int

    @classmethod
    def from_resets(cls, is_init: Tensor) -> Timeline:
        """Timeline of rows; waits for the device once, unless there is one step.

        Args:
            is_init (Tensor): whether a step begins an episode, bool ``[B, T, 1]``.
        """
        resets = is_init.squeeze(-1)
        steps = resets.shape[1]
        before = resets[:, 1:].cumsum(1)
        positions = torch.arange(steps, device=resets.device)
        positions = positions + nn.functional.pad(before, (1, 0))
        # The number of steps of a kernel has to be known to the host.
        extra = int(before[:, -1].max()) if steps > 1 else 0
        return cls(resets[:, 0], positions, steps + extra)


class ResettableGRU(nn.Module):
    """A multi-layer GRU whose memory is zeroed where an episode begins.

    Parameters have the names, shapes and initial distribution of ``torch.nn.GRU``'s.
    They are read at each call, so they may be swapped (``TensorDict.to_module``). On a
    GPU the kernel is cuDNN's, which has no second derivatives. Memory before a reset
    inside a row must be finite, and so small that no gate's argument reaches 9,000.

    Args:
        input_size (int): features, F.
        hidden_size (int): units of each layer, H.
        n_layers (int): layers, each reading the output of the one below, L.
        bias (bool): whether gates have biases.
        device: where the parameters live.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        n_layers: int = 1,
        bias: bool = True,
        device: Device = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.bias = bias
        gates = 3 * hidden_size
        for layer in range(n_layers):
            size = hidden_size if layer else input_size
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (gates, size),
                "weight_hh": (gates, hidden_size),
            }
            if bias:
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            for name, shape in shapes.items():
                parameter = nn.Parameter(torch.empty(shape, device=device))
                self.register_parameter(f"{name}_l{layer}", parameter)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters uniformly within ``1 / sqrt(H)`` of 0."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor, is_init: Tensor, h_0: Tensor) -> Tensor:
        """Memory after each step.

        Args:
            input (Tensor): features ``[B, T, *N, F]``.
            is_init (Tensor): whether a step begins an episode, bool ``[B, T, 1]``; its
                memory is zeroed before it.
            h_0 (Tensor): memory before the first step ``[B, *N, L, H]``.

        Returns:
            Tensor: ``[B, T, *N, L, H]``; the output is that of the last layer. Steps
            come first in memory, as the kernel has them; an input laid out in the same
            way (a transposed ``[T, B, *N, F]``) is not copied.
        """
        return self.unroll(input, Timeline.from_resets(is_init), h_0)

    def unroll(self, input: Tensor, timeline: Timeline, h_0: Tensor) -> Tensor:
        """``forward`` with the resets worked out, for several networks to share."""
        between = input.shape[2:-1]
        first = timeline.first.view(-1, *[1] * (h_0.ndim - 1))
        h_0 = torch.where(first, 0, h_0).flatten(0, -3)
        # Steps first, as the kernels have it: each step then reads one block.
        channels = None
        if timeline.length == input.shape[1]:
            rows = input.transpose(0, 1)
        else:
            rows, channels = _with_control_steps(input, timeline)
        rows = rows.flatten(1, -2)
        memory = []
        for layer in range(self.n_layers):
            start = h_0[:, layer].unsqueeze(0).contiguous()
            rows = self._layer(layer, rows, channels, start)
            memory.append(rows)
        # [S, B * N, L, H]
        states = memory[0].unsqueeze(2) if len(memory) == 1 else torch.stack(memory, 2)
        states = states.unflatten(1, (-1, *between))
        if channels is not None:
            states = states[timeline.positions.T, _row_indices(timeline).T]
        return states.transpose(0, 1)

    def _layer(
        self, layer: int, rows: Tensor, channels: Tensor | None, start: Tensor
    ) -> Tensor:
        """Output of one layer ``[S, B * N, H]`` to rows ``[S, B * N, F]``."""
        names = ("weight_ih", "weight_hh") + ("bias_ih", "bias_hh") * self.bias
        weights = [getattr(self, f"{name}_l{layer}") for name in names]
        if channels is not None:
            rows = torch.cat([rows, channels], dim=-1)
            weights = self._with_channels(*weights)
        output, _ = torch.gru(
            rows,
            start,
            weights,
            has_biases=self.bias,
            num_layers=1,
            dropout=0.0,
            # Without dropout all it does is to keep what cuDNN's backward needs.
            train=torch.is_grad_enabled(),
            bidirectional=False,
            batch_first=False,
        )
        return output

    def _with_channels(
        self, weight_ih: Tensor, weight_hh: Tensor, *biases: Tensor
    ) -> list[Tensor]:
        """Weights that read the channels ``control`` and ``real`` after the features.

        ``b_in`` is moved rather than canceled by a weight of ``-b_in``: that would be
        inexact where a GPU multiplies in TF32, and so would its gradient be anywhere.
        """
        gates, new = 2 * self.hidden_size, weight_ih.new_zeros(self.hidden_size)
        closed = weight_ih.new_full((gates,), CLOSED)
        control = torch.cat([closed, new])
        if not biases:
            columns = torch.stack([control, torch.zeros_like(control)], dim=1)
            return [torch.cat([weight_ih, columns], dim=1), weight_hh]
        bias_ih, bias_hh = biases
        real = torch.cat([torch.zeros_like(closed), bias_ih[gates:]])
        columns = torch.stack([control, real], dim=1)
        bias_ih = torch.cat([bias_ih[:gates], new])
        return [torch.cat([weight_ih, columns], dim=1), weight_hh, bias_ih, bias_hh]


def _with_control_steps(input: Tensor, timeline: Timeline) -> tuple[Tensor, Tensor]:
    """Steps with control steps between: ``[S, B, *N, F]`` and ``[S, B * N, 2]``."""
    batch, _, *between, features = input.shape
    where = timeline.positions, _row_indices(timeline)
    rows = input.new_zeros(timeline.length, batch, *between, features)
    rows[where] = input
    real = input.new_zeros(timeline.length, batch)
    real[where] = 1.0
    channels = torch.stack([1 - real, real], dim=-1)
    channels = channels.repeat_interleave(math.prod(between), dim=1)
    return rows, channels


def _row_indices(timeline: Timeline) -> Tensor:
    """Index of each row, to go with its positions: ``[B, 1]``."""
    positions = timeline.positions
    return torch.arange(len(positions), device=positions.device).unsqueeze(1)


class MultiAgentGRU(nn.Module):
    """A resettable GRU for each agent of a team, or one for all.

    With shared parameters all agents' rows go through the kernel together. Without,
    agents take turns, since a fused kernel takes one set of weights.

    Args:
        input_size (int): features of an agent, F.
        hidden_size (int): units of each layer, H.
        n_agents (int): agents, n.
        share_params (bool): whether agents share one set of parameters.
        n_layers (int): layers, L.
        bias (bool): whether gates have biases.
        device: where the parameters live.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        n_agents: int,
        share_params: bool,
        n_layers: int = 1,
        bias: bool = True,
        device: Device = None,
    ) -> None:
        super().__init__()
        self.n_agents = n_agents
        self.share_params = share_params
        self.nets = nn.ModuleList(
            ResettableGRU(
                input_size, hidden_size, n_layers=n_layers, bias=bias, device=device
            )
            for _ in range(1 if share_params else n_agents)
        )

    def forward(self, input: Tensor, is_init: Tensor, h_0: Tensor) -> Tensor:
        """Every agent's memory after each step.

        Args:
            input (Tensor): features ``[B, T, n, F]``.
            is_init (Tensor): whether a step begins an episode, bool ``[B, T, 1]``.
            h_0 (Tensor): memory before the first step ``[B, n, L, H]``.

        Returns:
            Tensor: ``[B, T, n, L, H]``.
        """
        timeline = Timeline.from_resets(is_init)
        if self.share_params:
            return self.nets[0].unroll(input, timeline, h_0)
        states = [
            net.unroll(input[:, :, agent], timeline, h_0[:, agent])
            for agent, net in enumerate(self.nets)
        ]
        return torch.stack(states, dim=2)
