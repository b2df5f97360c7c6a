"""A small StarCraft II battle: what happens between two requests of a client.

Units have the health, shields, weapons and speeds of the real game to about a tenth.
Left out: collisions, turning, terrain, upgrades and fog (SMAC's maps reveal all).
Time is counted in game steps, of which SMAC plays 8 per action.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

AGENTS, ENEMIES = 1, 2
MAP_SIZE = 32

# In the real game the first custom type depends on the version; near 1970 in 4.10.
FIRST_CUSTOM_TYPE = 1970
REGENERATION_DELAY, REGENERATION = 160, 0.125
HEALING, HEALING_ENERGY = 0.56, 0.19


@dataclass(frozen=True)
class Kind:
    """What all units of one type share; periods and speeds are per game step."""

    unit_type: int
    health: float
    speed: float
    radius: float
    damage: float = 0.0
    hits: int = 1
    period: int = 0
    reach: float = 0.0
    shield: float = 0.0
    energy: float = 0.0
    armor: float = 0.0
    armored: bool = False
    bonus: float = 0.0
    splash: float = 0.0
    explodes: bool = False


KINDS = {
    "baneling": Kind(9, 30, 0.16, 0.375, 16, 1, 1, 0.25, splash=2.2, explodes=True),
    "colossus": Kind(
        4, 200, 0.14, 1.0, 10, 2, 24, 7, 150, armor=1, armored=True, splash=0.5
    ),
    "hydralisk": Kind(107, 90, 0.14, 0.625, 12, 1, 13, 5),
    "marauder": Kind(
        51, 125, 0.14, 0.5625, 10, 1, 24, 6, armor=1, armored=True, bonus=10
    ),
    "marine": Kind(48, 45, 0.14, 0.375, 6, 1, 14, 5),
    "medivac": Kind(54, 150, 0.16, 0.75, energy=50, reach=4, armor=1, armored=True),
    "spine_crawler": Kind(98, 300, 0.0, 0.9, 25, 1, 30, 7, armor=2, bonus=5),
    "stalker": Kind(
        74, 80, 0.18, 0.625, 13, 1, 30, 6, 80, armor=1, armored=True, bonus=5
    ),
    "zealot": Kind(73, 100, 0.14, 0.5, 8, 2, 19, 0.1, 50, armor=1),
    "zergling": Kind(105, 35, 0.18, 0.375, 5, 1, 11, 0.1),
}
CUSTOM_KINDS = sorted(set(KINDS) - {"spine_crawler"})


def _army(text: str) -> list[str]:
    words = text.split()
    return [
        kind
        for number, kind in zip(words[::2], words[1::2], strict=True)
        for _ in range(int(number))
    ]


def _armies(agents: str, enemies: str | None = None) -> tuple[list[str], list[str]]:
    return _army(agents), _army(agents if enemies is None else enemies)


ARMIES = {
    "3m": _armies("3 marine"),
    "8m": _armies("8 marine"),
    "25m": _armies("25 marine"),
    "5m_vs_6m": _armies("5 marine", "6 marine"),
    "8m_vs_9m": _armies("8 marine", "9 marine"),
    "10m_vs_11m": _armies("10 marine", "11 marine"),
    "27m_vs_30m": _armies("27 marine", "30 marine"),
    "MMM": _armies("1 medivac 2 marauder 7 marine"),
    "MMM2": _armies("1 medivac 2 marauder 7 marine", "1 medivac 3 marauder 8 marine"),
    "2s3z": _armies("2 stalker 3 zealot"),
    "3s5z": _armies("3 stalker 5 zealot"),
    "3s5z_vs_3s6z": _armies("3 stalker 5 zealot", "3 stalker 6 zealot"),
    "3s_vs_3z": _armies("3 stalker", "3 zealot"),
    "3s_vs_4z": _armies("3 stalker", "4 zealot"),
    "3s_vs_5z": _armies("3 stalker", "5 zealot"),
    "1c3s5z": _armies("1 colossus 3 stalker 5 zealot"),
    "2m_vs_1z": _armies("2 marine", "1 zealot"),
    "corridor": _armies("6 zealot", "24 zergling"),
    "6h_vs_8z": _armies("6 hydralisk", "8 zealot"),
    "2s_vs_1sc": _armies("2 stalker", "1 spine_crawler"),
    "so_many_baneling": _armies("7 zealot", "32 baneling"),
    "bane_vs_bane": _armies("4 baneling 20 zergling"),
    "2c_vs_64zg": _armies("2 colossus", "64 zergling"),
}


class EndlessRestart(RuntimeError):  # noqa: N818  what happens, not what is wrong
    """A client waits for an empty map to stay empty; the real one would hang."""


@dataclass
class Options:
    """What a test may change at any time; armies follow at their next spawn.

    Attributes:
        gap: distance between the front lines (sight 9, weapons 6 in SMAC).
        hidden_enemy: put the last enemy into a far corner.
        idle_enemies: enemies neither move nor shoot.
        failed_spawns: so many spawns to come leave out the last agent.
        respawn: an empty v1 map brings both armies back (the map's trigger).
        respawn_delay: game steps for which the map stays empty before.
        patience: steps without orders after a kill before ``EndlessRestart``.
        lose_connection_at: game step of the running process at which it is lost, once.
        lost_as: the connection breaks (``connection``) or the game answers with an
            error (``protocol``).
    """

    gap: float = 8.0
    hidden_enemy: bool = False
    idle_enemies: bool = False
    failed_spawns: int = 0
    respawn: bool = True
    respawn_delay: int = 0
    patience: int = 200
    lose_connection_at: int | None = None
    lost_as: str = "connection"


@dataclass(frozen=True)
class Order:
    """Where to go, or whom to attack (or heal)."""

    point: tuple[float, float] | None = None
    target: int | None = None


@dataclass(eq=False)
class Unit:
    """One unit on the map."""

    tag: int
    kind: Kind
    unit_type: int
    owner: int
    x: float
    y: float
    order: Order | None = None
    cooldown: float = 0.0
    struck_at: int = -REGENERATION_DELAY
    health: float = field(init=False)
    shield: float = field(init=False)
    energy: float = field(init=False)

    def __post_init__(self) -> None:
        self.health, self.shield = self.kind.health, self.kind.shield
        self.energy = self.kind.energy

    def distance(self, other: Unit) -> float:
        return math.hypot(other.x - self.x, other.y - self.y)

    def suffer(self, weapon: Kind, loop: int) -> None:
        """Take one shot: shields first, armour against what is left of each hit."""
        self.struck_at = loop
        for _ in range(weapon.hits):
            hit = weapon.damage + (weapon.bonus if self.kind.armored else 0.0)
            absorbed = min(self.shield, hit)
            self.shield -= absorbed
            if hit > absorbed:
                self.health -= max(0.5, hit - absorbed - self.kind.armor)
        self.health = max(self.health, 0.0)

    def approach(self, x: float, y: float, leave: float = 0.0) -> None:
        """Go one game step towards a point, up to a distance from it."""
        far = math.hypot(x - self.x, y - self.y)
        stride = min(self.kind.speed, far - leave)
        if stride > 0:
            self.x += (x - self.x) / far * stride
            self.y += (y - self.y) / far * stride
        self.x = min(max(self.x, 1.0), MAP_SIZE - 1.0)
        self.y = min(max(self.y, 1.0), MAP_SIZE - 1.0)


class Battle:
    """The map with its units, from the start of a game to its end."""

    def __init__(self, map_name: str, seed: int | None, options: Options) -> None:
        self.map_name = map_name
        self.options = options
        self.loop = 0
        self.respawns = 0
        self._empty_for = 0
        self.units: list[Unit] = []
        self._random = random.Random(seed)
        self._next_tag = 1 << 20
        self._complete = False
        self._killed_all = False
        self._waited = 0
        self.scenario = ARMIES.get(map_name)
        if self.scenario is not None:
            self._spawn_armies()

    def find(self, tag: int | None) -> Unit | None:
        return next((unit for unit in self.units if unit.tag == tag), None)

    def side(self, owner: int) -> list[Unit]:
        return [unit for unit in self.units if unit.owner == owner]

    def command(self, tag: int, order: Order | None) -> None:
        """Replace the order of a unit of the agents."""
        self._killed_all = False
        unit = self.find(tag)
        if unit is not None and unit.owner == AGENTS:
            unit.order = order

    def kill(self, tags: list[int]) -> None:
        """The debug command: no matter whose units they are."""
        self.units = [unit for unit in self.units if unit.tag not in set(tags)]
        self._killed_all, self._waited = not self.units, 0

    def create(self, unit_type: int, owner: int, x: float, y: float) -> None:
        """Add a unit by its standard or custom type.

        Raises:
            KeyError: if there is no such type.
        """
        names = {kind.unit_type: name for name, kind in KINDS.items()}
        names |= {FIRST_CUSTOM_TYPE + i: name for i, name in enumerate(CUSTOM_KINDS)}
        self._add(names[unit_type], unit_type, owner, x, y)

    def step(self, count: int) -> None:
        """Let time pass.

        Raises:
            EndlessRestart: if a client killed everything and, without giving orders,
                goes on waiting though both armies are back.
        """
        for _ in range(count):
            self._advance()
        if self._killed_all and self.units and self._complete:
            self._waited += 1
            if self._waited > self.options.patience:
                raise EndlessRestart(
                    f"waited {self._waited} times for {self.map_name} to be empty, but "
                    "its armies come back in the step after their death"
                )

    def _advance(self) -> None:
        self.loop += 1
        if not self.units:
            self._empty_for += 1
            if (
                self.scenario is not None
                and self.options.respawn
                and self._empty_for > self.options.respawn_delay
            ):
                self.respawns += 1
                self._empty_for = 0
                self._spawn_armies()
            return
        turns = list(self.units)
        self._random.shuffle(turns)
        for unit in turns:
            if unit.health > 0:
                self._act(unit)
        self.units = [unit for unit in self.units if unit.health > 0]

    def _act(self, unit: Unit) -> None:
        unit.cooldown = max(0.0, unit.cooldown - 1)
        if self.loop - unit.struck_at > REGENERATION_DELAY:
            unit.shield = min(unit.kind.shield, unit.shield + REGENERATION)
        target = None
        if unit.owner == AGENTS:
            # Units that agents control do not defend themselves.
            order = unit.order or Order()
            if order.point is not None:
                unit.approach(*order.point)
            target = self.find(order.target)
        elif not self.options.idle_enemies:
            target = self._closest_target(unit)
        if target is not None and target.health > 0:
            self._engage(unit, target)

    def _closest_target(self, unit: Unit) -> Unit | None:
        owner = AGENTS if unit.kind.damage else ENEMIES
        others = [o for o in self.side(owner) if o.health > 0 and o is not unit]
        if not unit.kind.damage:
            others = [o for o in others if o.health < o.kind.health] or others
        return min(others, key=unit.distance, default=None)

    def _engage(self, unit: Unit, target: Unit) -> None:
        reach = unit.kind.reach + unit.kind.radius + target.kind.radius
        if unit.distance(target) > reach + 1e-6:
            unit.approach(target.x, target.y, leave=reach)
        elif not unit.kind.damage:
            self._heal(unit, target)
        elif unit.cooldown <= 0:
            unit.cooldown = unit.kind.period
            for other in self.side(target.owner):
                near = other.distance(target) <= unit.kind.splash
                if other is target or (unit.kind.splash and near):
                    other.suffer(unit.kind, self.loop)
            if unit.kind.explodes:
                unit.health = 0.0

    @staticmethod
    def _heal(unit: Unit, target: Unit) -> None:
        wound = target.kind.health - target.health
        if target.owner == unit.owner and wound > 0 and unit.energy >= HEALING_ENERGY:
            target.health += min(HEALING, wound)
            unit.energy -= HEALING_ENERGY

    def _spawn_armies(self) -> None:
        agents, enemies = self.scenario
        self._complete = not self.options.failed_spawns
        custom = sorted(set(agents))
        for owner, army in ((AGENTS, agents), (ENEMIES, enemies)):
            for place, name in enumerate(army):
                last = place == len(army) - 1
                if owner == AGENTS and last and self.options.failed_spawns:
                    self.options.failed_spawns -= 1
                    continue
                x, y = self._place(owner, place, len(army))
                unit_type = KINDS[name].unit_type
                if owner == AGENTS:
                    unit_type = FIRST_CUSTOM_TYPE + custom.index(name)
                elif last and self.options.hidden_enemy:
                    x = y = MAP_SIZE - 2.0
                self._add(name, unit_type, owner, x, y)

    def _place(self, owner: int, place: int, size: int) -> tuple[float, float]:
        row, column = place % 8, place // 8
        in_column = min(8, size - 8 * column)
        away = self.options.gap / 2 + 0.7 * column + self._random.uniform(0, 0.1)
        y = MAP_SIZE / 2 + 0.7 * (row - (in_column - 1) / 2)
        x = MAP_SIZE / 2 + (away if owner == ENEMIES else -away)
        return x, y + self._random.uniform(-0.1, 0.1)

    def _add(self, name: str, unit_type: int, owner: int, x: float, y: float) -> None:
        unit = Unit(self._next_tag, KINDS[name], unit_type, owner, x, y)
        self._next_tag += 1
        self.units.append(unit)
