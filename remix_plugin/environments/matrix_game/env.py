"""A one-step game of common payoff as a batched TorchRL environment."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.data import Bounded, Composite
from torchrl.envs import EnvBase

from remix_plugin.environments.matrix_game.config import MatrixGameConfig
from remix_plugin.environments.specs import set_team_specs


class MatrixGameEnv(EnvBase):
    """Agents choose once, at the same time, and share the payoff of the joint action.

    With the payoff of Son et al., "QTRAN" (2019), Table 1, a monotonic mixer cannot
    represent the optimum beside its surroundings, which makes it the smallest test of
    what a value factorization emphasizes.

    Entries, with B environments, n agents, A actions: ``("agents", "observation")``
    float ``[B, n, 1 + n]``, the constant 1 and the agent's index, one-hot;
    ``("agents", "action")`` int64 ``[B, n]``; ``state`` float ``[B, 1]``, the constant
    1; ``reward`` ``[B, 1]``. Every step terminates. There is no action mask.

    Args:
        config (MatrixGameConfig): the payoff.

    Keyword Args:
        num_envs (int): environments in the batch.
        seed (int, optional): without effect, the game is deterministic.
        device: where everything lives.

    Raises:
        ValueError: if ``num_envs`` is below 1.
    """

    def __init__(
        self,
        config: MatrixGameConfig,
        *,
        num_envs: int,
        seed: int | None = None,
        device: torch.device | str | int = "cpu",
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} is not allowed: it must be >= 1.")
        super().__init__(device=device, batch_size=torch.Size([num_envs]))
        payoff = torch.tensor(config.payoff, dtype=torch.float, device=self.device)
        self.register_buffer("payoff", payoff, persistent=False)
        self.group_map = {"agents": [f"agent_{i}" for i in range(payoff.ndim)]}
        self._make_specs(n_agents=payoff.ndim, n_actions=payoff.shape[0])

    def get_extra_state(self) -> dict[str, Any]:
        """An empty dictionary: no step depends on earlier ones."""
        return {}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`get_extra_state`."""

    def _observe(self) -> TensorDict:
        n_agents = self.payoff.ndim
        constant = torch.ones(n_agents, 1, device=self.device)
        ids = torch.eye(n_agents, device=self.device)
        observation = torch.cat([constant, ids], dim=-1)
        return TensorDict(
            {
                "agents": TensorDict(
                    {"observation": observation.repeat(*self.batch_size, 1, 1)},
                    batch_size=(*self.batch_size, n_agents),
                    device=self.device,
                ),
                "state": torch.ones(*self.batch_size, 1, device=self.device),
            },
            batch_size=self.batch_size,
            device=self.device,
        )

    def _done(self, value: bool) -> torch.Tensor:
        return torch.full(
            (*self.batch_size, 1), value, dtype=torch.bool, device=self.device
        )

    def _reset(
        self, tensordict: TensorDictBase | None = None, **kwargs: Any
    ) -> TensorDictBase:
        result = self._observe()
        result.set("done", self._done(False))
        result.set("terminated", self._done(False))
        return result

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict.get(("agents", "action"))
        result = self._observe()
        result.set("reward", self.payoff[action.unbind(-1)].unsqueeze(-1))
        result.set("done", self._done(True))
        result.set("terminated", self._done(True))
        return result

    def _set_seed(self, seed: int | None) -> None:
        """Does nothing: the game is deterministic."""

    def _make_specs(self, n_agents: int, n_actions: int) -> None:
        batch, device = self.batch_size, self.device
        self.observation_spec = Composite(
            agents=Composite(
                observation=Bounded(0.0, 1.0, (*batch, n_agents, 1 + n_agents), device),
                shape=(*batch, n_agents),
            ),
            state=Bounded(0.0, 1.0, (*batch, 1), device),
            shape=batch,
            device=device,
        )
        set_team_specs(self, n_agents, n_actions, truncates=False)
