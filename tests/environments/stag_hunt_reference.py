"""Predator-Prey a second time: slowly, one world, straight from the written rules.

Nothing here knows of the package. An actor is a ``(row, column)`` or ``None`` once it
has left the grid; every rule is a loop over actors in the order in which they act. All
that is random comes from outside, so that two implementations can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = tuple[int, int]

STAY, CATCH = 4, 5
N_ACTIONS = 6
# Actions 0 to 3: right, down, left, up; the row index grows downwards.
MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))
PREDATOR_CHANNEL, PREY_CHANNEL = 0, 1


@dataclass
class Options:
    """The options of the task, by the names under which users give them."""

    grid_height: int
    grid_width: int
    n_predators: int
    n_prey: int
    window_size: int
    capture_size: int
    capture_reward: float
    punishment: float
    max_steps: int
    mask_occupied: bool
    prey_rest_probability: float
    include_hare_channel: bool
    observe_last_action: bool
    observe_agent_id: bool

    @property
    def n_channels(self) -> int:
        """Predators, prey and, if asked for, hares."""
        return 3 if self.include_hare_channel else 2


@dataclass
class Draws:
    """What is random in one step, in the order of the actors' indices."""

    predator_order: Sequence[int]
    prey_order: Sequence[int]
    prey_move: Sequence[float]
    prey_rest: Sequence[float]


@dataclass
class Result:
    """What one step did."""

    reward: float
    terminated: bool
    truncated: bool
    n_caught: int
    n_punished: int


class StagHuntReference:
    """One world of Predator-Prey.

    Args:
        options (Options): the options of the task.
        predators: where each predator is, ``None`` if frozen.
        prey: where each prey is, ``None`` if caught.
    """

    def __init__(
        self,
        options: Options,
        predators: Sequence[Cell | None],
        prey: Sequence[Cell | None],
    ) -> None:
        self.options = options
        self.predators = list(predators)
        self.prey = list(prey)
        self.last_action: list[int | None] = [None] * options.n_predators
        self.steps = 0

    def step(self, actions: Sequence[int], draws: Draws) -> Result:
        """Let the predators act, then the prey."""
        for who in draws.predator_order:
            self._predator_acts(who, actions[who])
        n_caught = n_punished = 0
        for who in draws.prey_order:
            cell = self.prey[who]
            if cell is None:
                continue
            hunters = self._hunters(cell, actions)
            if len(hunters) >= self.options.capture_size:
                n_caught += 1
                self.prey[who] = None
                for hunter in hunters:
                    self.predators[hunter] = None
                continue
            if hunters:
                n_punished += 1
            if draws.prey_rest[who] >= self.options.prey_rest_probability:
                self._prey_moves(who, cell, draws.prey_move[who])
        self.steps += 1
        self.last_action = list(actions)
        return self._result(n_caught, n_punished)

    def available(self, who: int) -> list[bool]:
        """Which of the six actions a predator has."""
        cell = self.predators[who]
        if cell is None:
            return [action == STAY for action in range(N_ACTIONS)]
        moves = []
        prey_near = False
        for neighbor in _neighbors(cell):
            possible = self._inside(neighbor)
            if self.options.mask_occupied and self._occupied(neighbor):
                possible = False
            moves.append(possible)
            if neighbor in self.prey:
                prey_near = True
        return [*moves, True, prey_near]

    def observation(self, who: int) -> list[float]:
        """The window around a predator, then its last action and its index."""
        options = self.options
        size, n_channels = options.window_size, options.n_channels
        features = [0.0] * (size * size * n_channels)
        features += [0.0] * (N_ACTIONS * options.observe_last_action)
        features += [0.0] * (options.n_predators * options.observe_agent_id)
        center = self.predators[who]
        if center is None:
            return features
        first_row, first_column = center[0] - size // 2, center[1] - size // 2
        for channel, (row, column) in self._on_the_grid():
            row, column = row - first_row, column - first_column
            if 0 <= row < size and 0 <= column < size:
                features[(row * size + column) * n_channels + channel] = 1.0
        position = size * size * n_channels
        if options.observe_last_action:
            action = self.last_action[who]
            if action is not None:
                features[position + action] = 1.0
            position += N_ACTIONS
        if options.observe_agent_id:
            features[position + who] = 1.0
        return features

    def state(self) -> list[float]:
        """Both channels of the whole grid, row by row, channels last."""
        options = self.options
        n_cells = options.grid_height * options.grid_width
        features = [0.0] * (n_cells * options.n_channels)
        for channel, (row, column) in self._on_the_grid():
            cell = row * options.grid_width + column
            features[cell * options.n_channels + channel] = 1.0
        return features

    def _on_the_grid(self) -> list[tuple[int, Cell]]:
        """Every actor on the grid: its channel and its cell."""
        actors = [(PREDATOR_CHANNEL, c) for c in self.predators if c is not None]
        return actors + [(PREY_CHANNEL, c) for c in self.prey if c is not None]

    def _predator_acts(self, who: int, action: int) -> None:
        cell = self.predators[who]
        if cell is None or action in (STAY, CATCH):
            return
        target = _neighbors(cell)[action]
        if self._inside(target) and not self._occupied(target):
            self.predators[who] = target

    def _hunters(self, prey: Cell, actions: Sequence[int]) -> list[int]:
        """Predators beside a prey that chose to catch and are not frozen."""
        near = _neighbors(prey)
        return [
            who
            for who, cell in enumerate(self.predators)
            if actions[who] == CATCH and cell in near
        ]

    def _prey_moves(self, who: int, cell: Cell, draw: float) -> None:
        free = [
            neighbor
            for neighbor in _neighbors(cell)
            if self._inside(neighbor) and not self._occupied(neighbor)
        ]
        if free:
            self.prey[who] = free[int(draw * len(free))]

    def _result(self, n_caught: int, n_punished: int) -> Result:
        options = self.options
        reward = n_caught * options.capture_reward + n_punished * options.punishment
        no_prey = all(cell is None for cell in self.prey)
        no_predator = all(cell is None for cell in self.predators)
        terminated = no_prey or no_predator
        return Result(
            reward=reward,
            terminated=terminated,
            # An episode that ends by itself in its last step is not cut short.
            truncated=self.steps >= options.max_steps and not terminated,
            n_caught=n_caught,
            n_punished=n_punished,
        )

    def _inside(self, cell: Cell) -> bool:
        row, column = cell
        return (
            0 <= row < self.options.grid_height
            and 0 <= column < self.options.grid_width
        )

    def _occupied(self, cell: Cell) -> bool:
        return cell in self.predators or cell in self.prey


def _neighbors(cell: Cell) -> list[Cell]:
    """The four cells beside one, in the order right, down, left, up."""
    row, column = cell
    return [(row + d_row, column + d_column) for d_row, d_column in MOVES]
