"""The rules of Predator-Prey as tensor functions over a batch of worlds.

The rules are those of ``stag_hunt`` in wendelinboehmer/dcg, the environment behind
the numbers of Deep Coordination Graphs, Weighted QMIX and ReMIX.

Shapes: B worlds, N predators, M prey, C cells of the padded grid, K cells in sight.

A cell is one index into the grid padded with walls, so that a neighbor is an offset
and no coordinate is ever checked against a border. An actor that has left the grid
stands on ``Geometry.parking``, a cell amid walls: whatever is computed for it there
changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from remix_plugin.environments.predator_prey.config import PredatorPreyConfig

RIGHT, DOWN, LEFT, UP, STAY, CATCH = range(6)
N_ACTIONS = 6


class Geometry:
    """Cell arithmetic of one grid size, with its tensors on one device.

    Args:
        config (PredatorPreyConfig): sizes of grid and window.
        device (torch.device): where the tensors live.
    """

    def __init__(self, config: PredatorPreyConfig, device: torch.device) -> None:
        radius = config.window_size // 2
        pad = max(1, radius)
        width = config.grid_width + 2 * pad
        rows = config.grid_height + 2 * pad
        self.size = (config.grid_height, config.grid_width)
        self.width = width
        self.pad = pad
        # Two rows of wall below the grid, the parking cell in the first of them: all
        # its neighbors exist and are walls.
        self.n_cells = (rows + 2) * width
        self.parking = rows * width + 1
        row = torch.arange(config.grid_height, device=device)
        column = torch.arange(config.grid_width, device=device)
        self.inside = ((row[:, None] + pad) * width + column + pad).flatten()  # [H*W]
        self.wall = torch.ones(self.n_cells, dtype=torch.bool, device=device)
        self.wall[self.inside] = False
        self.neighbors = torch.tensor([1, width, -1, -width], device=device)
        self.offsets = torch.cat([self.neighbors, self.neighbors.new_zeros(2)])
        reach = torch.arange(-radius, radius + 1, device=device)
        self.window = (reach[:, None] * width + reach).flatten()  # [K]

    def cut(self, grid: Tensor) -> Tensor:
        """The cells without the walls around them, row by row, ``[B, H*W]``."""
        pad, (height, width) = self.pad, self.size
        rows = grid.unflatten(-1, (-1, self.width))
        return rows[..., pad : pad + height, pad : pad + width].flatten(-2)


@dataclass
class World:
    """Where everybody is, for a batch of worlds.

    Attributes:
        predators (Tensor): cell of each predator ``[B, N]``, parking once frozen.
        prey (Tensor): cell of each prey ``[B, M]``, parking once caught.
        last_action (Tensor): action of each predator in the step before, ``[B, N]``,
            -1 in the first.
        step (Tensor): steps taken in this episode ``[B, 1]``.
    """

    predators: Tensor
    prey: Tensor
    last_action: Tensor
    step: Tensor

    def where(self, condition: Tensor, other: World) -> World:
        """This world where ``condition`` ``[B, 1]`` holds, ``other`` elsewhere."""
        return World(
            torch.where(condition, self.predators, other.predators),
            torch.where(condition, self.prey, other.prey),
            torch.where(condition, self.last_action, other.last_action),
            torch.where(condition, self.step, other.step),
        )

    def to(self, device: torch.device) -> World:
        """A copy of this world on another device."""
        return World(
            self.predators.to(device),
            self.prey.to(device),
            self.last_action.to(device),
            self.step.to(device),
        )


@dataclass
class StepDraws:
    """All that is random in one step.

    Attributes:
        predator_order (Tensor): indices of predators in the order in which they act
            ``[B, N]``.
        prey_order (Tensor): the same for prey ``[B, M]``.
        prey_move (Tensor): in [0, 1) for each prey ``[B, M]``: the free neighboring
            cell it moves to is number ``floor(prey_move * n_free)``, counted in the
            order right, down, left, up.
        prey_rest (Tensor): in [0, 1) for each prey ``[B, M]``: it rests if this is
            below ``prey_rest_probability``.
    """

    predator_order: Tensor
    prey_order: Tensor
    prey_move: Tensor
    prey_rest: Tensor


@dataclass
class StepOutcome:
    """What one step did.

    Attributes:
        world (World): the world after the step.
        n_caught (Tensor): prey caught in this step ``[B, 1]``.
        n_punished (Tensor): prey that too few predators tried to catch ``[B, 1]``.
    """

    world: World
    n_caught: Tensor
    n_punished: Tensor


def draw_world(
    geometry: Geometry,
    config: PredatorPreyConfig,
    batch_size: torch.Size,
    generator: torch.Generator,
) -> World:
    """All actors on distinct, uniformly random cells."""
    n_actors = config.n_predators + config.n_prey
    lots = torch.rand(
        *batch_size,
        geometry.inside.numel(),
        generator=generator,
        device=generator.device,
    )
    cells = geometry.inside[lots.topk(n_actors, dim=-1).indices]
    return World(
        predators=cells[..., : config.n_predators],
        prey=cells[..., config.n_predators :],
        last_action=cells.new_full((*batch_size, config.n_predators), -1),
        step=cells.new_zeros((*batch_size, 1)),
    )


def draw_step(
    config: PredatorPreyConfig, batch_size: torch.Size, generator: torch.Generator
) -> StepDraws:
    """The random orders and prey moves of one step."""
    n, m = config.n_predators, config.n_prey
    draws = torch.rand(
        *batch_size, n + 3 * m, generator=generator, device=generator.device
    )
    order_of_predators, order_of_prey, move, rest = draws.split([n, m, m, m], dim=-1)
    return StepDraws(
        order_of_predators.argsort(-1), order_of_prey.argsort(-1), move, rest
    )


def occupancy(world: World, geometry: Geometry) -> Tensor:
    """Cells that hold a wall, a predator or a prey, bool ``[B, C]``."""
    blocked = geometry.wall.expand(*world.step.shape[:-1], -1).clone()
    blocked.scatter_(-1, world.predators, True)
    blocked.scatter_(-1, world.prey, True)
    return blocked


def occupants(world: World, geometry: Geometry) -> Tensor:
    """Who stands where on the padded grid, complex64 ``[B, C]``.

    The real part is 1 where a predator stands, the imaginary part where a prey does, so
    that one look-up finds both. The parking cell shows who has left; nothing inside the
    grid looks at it.
    """
    grid = torch.zeros(
        *world.step.shape[:-1],
        geometry.n_cells,
        dtype=torch.complex64,
        device=world.step.device,
    )
    return grid.scatter_(-1, world.predators, 1.0).scatter_(-1, world.prey, 1j)


def action_mask(world: World, geometry: Geometry, config: PredatorPreyConfig) -> Tensor:
    """Available actions of each predator, bool ``[B, N, 6]``."""
    # Around the parking cell are walls and no prey: who is frozen can only stay.
    around = (world.predators[..., None] + geometry.neighbors).flatten(-2)  # [B, N*4]
    has_prey = torch.zeros(
        *world.step.shape[:-1],
        geometry.n_cells,
        dtype=torch.bool,
        device=world.step.device,
    ).scatter_(-1, world.prey, True)
    obstacles = (
        occupancy(world, geometry)
        if config.mask_occupied
        else geometry.wall.expand_as(has_prey)
    )
    shape = (*world.predators.shape, 4)
    can_move = ~obstacles.gather(-1, around).view(shape)
    can_catch = has_prey.gather(-1, around).view(shape).any(-1, keepdim=True)
    can_stay = torch.ones_like(can_catch)
    return torch.cat([can_move, can_stay, can_catch], dim=-1)


def advance(
    world: World,
    action: Tensor,
    draws: StepDraws,
    geometry: Geometry,
    config: PredatorPreyConfig,
) -> StepOutcome:
    """Play one step.

    An action that is not available has no effect beyond what the rules allow: a move
    off the grid or into an occupied cell, and any action of a frozen predator, leaves
    it where it is; a ``catch`` beside no prey counts for nothing.

    Args:
        world (World): the world before the step; it is not changed.
        action (Tensor): action of each predator, integer ``[B, N]``.
        draws (StepDraws): the random part of the step.
        geometry (Geometry): cells of the grid.
        config (PredatorPreyConfig): the options of the task.

    Returns:
        StepOutcome: the next world and what happened.
    """
    blocked = occupancy(world, geometry)
    predators = _move_predators(world, action, draws, geometry, blocked)
    catching = (action == CATCH) & (predators != geometry.parking)
    # Where predators catch: each cell holds one at most, so a flag per cell suffices.
    catchers = torch.zeros_like(blocked).scatter_(-1, predators, catching)
    prey = world.prey.clone()
    n_caught = torch.zeros_like(world.step)
    n_punished = torch.zeros_like(world.step)
    for turn in range(config.n_prey):
        who = draws.prey_order[..., turn : turn + 1]  # [B, 1]
        cell = prey.gather(-1, who)
        around = cell + geometry.neighbors  # [B, 4]
        hunters = catchers.gather(-1, around)
        n_hunters = hunters.sum(-1, keepdim=True)
        caught = n_hunters >= config.capture_size
        punished = (n_hunters > 0) & ~caught
        n_caught += caught
        n_punished += punished
        # Those who caught it are frozen now, and count for no later prey.
        leaving = hunters & caught
        catchers.scatter_(-1, around, hunters & ~leaving)
        obstacles = blocked.gather(-1, around)
        blocked.scatter_(-1, around, obstacles & ~leaving)
        rests = draws.prey_rest.gather(-1, who) < config.prey_rest_probability
        moves = ~obstacles & ~caught & ~rests  # [B, 4]
        target = _pick(cell, around, moves, draws.prey_move.gather(-1, who))
        target = torch.where(caught, geometry.parking, target)
        blocked.scatter_(-1, cell, geometry.wall[cell])
        blocked.scatter_(-1, target, True)
        prey.scatter_(-1, who, target)
    frozen = catching & ~catchers.gather(-1, predators)
    return StepOutcome(
        world=World(
            predators=torch.where(frozen, geometry.parking, predators),
            prey=prey,
            last_action=action.clone(),
            step=world.step + 1,
        ),
        n_caught=n_caught,
        n_punished=n_punished,
    )


def _move_predators(
    world: World, action: Tensor, draws: StepDraws, geometry: Geometry, blocked: Tensor
) -> Tensor:
    """Move predators one after another; ``blocked`` is updated in place."""
    predators = world.predators.clone()
    offsets = geometry.offsets[action]
    for turn in range(predators.shape[-1]):
        who = draws.predator_order[..., turn : turn + 1]  # [B, 1]
        cell = predators.gather(-1, who)
        target = cell + offsets.gather(-1, who)
        free = ~blocked.gather(-1, target)
        blocked.scatter_(-1, cell, ~free)
        blocked.scatter_(-1, target, True)
        predators.scatter_(-1, who, torch.where(free, target, cell))
    return predators


def _pick(cell: Tensor, around: Tensor, allowed: Tensor, draw: Tensor) -> Tensor:
    """The allowed neighbor that ``draw`` selects, or ``cell`` if there is none."""
    rank = allowed.cumsum(-1)  # [B, 4]
    n_allowed = rank[..., -1:]
    # draw < 1, but the product may round up to n_allowed.
    chosen = (draw * n_allowed).long().minimum(n_allowed - 1) + 1
    index = (allowed & (rank == chosen)).int().argmax(-1, keepdim=True)
    return torch.where(n_allowed > 0, around.gather(-1, index), cell)
