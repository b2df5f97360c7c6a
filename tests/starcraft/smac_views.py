"""What agents of SMAC should see, written out unit by unit.

Types are told by their health: ``{type's health: place in the one-hot code}``.
"""

from __future__ import annotations

import math
from typing import Any

SIGHT = 9.0
MARAUDER, MARINE, MEDIVAC = 125, 45, 150
STALKER, ZEALOT, COLOSSUS = 80, 100, 200
BANELING, ZERGLING = 30, 35

TERRANS = {MARAUDER: 0, MARINE: 1, MEDIVAC: 2}
GATEWAY = ("2s3z", "3s5z", "3s5z_vs_3s6z")
PROTOSS = {COLOSSUS: 0, STALKER: 1, ZEALOT: 2}
ZERG = {BANELING: 0, ZERGLING: 1}
# Allies bear types of the map's own; the game's own are counted from the zealot on.
ALLIED_TYPES = {
    **{name: {STALKER: 0, ZEALOT: 1} for name in GATEWAY},
    "MMM": TERRANS,
    "MMM2": TERRANS,
    "1c3s5z": PROTOSS,
    "bane_vs_bane": ZERG,
}
ENEMY_TYPES = {
    **ALLIED_TYPES,
    **{name: {ZEALOT: 0, STALKER: 1} for name in GATEWAY},
}


def expected_observation(game: Any, agent: int, mask: list[bool]) -> list[float]:
    """The observation of an agent, with the default options.

    Args:
        game: has ``agents``, ``enemies`` and ``map_name``.
        agent: whose it is.
        mask: its available actions.
    """
    unit = game.agents[agent]
    allies = [other for i, other in game.agents.items() if i != agent]
    enemies = list(game.enemies.values())
    own = ALLIED_TYPES.get(game.map_name, {})
    theirs = ENEMY_TYPES.get(game.map_name, {})
    row = [float(free) for free in mask[2:6]]
    for index, enemy in enumerate(enemies):
        row += _seen(unit, enemy, float(mask[6 + index]), theirs)
    for ally in allies:
        row += _seen(unit, ally, 1.0, own)
    row += _condition(unit, own)
    return row if unit.health > 0 else [0.0] * len(row)


def _seen(unit: Any, other: Any, flag: float, types: dict[int, int]) -> list[float]:
    x, y = other.pos.x - unit.pos.x, other.pos.y - unit.pos.y
    distance = math.hypot(x, y)
    row = [flag, distance / SIGHT, x / SIGHT, y / SIGHT, *_condition(other, types)]
    in_sight = distance < SIGHT and other.health > 0
    return row if in_sight else [0.0] * len(row)


def _condition(unit: Any, types: dict[int, int]) -> list[float]:
    row = [unit.health / unit.health_max]
    if unit.shield_max:
        row.append(unit.shield / unit.shield_max)
    code = [0.0] * len(types)
    if types:
        code[types[round(unit.health_max)]] = 1.0
    return row + code
