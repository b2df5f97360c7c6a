"""A small recurrent network for the tests of the losses: a cell looped over steps."""

from __future__ import annotations

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import nn

MEMORY = ("agents", "_memory")


class RecurrentValues(TensorDictModuleBase):
    """Values ``[B, T, n, A]`` of a GRU cell that all agents share.

    Its memory begins with the first entry of ``hidden_state_name`` if there is one,
    and is zeroed where ``is_init`` says so.
    """

    def __init__(
        self,
        observation: NestedKey,
        is_init: NestedKey,
        out_key: NestedKey,
        *,
        n_agents: int,
        sizes: tuple[int, int, int],
    ) -> None:
        super().__init__()
        n_features, hidden, n_values = sizes
        self.observation, self.is_init, self.out_key = observation, is_init, out_key
        self.hidden_state_name = MEMORY
        self.hidden_shape = (n_agents, hidden)
        self.in_keys = [observation, is_init, MEMORY]
        self.out_keys = [out_key]
        self.cell = nn.GRUCell(n_features, hidden)
        # Far enough apart for greedy actions to differ, and for memory to matter.
        self.head = nn.Linear(hidden, n_values)
        self.head.weight.data.mul_(4.0)
        self.cell.weight_ih.data.mul_(2.0)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        observation = tensordict.get(self.observation)
        is_init = tensordict.get(self.is_init)
        given = tensordict.get(MEMORY, None)
        rows, steps, *_ = observation.shape
        memory = observation.new_zeros(rows, *self.hidden_shape)
        if given is not None:
            memory = given[:, 0]
        memories = []
        for t in range(steps):
            memory = torch.where(is_init[:, t].unsqueeze(-1), 0, memory)
            after = self.cell(observation[:, t].flatten(0, 1), memory.flatten(0, 1))
            memory = after.view(memory.shape)
            memories.append(memory)
        unrolled = torch.stack(memories, 1)
        tensordict.set(self.out_key, self.head(unrolled))
        if given is not None:
            tensordict.set(("next", *MEMORY), unrolled)
        return tensordict
