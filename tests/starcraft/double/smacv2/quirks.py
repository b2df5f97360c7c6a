"""What the real package does and one would not expect, each with a switch.

The environment variable ``SMACV2_DOUBLE`` is read whenever an environment is built. It
holds names separated by commas: ``name`` switches a quirk on, ``no_name`` off, and
``name=2``, ``name=2+5``, ``name=3-9`` say when. What it does not name stays as it is
in :class:`Quirks`, which is as in the real package.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

VARIABLE = "SMACV2_DOUBLE"


class EndlessRestart(RuntimeError):  # noqa: N818  says what would happen
    """The real package would wait for ever for an empty map."""


@dataclass(frozen=True)
class Quirks:
    """The switches; numbers of calls count from 1 in the life of an environment.

    Attributes:
        wiped_features: an enemy that an agent does not know of yet wipes that
            agent's features of all enemies with a lower index.
        growing_reward: until an episode has finished, each reset launches another
            game and adds the enemies' health to ``max_reward`` again.
        endless_restart: v1 maps respawn both armies in the step that finds the map
            empty, so that waiting for an empty map never ends.
        misread_types: allies of mixed v1 maps are typed by the enemies' table:
            an ``IndexError`` on maps of stalkers and zealots, the last type elsewhere.
        lost_connection_at: calls of ``step`` that find the game gone.
        lost_connection_at_reset: calls of ``reset`` that find the game gone.
        lost_connection_at_spawn: calls of ``reset`` in which the game goes while they
            look for the units, which leaves the environment without any.
        units_fail_to_spawn: calls of ``reset``, repeated ones included, for which
            no units appear.
        broken_render: ``render`` fails as it does on Python 3.11 and newer.
    """

    wiped_features: bool = True
    growing_reward: bool = True
    endless_restart: bool = True
    misread_types: bool = True
    lost_connection_at: frozenset[int] = frozenset()
    lost_connection_at_reset: frozenset[int] = frozenset()
    lost_connection_at_spawn: frozenset[int] = frozenset()
    units_fail_to_spawn: frozenset[int] = frozenset()
    broken_render: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Quirks:
        """The quirks that ``SMACV2_DOUBLE`` asks for.

        Raises:
            ValueError: if it names a quirk that does not exist.
        """
        text = (os.environ if environment is None else environment).get(VARIABLE, "")
        defaults = {field.name: field.default for field in fields(cls)}
        changes: dict[str, bool | frozenset[int]] = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            name, _, when = item.partition("=")
            off = name.startswith("no_")
            name = name.removeprefix("no_")
            if name not in defaults:
                raise ValueError(
                    f"{VARIABLE} names the quirk {name!r}; known are {list(defaults)}."
                )
            if isinstance(defaults[name], bool):
                changes[name] = not off
            else:
                changes[name] = frozenset() if off else _numbers(when or "1")
        return replace(cls(), **changes)


def _numbers(text: str) -> frozenset[int]:
    """The numbers that ``2``, ``2+5`` or ``3-9`` stand for."""
    numbers: set[int] = set()
    for part in text.split("+"):
        first, _, last = part.partition("-")
        numbers |= set(range(int(first), int(last or first) + 1))
    return frozenset(numbers)
