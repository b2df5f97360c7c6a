"""Predator-Prey as a batched TorchRL environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch.nn.functional import one_hot
from torchrl.data import Binary, Bounded, Composite, Unbounded
from torchrl.envs import EnvBase

from remix_plugin.environments.predator_prey.config import PredatorPreyConfig
from remix_plugin.environments.predator_prey.world import (
    N_ACTIONS,
    Geometry,
    StepDraws,
    World,
    action_mask,
    advance,
    draw_step,
    draw_world,
    occupants,
)
from remix_plugin.environments.specs import set_team_specs


class PredatorPreyEnv(EnvBase):
    """Predators hunt prey on a grid; a prey must be caught by several at once.

    The task of Böhmer et al., "Deep Coordination Graphs" (2020), section on relative
    overgeneralization, as Weighted QMIX (2020) and ReMIX (2023) use it. The rules
    follow the code behind those papers, ``stag_hunt`` in wendelinboehmer/dcg:

    - Predators that are not frozen act one after another in a random order: right,
      down, left, up, stay, catch. A move succeeds if the cell is free.
    - Prey then act in a random order. A prey that ``capture_size`` or more
      neighboring predators catch is gone: the team earns ``capture_reward`` once and
      those predators are frozen and leave the grid. A prey that fewer predators try to
      catch costs the team ``punishment``. A prey that is not caught moves to a random
      free neighboring cell.
    - The episode terminates when no prey or no predator is left, and is truncated
      after ``max_steps`` (``truncated`` is not set where ``terminated`` is).

    Entries, with B environments, N predators, A = 6 actions, F features, S state size:

    =========================== ================= =====================================
    ``("agents","observation")`` float [B, N, F]  the window around the agent, channels
                                                  last (predators, prey), flattened;
                                                  then the options; zeros when frozen
    ``("agents","action_mask")`` bool [B, N, A]   available actions
    ``("agents","action")``      int64 [B, N]     index of the action
    ``state``                    float [B, S]     the whole grid, channels last
    ``reward``                   float [B, 1]     shared by the team
    ``info``                     float [B, 1]     ``prey_caught`` so far in the episode,
                                                  ``mis_catches`` in this step
    =========================== ================= =====================================

    Args:
        config (PredatorPreyConfig): options of the task.

    Keyword Args:
        num_envs (int): environments in the batch.
        seed (int, optional): seed of the environment's own generator. The same seed on
            the same device with the same ``num_envs`` gives the same episodes.
        device: where everything lives.

    Raises:
        ValueError: if ``num_envs`` is below 1, or more than memory holds.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}

    def __init__(
        self,
        config: PredatorPreyConfig,
        *,
        num_envs: int,
        seed: int | None = None,
        device: torch.device | str | int = "cpu",
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} is not allowed: it must be >= 1.")
        config.check_memory(num_envs)
        super().__init__(device=device, batch_size=torch.Size([num_envs]))
        self.config = config
        self.group_map = {"agents": [f"agent_{i}" for i in range(config.n_predators)]}
        self._seed = seed
        self._world: World | None = None
        self._episode_return = torch.zeros(num_envs, 1, device=self.device)
        self._make_device_tensors()
        self._make_specs()

    @property
    def world(self) -> World:
        """Where everybody is now; assign a :class:`World` to inject a situation.

        Raises:
            RuntimeError: if read before the first reset.
        """
        if self._world is None:
            raise RuntimeError("PredatorPreyEnv has no world yet: call reset() first.")
        return self._world

    @world.setter
    def world(self, world: World) -> None:
        self._world = world
        self._episode_return = torch.zeros(*self.batch_size, 1, device=self.device)

    def observe(self) -> TensorDict:
        """The observation, state and mask entries of the current world."""
        world = self.world
        grid = occupants(world, self._geometry)
        return TensorDict(
            {
                "agents": TensorDict(
                    {
                        "observation": self._observation(world, grid),
                        "action_mask": action_mask(world, self._geometry, self.config),
                    },
                    batch_size=(*self.batch_size, self.config.n_predators),
                    device=self.device,
                ),
                "state": self._planes(self._geometry.cut(grid)).flatten(-2),
            },
            batch_size=self.batch_size,
            device=self.device,
        )

    def step_with(self, tensordict: TensorDictBase, draws: StepDraws) -> TensorDictBase:
        """What one step writes under ``"next"``, with its random draws given.

        Args:
            tensordict (TensorDictBase): holds ``("agents", "action")``.
            draws (StepDraws): the random part of the step.

        Returns:
            TensorDictBase: observations, reward, done entries and info.
        """
        config = self.config
        action = tensordict.get(("agents", "action"))
        outcome = advance(self.world, action, draws, self._geometry, config)
        self._world = outcome.world
        reward = (
            config.capture_reward * outcome.n_caught.float()
            + config.punishment * outcome.n_punished.float()
        )
        self._episode_return = self._episode_return + reward
        gone = self._geometry.parking
        terminated = (outcome.world.prey == gone).all(-1, keepdim=True) | (
            outcome.world.predators == gone
        ).all(-1, keepdim=True)
        truncated = (outcome.world.step >= config.max_steps) & ~terminated
        result = self.observe()
        result.set("reward", reward)
        result.set("terminated", terminated)
        result.set("truncated", truncated)
        result.set("done", terminated | truncated)
        result.set("info", self._info(outcome.world, outcome.n_punished))
        return result

    def render(self, mode: str = "rgb_array", index: int = 0) -> np.ndarray:
        """Draw one environment of the batch.

        Args:
            mode (str): only ``"rgb_array"``.
            index (int): which environment to draw.

        Returns:
            np.ndarray: uint8 ``[height, width, 3]``.

        Raises:
            ValueError: if ``mode`` is another.
            RuntimeError: if called before the first reset.
        """
        if mode != "rgb_array":
            raise ValueError(f"mode={mode!r} is not allowed: it must be 'rgb_array'.")
        # Pillow is a matter of those who want pictures.
        from remix_plugin.environments.predator_prey.rendering import draw_frame

        world = self.world
        return draw_frame(
            self.config,
            predators=self._coordinates(world.predators[index]),
            prey=self._coordinates(world.prey[index]),
            last_action=world.last_action[index].tolist(),
            step=int(world.step[index]),
            episode_return=float(self._episode_return[index]),
        )

    def to(self, device: torch.device | str | int) -> PredatorPreyEnv:
        """Move the environment, its world included; its generator starts anew."""
        if torch.device(device) != self.device:
            super().to(device)
            self._make_device_tensors()
            if self._world is not None:
                self._world = self._world.to(self.device)
                self._episode_return = self._episode_return.to(self.device)
        return self

    def get_extra_state(self) -> dict[str, Any]:
        """All that further steps depend on: the world, returns and the generator."""
        return {
            "world": None if self._world is None else dict(vars(self._world)),
            "episode_return": self._episode_return,
            "generator": self._generator.get_state(),
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`get_extra_state`.

        Generators of another kind of device cannot be continued: then this one's own
        goes on.
        """
        world = state["world"]
        self._world = None if world is None else World(**world).to(self.device)
        self._episode_return = state["episode_return"].to(self.device)
        generator = state["generator"].cpu()
        if generator.shape == self._generator.get_state().shape:
            self._generator.set_state(generator)

    def _reset(
        self, tensordict: TensorDictBase | None = None, **kwargs: Any
    ) -> TensorDictBase:
        fresh = draw_world(
            self._geometry, self.config, self.batch_size, self._generator
        )
        returns = torch.zeros(*self.batch_size, 1, device=self.device)
        chosen = None if tensordict is None else tensordict.get("_reset", None)
        if chosen is not None and self._world is not None:
            fresh = fresh.where(chosen, self._world)
            returns = torch.where(chosen, returns, self._episode_return)
        self._world = fresh
        self._episode_return = returns
        result = self.observe()
        result.set("info", self._info(fresh, torch.zeros_like(fresh.step)))
        for key in ("done", "terminated", "truncated"):
            result.set(key, torch.zeros_like(fresh.step, dtype=torch.bool))
        return result

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        draws = draw_step(self.config, self.batch_size, self._generator)
        return self.step_with(tensordict, draws)

    def _set_seed(self, seed: int | None) -> None:
        self._seed = seed
        self._seed_generator()

    def _seed_generator(self) -> None:
        if self._seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(self._seed)

    def _make_device_tensors(self) -> None:
        self._geometry = Geometry(self.config, self.device)
        self._generator = torch.Generator(device=self.device)
        self._seed_generator()

    def _info(self, world: World, mis_catches: Tensor) -> TensorDict:
        caught = (world.prey == self._geometry.parking).sum(-1, keepdim=True)
        return TensorDict(
            {"prey_caught": caught.float(), "mis_catches": mis_catches.float()},
            batch_size=self.batch_size,
            device=self.device,
        )

    def _planes(self, grid: Tensor) -> Tensor:
        """Cells of a complex grid as channels, of hares too if asked, the last axis."""
        planes = torch.view_as_real(grid)
        if self.config.include_hare_channel:
            planes = torch.nn.functional.pad(planes, (0, 1))
        return planes

    def _observation(self, world: World, grid: Tensor) -> Tensor:
        frozen = world.predators == self._geometry.parking
        # Around the parking cell there is nothing to index: look from anywhere inside.
        center = torch.where(frozen, self._geometry.inside[0], world.predators)
        seen = (center[..., None] + self._geometry.window).flatten(-2)  # [B, N*K]
        window = self._planes(grid.gather(-1, seen)).view(*frozen.shape, -1)
        features = [window]
        if self.config.observe_last_action:
            # -1, before the first action, falls on a column that is cut off.
            features.append(one_hot(world.last_action + 1, N_ACTIONS + 1)[..., 1:])
        if self.config.observe_agent_id:
            ids = torch.eye(self.config.n_predators, device=self.device)
            features.append(ids.expand(*frozen.shape, -1))
        if len(features) > 1:
            window = torch.cat([feature.float() for feature in features], dim=-1)
        return window.masked_fill(frozen[..., None], 0.0)

    def _coordinates(self, cells: Tensor) -> list[tuple[int, int] | None]:
        """Row and column of each cell, ``None`` off the grid."""
        geometry = self._geometry
        return [
            None
            if cell == geometry.parking
            else (
                cell // geometry.width - geometry.pad,
                cell % geometry.width - geometry.pad,
            )
            for cell in cells.tolist()
        ]

    def _make_specs(self) -> None:
        config = self.config
        n, batch, device = config.n_predators, self.batch_size, self.device
        n_features = config.window_size**2 * config.n_channels
        n_features += N_ACTIONS * config.observe_last_action
        n_features += n * config.observe_agent_id
        n_state = config.grid_height * config.grid_width * config.n_channels
        self.observation_spec = Composite(
            agents=Composite(
                observation=Bounded(0.0, 1.0, (*batch, n, n_features), device),
                action_mask=Binary(None, (*batch, n, N_ACTIONS), device, torch.bool),
                shape=(*batch, n),
            ),
            state=Bounded(0.0, 1.0, (*batch, n_state), device),
            info=Composite(
                prey_caught=Unbounded((*batch, 1), device),
                mis_catches=Unbounded((*batch, 1), device),
                shape=batch,
            ),
            shape=batch,
            device=device,
        )
        set_team_specs(self, n, N_ACTIONS)
