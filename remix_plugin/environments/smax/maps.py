"""Who fights whom on the maps of SMAX; data alone, so that listing them is free."""

from __future__ import annotations

from dataclasses import dataclass

#: The engine's unit types, at their indices there.
UNIT_TYPES = ("marine", "marauder", "stalker", "zealot", "zergling", "hydralisk")


@dataclass(frozen=True)
class SmaxMap:
    """The two sides of a map.

    Attributes:
        allies (tuple of str): type of each ally.
        enemies (tuple of str): type of each enemy.
        generated (bool): whether types and start positions are drawn anew in each
            episode, in the manner of SMACv2; those above then only give the numbers.
    """

    allies: tuple[str, ...]
    enemies: tuple[str, ...]
    generated: bool = False


def _side(**counts: int) -> tuple[str, ...]:
    return tuple(unit for unit, count in counts.items() for _ in range(count))


def _generated(n_units: int) -> SmaxMap:
    units = _side(marine=n_units)
    return SmaxMap(units, units, generated=True)


#: All maps. The first group is JaxMARL's own; the units are those of the SMAC maps of
#: the same names, the ground is always SMAX's open square.
MAPS = {
    "3m": SmaxMap(_side(marine=3), _side(marine=3)),
    "8m": SmaxMap(_side(marine=8), _side(marine=8)),
    "25m": SmaxMap(_side(marine=25), _side(marine=25)),
    "5m_vs_6m": SmaxMap(_side(marine=5), _side(marine=6)),
    "10m_vs_11m": SmaxMap(_side(marine=10), _side(marine=11)),
    "27m_vs_30m": SmaxMap(_side(marine=27), _side(marine=30)),
    "2s3z": SmaxMap(_side(stalker=2, zealot=3), _side(stalker=2, zealot=3)),
    "3s5z": SmaxMap(_side(stalker=3, zealot=5), _side(stalker=3, zealot=5)),
    "3s5z_vs_3s6z": SmaxMap(_side(stalker=3, zealot=5), _side(stalker=3, zealot=6)),
    "3s_vs_5z": SmaxMap(_side(stalker=3), _side(zealot=5)),
    "6h_vs_8z": SmaxMap(_side(hydralisk=6), _side(zealot=8)),
    "smacv2_5_units": _generated(5),
    "smacv2_10_units": _generated(10),
    "smacv2_20_units": _generated(20),
    # Not in JaxMARL: built of its unit types
    "corridor": SmaxMap(_side(zealot=6), _side(zergling=24)),
    "8m_vs_9m": SmaxMap(_side(marine=8), _side(marine=9)),
    "3s_vs_3z": SmaxMap(_side(stalker=3), _side(zealot=3)),
    "3s_vs_4z": SmaxMap(_side(stalker=3), _side(zealot=4)),
    "2m_vs_1z": SmaxMap(_side(marine=2), _side(zealot=1)),
}
