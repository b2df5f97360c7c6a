"""SMAC as a TorchRL environment."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDictBase
from torchrl.data import Categorical, Composite
from torchrl.envs.libs.smacv2 import SMACv2Wrapper

from remix_plugin.environments.smac.config import SmacConfig
from remix_plugin.environments.smac.game import get_game_class


class SmacEnv(SMACv2Wrapper):
    """A map of the StarCraft Multi-Agent Challenge (Samvelyan et al., 2019).

    TorchRL's wrapper over a game whose restart, observations and reward scale are put
    right (see :mod:`~.game`). The constructor starts StarCraft.

    Entries, with N agents, A actions, sizes as the map has them:

    =========================== ============== ========================================
    ``("agents","observation")`` float [N, F]  own features, and those of units in sight
    ``("agents","action_mask")`` bool [N, A]   available actions; the dead have 0 alone
    ``("agents","action")``      int64 [N]     nothing (the dead), stop, north, south,
                                               east, west, then a target each
    ``state``                    float [S]     features of all units, last actions
    ``reward``                   float [1]     shared by the team; 20 for a win, about
    ``info``                     []            bool ``battle_won``, ``episode_limit``,
                                               ``connection_lost``; int64
                                               ``dead_allies``, ``dead_enemies``
    =========================== ============== ========================================

    An episode that the time limit ends is terminated, as in PyMARL, or truncated with
    ``continuing_episode``; one whose game was lost is truncated, with a reward of 0,
    and ``force_restarts`` counts it.

    Runs cannot be repeated exactly: the seed reaches StarCraft alone, and ``set_seed``
    is not supported.

    Args:
        config (SmacConfig): options of the task.

    Keyword Args:
        seed (int, optional): seed of the game.
        device: where the tensors live.

    Raises:
        ImportError: if the package of ``config.backend`` is not installed.
        StarCraftError: if the game cannot be started.
    """

    def __init__(
        self,
        config: SmacConfig,
        *,
        seed: int | None = None,
        device: torch.device | str | int = "cpu",
    ) -> None:
        game = get_game_class(config.backend)(seed=seed, **config.game_options())
        # Not self.config: the wrapper looks attributes up in the game.
        self._truncate_at_limit = config.continuing_episode
        super().__init__(env=game, categorical_actions=True, device=device)

    def render(self, mode: str = "rgb_array") -> Any:
        """A picture of the battle, drawn by pysc2."""
        return self._env.render(mode=mode)

    def _check_kwargs(self, kwargs: dict[str, Any]) -> None:
        """Does nothing: the wrapper would refuse the game of another package."""

    def _make_specs(self, env: Any) -> None:
        super()._make_specs(env)
        flag = Categorical(2, shape=(1,), dtype=torch.bool, device=self.device)
        self.done_spec = Composite(
            {key: flag.clone() for key in ("done", "terminated", "truncated")},
            device=self.device,
        )
        info = self.observation_spec["info"]
        info["connection_lost"] = info["battle_won"].clone()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        result = super()._step(tensordict)
        info = result.get("info")
        truncated = info.get("connection_lost").clone()
        if self._truncate_at_limit:
            truncated |= info.get("episode_limit")
        result.set("truncated", truncated.view(1))
        result.set("terminated", result.get("done") & ~truncated)
        return result
