"""The 23 maps of SMAC v1 and the 3 of SMACv2, with the armies of the former."""

from __future__ import annotations

from typing import Any

RACES = {
    "marine": "T",
    "marauder": "T",
    "medivac": "T",
    "stalker": "P",
    "zealot": "P",
    "colossus": "P",
    "zergling": "Z",
    "baneling": "Z",
    "hydralisk": "Z",
    "spine_crawler": "Z",
}
LETTERS = {"m": "marine", "s": "stalker", "z": "zealot", "c": "colossus"}
LETTERS |= {"h": "hydralisk", "l": "zergling", "b": "baneling", "k": "spine_crawler"}
LETTERS |= {"d": "marauder", "v": "medivac"}

# Name: allies, enemies, limit in steps, bits of the unit type, map type.
_V1 = {
    "3m": ("3m", "3m", 60, 0, "marines"),
    "8m": ("8m", "8m", 120, 0, "marines"),
    "25m": ("25m", "25m", 150, 0, "marines"),
    "5m_vs_6m": ("5m", "6m", 70, 0, "marines"),
    "8m_vs_9m": ("8m", "9m", 120, 0, "marines"),
    "10m_vs_11m": ("10m", "11m", 150, 0, "marines"),
    "27m_vs_30m": ("27m", "30m", 180, 0, "marines"),
    "MMM": ("1v 2d 7m", "1v 2d 7m", 150, 3, "MMM"),
    "MMM2": ("1v 2d 7m", "1v 3d 8m", 180, 3, "MMM"),
    "2s3z": ("2s 3z", "2s 3z", 120, 2, "stalkers_and_zealots"),
    "3s5z": ("3s 5z", "3s 5z", 150, 2, "stalkers_and_zealots"),
    "3s5z_vs_3s6z": ("3s 5z", "3s 6z", 170, 2, "stalkers_and_zealots"),
    "3s_vs_3z": ("3s", "3z", 150, 0, "stalkers"),
    "3s_vs_4z": ("3s", "4z", 200, 0, "stalkers"),
    "3s_vs_5z": ("3s", "5z", 250, 0, "stalkers"),
    "1c3s5z": ("1c 3s 5z", "1c 3s 5z", 180, 3, "colossi_stalkers_zealots"),
    "2m_vs_1z": ("2m", "1z", 150, 0, "marines"),
    "corridor": ("6z", "24l", 400, 0, "zealots"),
    "6h_vs_8z": ("6h", "8z", 150, 0, "hydralisks"),
    "2s_vs_1sc": ("2s", "1k", 300, 0, "stalkers"),
    "so_many_baneling": ("7z", "32b", 100, 0, "zealots"),
    "bane_vs_bane": ("4b 20l", "4b 20l", 200, 2, "bane"),
    "2c_vs_64zg": ("2c", "64l", 400, 0, "colossus"),
}


def _army(text: str) -> tuple[str, ...]:
    """The units that ``1c 3s`` stands for."""
    parts = [(LETTERS[part[-1]], int(part[:-1])) for part in text.split()]
    return tuple(kind for kind, number in parts for _ in range(number))


def _v1(allies: str, enemies: str, limit: int, bits: int, kind: str) -> dict[str, Any]:
    """Parameters of a v1 map, named as in the real package, and its armies."""
    army = _army(allies), _army(enemies)
    return {
        "n_agents": len(army[0]),
        "n_enemies": len(army[1]),
        "limit": limit,
        "a_race": RACES[army[0][0]],
        "b_race": RACES[army[1][0]],
        "unit_type_bits": bits,
        "map_type": kind,
        "army": army,
    }


def _generated(race: str) -> dict[str, Any]:
    """Parameters of a map of generated teams of a race."""
    return {
        "n_agents": 10,
        "n_enemies": 10,
        "limit": 200,
        "a_race": race[0].upper(),
        "b_race": race[0].upper(),
        "unit_type_bits": 3,
        "map_type": f"{race}_gen",
        "army": None,
    }


_REGISTRY = {
    **{f"10gen_{race}": _generated(race) for race in ("terran", "zerg", "protoss")},
    **{name: _v1(*row) for name, row in _V1.items()},
}


def get_smac_map_registry() -> dict[str, dict[str, Any]]:
    """Parameters of all maps by their names."""
    return _REGISTRY
