"""A game: the stand-in for StarCraft's process and the controller that steers it."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable
from types import SimpleNamespace

from smacv2 import log
from smacv2.fight import Order, World
from smacv2.protocol import ConnectionError


class Controller:
    """What an environment asks of a running game.

    What plays the game raises :class:`smacv2.protocol.ConnectionError` once it is gone.
    """

    def __init__(self, world: World):
        self._world = world
        self._gone = False

    def lose(self) -> None:
        """End the connection."""
        self._gone = True

    def withhold(self, withheld: bool) -> None:
        """Whether no units appear from now on."""
        self._world.withheld = withheld

    @property
    def world(self) -> World:
        """The units of the running game."""
        if self._gone:
            raise ConnectionError("the connection to the game is lost")
        return self._world

    def step(self, count: int = 1) -> None:
        """Let the game run for ``count`` game loops."""
        self.world.advance(count)

    def observe(self) -> SimpleNamespace:
        """The units, at ``.observation.raw_data.units``."""
        units = [unit.copy() for unit in self.world.units]
        raw = SimpleNamespace(units=units)
        return SimpleNamespace(observation=SimpleNamespace(raw_data=raw))

    def actions(self, orders: Iterable[Order]) -> None:
        """Tell our units what to do in the next step."""
        self.world.order(orders)

    def create(self, kind: str, owner: int, unit_type: int, x: float, y: float) -> None:
        """Put a unit on the map."""
        self.world.create(kind, owner, unit_type, x, y)

    def kill(self, tags: Iterable[int]) -> None:
        """Take units off the map."""
        self.world.kill(tags)


class Game:
    """A launched game; it is logged as closed once, by ``close`` or with its end."""

    _numbers = itertools.count(1)

    def __init__(self, world: World, map_name: str, seed: int | None):
        self.number = next(self._numbers)
        self.controller = Controller(world)
        log.record("launch", game=self.number, map_name=map_name, seed=seed)
        self._end = weakref.finalize(self, log.record, "close", game=self.number)

    def close(self) -> None:
        """Close the game."""
        self.controller.lose()
        self._end()
