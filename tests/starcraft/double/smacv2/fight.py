"""The fight: units of two sides on a flat map, advanced by game loops.

Ours do what they are told for one step; theirs walk to the closest of ours and shoot.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

SIZE = 32
"""Length of the map's sides."""
LOOPS = 8
"""Game loops for which speeds and damages are given."""
ALLY, ENEMY = 1, 2
V1_RANGE = 6.0
"""How far all units of v1 maps shoot, as their agents are told."""
ENEMY_STRENGTH = 0.6
"""Share of their damage that enemies deal: so that focused fire wins most battles."""
MELEE_RANGE = 2.0
RANK = 8
"""Units side by side in an army of a v1 map; the others stand behind."""


@dataclass(frozen=True)
class Kind:
    """What units of a kind have in common.

    Attributes:
        unit_type: number of the kind in StarCraft II, which enemies carry.
        health: hit points; ``shield`` is lost first.
        shield: shield points.
        damage: points dealt by one shot; a medivac heals as many.
        speed: distance walked in 8 game loops.
        range: how far it shoots where each kind has its own range.
        sight: how far it sees where each kind has its own sight.
    """

    unit_type: int
    health: float
    shield: float
    damage: float
    speed: float
    range: float
    sight: float


KINDS = {
    "baneling": Kind(9, 30, 0, 8, 1.3, 0.25, 8),
    "colossus": Kind(4, 200, 150, 14, 1.1, 7, 10),
    "hydralisk": Kind(107, 80, 0, 8, 1.1, 5, 9),
    "marauder": Kind(51, 125, 0, 10, 1.1, 6, 10),
    "marine": Kind(48, 45, 0, 6, 1.2, 5, 9),
    "medivac": Kind(54, 150, 0, 6, 1.2, 4, 11),
    "stalker": Kind(74, 80, 80, 9, 1.3, 6, 10),
    "zealot": Kind(73, 100, 50, 8, 1.2, 0.1, 9),
    "zergling": Kind(105, 35, 0, 5, 1.4, 0.1, 8),
    "spine_crawler": Kind(98, 300, 0, 12, 0, 7, 11),
}


@dataclass
class Position:
    """Where a unit stands."""

    x: float
    y: float
    z: float = 0.0

    def distance(self, other: Position) -> float:
        """Distance to another position."""
        return math.hypot(other.x - self.x, other.y - self.y)


@dataclass
class Unit:
    """A unit as the game shows it; ``kind`` alone is the double's own."""

    tag: int
    owner: int
    unit_type: int
    kind: str
    pos: Position
    health: float
    health_max: float
    shield: float
    shield_max: float
    weapon_cooldown: float = 0.0
    energy: float = 50.0

    def copy(self) -> Unit:
        """A unit that no longer changes with this one."""
        return replace(self, pos=replace(self.pos))


@dataclass(frozen=True)
class Order:
    """What one of our units is told: to walk to a point or to attack (or heal)."""

    tag: int
    point: tuple[float, float] | None = None
    target: int | None = None


