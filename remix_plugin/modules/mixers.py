"""Mixers of agents' utilities in TorchRL's interface, and what mixers are built of.

Shapes: ``*B`` any batch, n agents, S state size, F features of one agent, E embedding
size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchrl.modules import MLP, QMixer
from torchrl.modules.models.multiagent import Mixer


class DeepQMixer(QMixer):
    """TorchRL's ``QMixer`` with two-layer hypernetworks for the mixing weights.

    As in the code of Weighted QMIX (oxwhirl/wqmix, ``src/modules/mixers/qmix.py``):
    ``S > hypernet_dim > ReLU > n * E`` and ``S > hypernet_dim > ReLU > E``.

    Args:
        hypernet_dim (int): hidden units of the hypernetworks.
        **kwargs: as ``QMixer``.
    """

    def __init__(self, *, hypernet_dim: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hyper_w_1 = self._hypernet(hypernet_dim, self.embed_dim * self.n_agents)
        self.hyper_w_final = self._hypernet(hypernet_dim, self.embed_dim)

    def _hypernet(self, hidden: int, out: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(self.state_dim, hidden, device=self.device),
            nn.ReLU(),
            nn.Linear(hidden, out, device=self.device),
        )


class UnrestrictedMixer(Mixer):
    """An unconstrained joint value of the agents' chosen utilities and the state.

    ``concat(s, q_1..q_n) > E > ReLU > E > ReLU > E > ReLU > 1``, plus a value head
    ``s > E > ReLU > 1`` of the state alone. Nothing is forced positive, so the joint
    value may fall where an agent's utility rises. The central mixer of Weighted QMIX
    (oxwhirl/wqmix, ``src/modules/mixers/qmix_central_no_hyper.py``).

    Args:
        state_shape (torch.Size): shape of the state, without batch.
        embed_dim (int): units of each hidden layer, E.
        n_agents (int): agents.
        device: where the parameters live.
    """

    def __init__(
        self,
        *,
        state_shape: torch.Size,
        embed_dim: int,
        n_agents: int,
        device: torch.device | str | int,
    ) -> None:
        super().__init__(
            n_agents=n_agents, needs_state=True, state_shape=state_shape, device=device
        )
        state_dim = torch.Size(state_shape).numel()
        self.joint_value = MLP(
            in_features=state_dim + n_agents,
            out_features=1,
            num_cells=[embed_dim] * 3,
            activation_class=nn.ReLU,
            device=device,
        )
        self.state_value = MLP(
            in_features=state_dim,
            out_features=1,
            num_cells=[embed_dim],
            activation_class=nn.ReLU,
            device=device,
        )

    def mix(self, chosen_action_value: Tensor, state: Tensor) -> Tensor:
        """Joint value ``[*B, 1]`` of utilities ``[*B, n, 1]`` and a state."""
        state = state.flatten(-len(self.state_shape))
        joint = torch.cat([state, chosen_action_value.squeeze(-1)], dim=-1)
        return self.joint_value(joint) + self.state_value(state)


class MixerState(nn.Module):
    """The state that mixers condition on: all its inputs, flattened, side by side.

    Args:
        feature_ndims (tuple of int): for each input, its trailing dimensions that are
            not batch.
    """

    def __init__(self, feature_ndims: tuple[int, ...]) -> None:
        super().__init__()
        self.feature_ndims = feature_ndims

    def forward(self, *inputs: Tensor) -> Tensor:
        """``[*B, S]``."""
        return _side_by_side(inputs, self.feature_ndims)


class AgentFeatures(nn.Module):
    """What each agent sees: its observation leaves, flattened, side by side.

    Args:
        feature_ndims (tuple of int): for each input, its trailing dimensions that are
            neither batch nor agents; 0 is one number per agent.
    """

    def __init__(self, feature_ndims: tuple[int, ...]) -> None:
        super().__init__()
        self.feature_ndims = feature_ndims

    def forward(self, *inputs: Tensor) -> Tensor:
        """``[*B, n, F]`` of inputs ``[*B, n, ...]``."""
        return _side_by_side(inputs, self.feature_ndims)


def _side_by_side(inputs: Sequence[Tensor], feature_ndims: Sequence[int]) -> Tensor:
    """The last dimensions of each input as one, in float, concatenated."""
    flat = [
        (x.flatten(-ndim) if ndim else x.unsqueeze(-1)).float()
        for x, ndim in zip(inputs, feature_ndims, strict=True)
    ]
    # QMixer takes a view of its state.
    return flat[0].contiguous() if len(flat) == 1 else torch.cat(flat, dim=-1)


def mixer_gradient(value: Tensor, utilities: Tensor) -> Tensor:
    """``dQ_tot / dq_a`` of any mixer, by differentiating its output.

    For ``QMixer`` this is ``sum_j elu'(z_j) |W1|_aj |w2|_j`` with ``z = q W1 + b1``
    (ReMIX, Lemma 1, which writes the derivative of the activation outside the sum; it
    belongs inside). Differentiating the graph that the loss needs anyway is cheaper
    than this closed form, which runs the hypernetworks once more.

    Args:
        value (Tensor): the mixer's output ``[*B, 1]``, with its graph.
        utilities (Tensor): the mixer's input ``[*B, n, 1]``, in that graph.

    Returns:
        Tensor: ``[*B, n, 1]``, detached; the graph is kept for the loss.
    """
    (gradient,) = torch.autograd.grad(value.sum(), utilities, retain_graph=True)
    return gradient
