"""Numbers of our units' types, as the game and as observations name them."""

from __future__ import annotations

from smacv2.fight import KINDS, Unit

FIRST_TYPE = 2005
"""First of the types that maps define for the units that agents steer."""
GENERATED = ("baneling", "colossus", "hydralisk", "marauder", "marine", "medivac")
GENERATED += ("stalker", "zealot", "zergling")

# Order of the types in observations, by map type; on v1 maps that of the enemies.
ORDER = {
    "protoss_gen": ("stalker", "zealot", "colossus"),
    "terran_gen": ("marine", "marauder", "medivac"),
    "zerg_gen": ("zergling", "hydralisk", "baneling"),
    "stalkers_and_zealots": ("zealot", "stalker"),
    "colossi_stalkers_zealots": ("colossus", "stalker", "zealot"),
    "bane": ("baneling", "zergling"),
    "MMM": ("marauder", "marine", "medivac"),
}
# Kinds of a v1 map in the order of their types.
_V1_KINDS = {
    "marines": ("marine",),
    "stalkers": ("stalker",),
    "zealots": ("zealot",),
    "hydralisks": ("hydralisk",),
    "colossus": ("colossus",),
    "stalkers_and_zealots": ("stalker", "zealot"),
    "colossi_stalkers_zealots": ("colossus", "stalker", "zealot"),
    "bane": ("baneling", "zergling"),
    "MMM": ("marauder", "marine", "medivac"),
}


def ally_types(map_type: str, first_type: int) -> dict[str, int]:
    """Types by which an environment knows the kinds of our units."""
    if map_type.endswith("_gen"):
        kinds = GENERATED
    else:
        kinds = _V1_KINDS[map_type]
    types = {kind: first_type + index for index, kind in enumerate(kinds)}
    if map_type == "marines":
        # Not what the units carry: unit ranges cannot be looked up on these maps.
        types["marine"] = first_type + GENERATED.index("marine")
    return types


def ally_type_id(unit: Unit, map_type: str, first_type: int, *, misread: bool) -> int:
    """Index of the type of one of our units in an observation.

    Args:
        unit: the unit.
        map_type: what stands on the map.
        first_type: the lowest type of our units.
        misread: look types of v1 maps up among the enemies', as the real package does.
    """
    if map_type.endswith("_gen"):
        return ORDER[map_type].index(unit.kind)
    if not misread:
        return unit.unit_type - first_type
    if map_type == "stalkers_and_zealots":
        # Far out of bounds: what follows is an IndexError.
        return unit.unit_type - KINDS["zealot"].unit_type
    return len(ORDER[map_type]) - 1