class World:
    """The units on the map, and the trigger that brings those of a v1 map back.

    Args:
        rng: where units of a v1 map stand.
        army: kinds of our and of their units on a v1 map; the map of generated
            teams has none.
        first_type: number of the first kind of our units of a v1 map.
        prompt: the trigger acts in the step that finds the map empty, else one later.
        withheld: no units appear.
    """

    _tags = itertools.count(1001)

    def __init__(
        self,
        rng: np.random.Generator,
        army: tuple[Sequence[str], Sequence[str]] | None,
        first_type: int,
        *,
        prompt: bool,
        withheld: bool,
    ):
        self.units: list[Unit] = []
        self.withheld = withheld
        self._rng = rng
        self._army = army
        self._first_type = first_type
        self._prompt = prompt
        self._found_empty = False
        self._orders: dict[int, Order] = {}
        self._spawn_army()

    def create(self, kind: str, owner: int, unit_type: int, x: float, y: float) -> None:
        """Put a unit on the map."""
        if self.withheld:
            return
        data = KINDS[kind]
        self.units.append(
            Unit(
                tag=next(self._tags),
                owner=owner,
                unit_type=unit_type,
                kind=kind,
                pos=Position(_inside(x), _inside(y)),
                health=data.health,
                health_max=data.health,
                shield=data.shield,
                shield_max=data.shield,
            )
        )

    def kill(self, tags: Iterable[int]) -> None:
        """Take units off the map."""
        doomed = set(tags)
        self.units = [unit for unit in self.units if unit.tag not in doomed]

    def order(self, orders: Iterable[Order]) -> None:
        """Tell our units what to do in the next step."""
        self._orders = {order.tag: order for order in orders}

    def advance(self, loops: int) -> None:
        """Let the game run for some game loops."""
        if not self.units:
            if self._prompt or self._found_empty:
                self._spawn_army()
            self._found_empty = not self.units
            return
        hits = self._act(loops)
        for unit, damage in hits:
            if damage < 0:
                unit.health = min(unit.health - damage, unit.health_max)
                continue
            absorbed = min(unit.shield, damage)
            unit.shield -= absorbed
            unit.health -= damage - absorbed
        self.units = [unit for unit in self.units if unit.health > 0]
        self._orders = {}
        for unit in self.units:
            unit.weapon_cooldown = max(0.0, unit.weapon_cooldown - loops)

    def _act(self, loops: int) -> list[tuple[Unit, float]]:
        """Let all walk, and return whom shots hit with which damage."""
        by_tag = {unit.tag: unit for unit in self.units}
        # Nobody sees where others walk in this step, so the order does not matter.
        places = {unit.tag: replace(unit.pos) for unit in self.units}
        hits: list[tuple[Unit, float]] = []
        for unit in self.units:
            point, target = self._intent(unit, by_tag, places)
            if target is not None:
                place = places[target.tag]
                if unit.pos.distance(place) <= self._range(unit):
                    if unit.weapon_cooldown <= 0:
                        damage = KINDS[unit.kind].damage
                        damage *= ENEMY_STRENGTH if unit.owner == ENEMY else 1.0
                        hits.append((target, -damage if _heals(unit) else damage))
                        unit.weapon_cooldown = LOOPS
                    continue
                point = (place.x, place.y)
            if point is not None:
                _walk(unit, point, KINDS[unit.kind].speed * loops / LOOPS)
        return hits

    def _intent(
        self, unit: Unit, by_tag: dict[int, Unit], places: dict[int, Position]
    ) -> tuple[tuple[float, float] | None, Unit | None]:
        """Where a unit wants to go or whom it wants to hit."""
        if unit.owner == ALLY:
            order = self._orders.get(unit.tag)
            if order is None:
                return None, None
            return order.point, by_tag.get(order.target)
        others = [
            other
            for other in self.units
            if other is not unit and (other.owner == unit.owner) == _heals(unit)
        ]
        here = places[unit.tag]
        if not others:
            return None, None
        return None, min(others, key=lambda other: here.distance(places[other.tag]))

    def _range(self, unit: Unit) -> float:
        if self._army is not None:
            return V1_RANGE
        return max(KINDS[unit.kind].range, MELEE_RANGE)

    def _spawn_army(self) -> None:
        """Put both armies of a v1 map up, facing each other ten apart."""
        if self._army is None:
            return
        kinds = sorted(set(self._army[0]))
        for owner, army in zip((ALLY, ENEMY), self._army, strict=True):
            for index, kind in enumerate(army):
                rank, file = divmod(index, RANK)
                width = min(len(army) - rank * RANK, RANK)
                depth = 5 + rank + self._rng.uniform(-0.3, 0.3)
                x = SIZE / 2 + (depth if owner == ENEMY else -depth)
                y = SIZE / 2 + 1.2 * (file - (width - 1) / 2)
                if owner == ALLY:
                    unit_type = self._first_type + kinds.index(kind)
                else:
                    unit_type = KINDS[kind].unit_type
                self.create(kind, owner, unit_type, x, y + self._rng.uniform(-0.3, 0.3))


def _heals(unit: Unit) -> bool:
    return unit.kind == "medivac"


def _inside(coordinate: float) -> float:
    return float(min(max(coordinate, 0.0), SIZE - 0.1))


def _walk(unit: Unit, point: tuple[float, float], length: float) -> None:
    """Walk towards a point, at most for a length."""
    x, y = point[0] - unit.pos.x, point[1] - unit.pos.y
    distance = math.hypot(x, y)
    if distance > 0:
        share = min(1.0, length / distance)
        unit.pos.x = _inside(unit.pos.x + share * x)
        unit.pos.y = _inside(unit.pos.y + share * y)
