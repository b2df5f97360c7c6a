"""SMAX as a batched TorchRL environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Composite, Unbounded
from torchrl.envs import EnvBase

from remix_plugin.environments.smax.backend import (
    jax_device,
    load_tree,
    save_tree,
    to_jax,
    to_torch,
)
from remix_plugin.environments.smax.config import SmaxConfig
from remix_plugin.environments.smax.engine import View, get_engine
from remix_plugin.environments.specs import set_team_specs


class SmaxEnv(EnvBase):
    """Allies fight a scripted enemy in SMAX, JaxMARL's StarCraft-like simulator.

    The rules are JaxMARL's ``HeuristicEnemySMAX`` (Rutherford et al., "JaxMARL", 2023,
    version 0.2): the enemy shoots the closest visible ally, else looks for one; walls
    kill; a step is half a second. Actions are to move up, right, down or left, to stop,
    then to attack an enemy each. An attack that is not available does nothing.

    - The team earns the health that enemies lost, as the mean share of an enemy's, and
      1 for a win: all enemies dead and an ally alive. Both are times ``reward_scale``.
    - The episode terminates when a side is dead, and is truncated after
      ``max_steps + 1`` steps (terminated, with ``terminate_at_limit``).

    Entries, with B environments, N allies, M enemies, U = N + M, A = 5 + M actions:

    =========================== ================= =====================================
    ``("agents","observation")`` float [B, N, F]  F = 13 (U - 1) + 10: the other allies,
                                                  the enemies, itself. Of others within
                                                  sight: health, relative position, last
                                                  move and target, cooldown, type. All
                                                  zeros for the dead
    ``("agents","action_mask")`` bool [B, N, A]   available actions; the dead stop
    ``("agents","action")``      int64 [B, N]     index of the action
    ``state``                    float [B, 12 U]  health, position, cooldown and type of
                                                  each unit, then teams, then types
    ``reward``                   float [B, 1]     shared by the team
    ``info``                     [B, 1]           bool ``battle_won``, ``episode_limit``
                                                  and int64 ``dead_allies``,
                                                  ``dead_enemies``, after the step
    =========================== ================= =====================================

    The battles themselves are held by the environment, not by its tensordicts: a
    rollout cannot branch off from a stored tensordict.

    Args:
        config (SmaxConfig): options of the task.

    Keyword Args:
        num_envs (int): environments in the batch.
        seed (int, optional): seed of the environment's own random key. The same seed on
            the same device with the same ``num_envs`` gives the same episodes.
        device: where the tensors live. The simulation runs there too, if JAX can.

    Raises:
        ValueError: if ``num_envs`` is below 1.
        ImportError: if JaxMARL is missing, or of another version.
    """

    def __init__(
        self,
        config: SmaxConfig,
        *,
        num_envs: int,
        seed: int | None = None,
        device: torch.device | str | int = "cpu",
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} is not allowed: it must be >= 1.")
        super().__init__(device=device, batch_size=torch.Size([num_envs]))
        self.config = config
        self._engine = get_engine(
            config.map_name,
            config.max_steps,
            config.enemy_shoots,
            config.normalize_state,
        )
        self.group_map = {"agents": list(self._engine.env.agents)}
        self._jax_device = jax_device(self.device)
        self._battles: Any = None
        self._key: Any = None
        self._set_seed(seed)
        self._make_specs()

    @property
    def battles(self) -> Any:
        """JaxMARL's state of all battles, ``None`` before the first reset.

        Assign one to inject a situation.
        """
        return self._battles

    @battles.setter
    def battles(self, battles: Any) -> None:
        self._battles = battles

    def to(self, device: torch.device | str | int) -> SmaxEnv:
        """Move the environment, its battles and its random key included."""
        if torch.device(device) != self.device:
            import jax

            super().to(device)
            self._jax_device = jax_device(self.device)
            self._key, self._battles = jax.device_put(
                (self._key, self._battles), self._jax_device
            )
        return self

    def get_extra_state(self) -> dict[str, Any]:
        """All that further steps depend on: the random key and the battles."""
        return {"key": save_tree(self._key), "battles": save_tree(self._battles)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`get_extra_state`."""
        device = self._jax_device
        self._key = load_tree(state["key"], self._key, device)
        self._battles = None
        if state["battles"]:
            shapes = self._engine.battle_shapes()
            self._battles = load_tree(state["battles"], shapes, device)

    def _reset(
        self, tensordict: TensorDictBase | None = None, **kwargs: Any
    ) -> TensorDictBase:
        engine = self._engine
        chosen = None if tensordict is None else tensordict.get("_reset", None)
        if chosen is None or self._battles is None or chosen.all():
            self._key, self._battles, view = engine.reset(self._key, self.numel())
        else:
            # Kept until its results are read: on a GPU PyTorch would give its memory
            # away before JAX has read it.
            mask = to_jax(chosen, self._jax_device)
            self._key, self._battles, view = engine.partial_reset(
                self._key, self._battles, mask
            )
        flags = torch.zeros(*self.batch_size, 3, dtype=torch.bool, device=self.device)
        ends = {
            key: torch.zeros_like(flags[:, :1])
            for key in ("done", "terminated", "truncated")
        }
        info = self._info(flags, torch.zeros_like(flags[:, :2]))
        return self._tensordict(view, info=info, **ends)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = to_jax(tensordict.get(("agents", "action")), self._jax_device)
        self._key, self._battles, view, outcome = self._engine.step(
            self._key, self._battles, action
        )
        reward, flags, dead = (to_torch(x, self.device) for x in outcome)
        done = flags[:, :2].any(-1, keepdim=True)
        if self.config.terminate_at_limit:
            terminated, truncated = done.clone(), torch.zeros_like(done)
        else:
            terminated, truncated = flags[:, :1], flags[:, 1:2].clone()
        return self._tensordict(
            view,
            info=self._info(flags, dead),
            reward=reward * self.config.reward_scale,
            done=done,
            terminated=terminated,
            truncated=truncated,
        )

    def _set_seed(self, seed: int | None) -> None:
        import jax

        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self._key = jax.device_put(jax.random.PRNGKey(seed), self._jax_device)

    def _tensordict(self, view: View, **entries: Tensor | TensorDict) -> TensorDict:
        observation, state, action_mask = (to_torch(x, self.device) for x in view)
        agents = TensorDict(
            {"observation": observation, "action_mask": action_mask},
            batch_size=(*self.batch_size, self._engine.env.num_allies),
            device=self.device,
        )
        return TensorDict(
            {"agents": agents, "state": state, **entries},
            batch_size=self.batch_size,
            device=self.device,
        )

    def _info(self, flags: Tensor, dead: Tensor) -> TensorDict:
        dead = dead.long()
        return TensorDict(
            {
                "battle_won": flags[:, 2:],
                "episode_limit": flags[:, 1:2],
                "dead_allies": dead[:, :1],
                "dead_enemies": dead[:, 1:],
            },
            batch_size=self.batch_size,
            device=self.device,
        )

    def _make_specs(self) -> None:
        env, batch, device = self._engine.env, self.batch_size, self.device
        n, n_actions = env.num_allies, env.num_ally_actions
        state_shape = (*batch, env.state_size)
        if self.config.normalize_state:
            state = Bounded(0.0, 1.0, state_shape, device)
        else:
            state = Unbounded(state_shape, device)
        flag = Binary(1, (*batch, 1), device, torch.bool)
        self.observation_spec = Composite(
            agents=Composite(
                observation=Unbounded((*batch, n, env.obs_size), device),
                action_mask=Binary(None, (*batch, n, n_actions), device, torch.bool),
                shape=(*batch, n),
            ),
            state=state,
            info=Composite(
                battle_won=flag.clone(),
                episode_limit=flag.clone(),
                dead_allies=Bounded(0, n, (*batch, 1), device, torch.int64),
                dead_enemies=Bounded(
                    0, env.num_enemies, (*batch, 1), device, torch.int64
                ),
                shape=batch,
            ),
            shape=batch,
            device=device,
        )
        set_team_specs(self, n, n_actions)
