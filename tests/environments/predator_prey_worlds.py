"""Hand-made situations of Predator-Prey, shared by its tests.

Cells are ``(row, column)`` here, ``None`` for an actor that has left the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from remix_plugin.environments.predator_prey.config import PredatorPreyConfig
from remix_plugin.environments.predator_prey.env import PredatorPreyEnv
from remix_plugin.environments.predator_prey.world import (
    CATCH,
    Geometry,
    StepDraws,
    World,
)

Cell = tuple[int, int]
Cells = Sequence[Cell | None]
GONE = None

PUBLISHED: dict[str, Any] = {
    "grid_height": 10,
    "grid_width": 10,
    "n_predators": 8,
    "n_prey": 8,
    "window_size": 5,
    "capture_size": 2,
    "capture_reward": 10.0,
    "punishment": -2.0,
    "max_steps": 200,
    "mask_occupied": False,
    "prey_rest_probability": 0.0,
    "include_hare_channel": False,
    "observe_last_action": False,
    "observe_agent_id": False,
}


def published_config(**changes: Any) -> PredatorPreyConfig:
    """The task of the papers with punishment -2, some options changed."""
    return PredatorPreyConfig(**{**PUBLISHED, **changes})


def place(
    config: PredatorPreyConfig,
    predators: Sequence[Cells],
    prey: Sequence[Cells],
) -> World:
    """A batch of worlds before their first step, from the cells of each world."""
    geometry = Geometry(config, torch.device("cpu"))

    def index(cell: Cell | None) -> int:
        if cell is None:
            return geometry.parking
        row, column = cell
        return (row + geometry.pad) * geometry.width + column + geometry.pad

    hunters = torch.tensor([[index(cell) for cell in row] for row in predators])
    return World(
        predators=hunters,
        prey=torch.tensor([[index(cell) for cell in row] for row in prey]),
        last_action=torch.full_like(hunters, -1),
        step=torch.zeros(len(predators), 1, dtype=torch.int64),
    )


def cells_of(config: PredatorPreyConfig, indices: Tensor) -> list[list[Cell | None]]:
    """The inverse of :func:`place`, for ``World.predators`` or ``World.prey``."""
    geometry = Geometry(config, torch.device("cpu"))

    def cell(index: int) -> Cell | None:
        if index == geometry.parking:
            return None
        row, column = divmod(index, geometry.width)
        return row - geometry.pad, column - geometry.pad

    return [[cell(index) for index in row] for row in indices.tolist()]


def copy_of(world: World) -> World:
    """A world that shares no memory with another."""
    return World(
        world.predators.clone(),
        world.prey.clone(),
        world.last_action.clone(),
        world.step.clone(),
    )


def rows_of(world: World, rows: Tensor | slice) -> World:
    """Some worlds of a batch."""
    return World(
        world.predators[rows],
        world.prey[rows],
        world.last_action[rows],
        world.step[rows],
    )


def same_world(one: World, other: World) -> bool:
    """Whether two batches of worlds are equal bit by bit."""
    return (
        torch.equal(one.predators, other.predators)
        and torch.equal(one.prey, other.prey)
        and torch.equal(one.last_action, other.last_action)
        and torch.equal(one.step, other.step)
    )


def with_actions(action: Tensor) -> TensorDict:
    """The input of a step: an action ``[B, N]`` for each predator."""
    return TensorDict(
        {"agents": TensorDict({"action": action}, batch_size=action.shape)},
        batch_size=action.shape[:1],
        device=action.device,
    )


def available_actions(
    mask: Tensor, generator: torch.Generator, catch_weight: float = 1.0
) -> Tensor:
    """A random available action each, ``catch`` the likelier the larger its weight."""
    weights = mask.float()
    weights[..., CATCH] *= catch_weight
    chosen = weights.flatten(0, 1).multinomial(1, generator=generator)
    return chosen.view(mask.shape[:2])


def random_draws(
    config: PredatorPreyConfig, num_envs: int, generator: torch.Generator
) -> StepDraws:
    """The random part of a step, drawn here and not by the environment."""
    n, m = config.n_predators, config.n_prey
    return StepDraws(
        predator_order=torch.rand(num_envs, n, generator=generator).argsort(-1),
        prey_order=torch.rand(num_envs, m, generator=generator).argsort(-1),
        prey_move=torch.rand(num_envs, m, generator=generator),
        prey_rest=torch.rand(num_envs, m, generator=generator),
    )


def rollout(env: PredatorPreyEnv, n_steps: int, seed: int = 0) -> list[TensorDictBase]:
    """Reset, then play random available actions; ended rows start afresh.

    Returns:
        list: the reset, then what each step wrote under ``"next"``.
    """
    generator = torch.Generator(device=env.device).manual_seed(seed)
    now = env.reset()
    record = [now.clone()]
    for _ in range(n_steps):
        mask = now["agents", "action_mask"]
        now["agents", "action"] = available_actions(mask, generator)
        stepped, now = env.step_and_maybe_reset(now)
        record.append(stepped["next"].clone())
    return record


def same_record(one: list[TensorDictBase], other: list[TensorDictBase]) -> bool:
    """Whether two rollouts are equal bit by bit."""
    return len(one) == len(other) and all(
        bool((left == right).all()) for left, right in zip(one, other, strict=True)
    )


@dataclass
class Outcome:
    """What one step of a single world did, read from the environment's output."""

    reward: float
    predators: list[Cell | None]
    prey: list[Cell | None]
    terminated: bool
    truncated: bool
    view: TensorDictBase

    @property
    def ended(self) -> tuple[bool, bool]:
        """Terminated, truncated."""
        return self.terminated, self.truncated


class Scene:
    """One world with its actors placed by hand."""

    def __init__(self, predators: Cells, prey: Cells, **changes: Any) -> None:
        self.config = published_config(
            n_predators=len(predators),
            n_prey=len(prey),
            **{"capture_size": min(2, len(predators)), **changes},
        )
        self.env = PredatorPreyEnv(self.config, num_envs=1, seed=0)
        self.env.world = place(self.config, [predators], [prey])

    def step(
        self,
        actions: Sequence[int],
        *,
        predator_order: Sequence[int] | None = None,
        prey_order: Sequence[int] | None = None,
        prey_move: Sequence[float] | None = None,
        prey_rest: Sequence[float] | None = None,
    ) -> Outcome:
        """Play one step with the draws given."""
        n, m = self.config.n_predators, self.config.n_prey
        draws = StepDraws(
            torch.tensor([predator_order or list(range(n))]),
            torch.tensor([prey_order or list(range(m))]),
            torch.tensor([prey_move or [0.0] * m]),
            torch.tensor([prey_rest or [0.999] * m]),
        )
        view = self.env.step_with(with_actions(torch.tensor([list(actions)])), draws)
        return Outcome(
            reward=view["reward"].item(),
            predators=cells_of(self.config, self.env.world.predators)[0],
            prey=cells_of(self.config, self.env.world.prey)[0],
            terminated=view["terminated"].item(),
            truncated=view["truncated"].item(),
            view=view,
        )

    def mask(self) -> list[list[int]]:
        """The available actions of each predator, as 0 and 1."""
        return self.env.observe()["agents", "action_mask"][0].int().tolist()
