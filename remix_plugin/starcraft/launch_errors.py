"""What errors mean that appear only when StarCraft II is started.

They are told by the names of their classes and by their messages, of pysc2 4.0.0 and
smacv2 1.0.0, as nothing here imports these packages.
"""

from __future__ import annotations

import re
import shlex

from remix_plugin.starcraft.game_files import (
    describe_starcraft,
    find_game_folder,
    installed_versions,
    known_maps,
)
from remix_plugin.starcraft.installation import (
    WITHOUT_STARCRAFT,
    StarCraftError,
    check_package,
    check_starcraft,
)

DIFFICULTIES = (*(str(level) for level in range(1, 10)), "A")
# What pysc2 raises where files are missing: class, and what its message contains.
_FILE_ERRORS = (
    ("FileNotFoundError", r"Versions'?$"),
    ("RuntimeError", r"Trying to run '.*', but it (isn't executable|doesn't exist)"),
    ("SC2LaunchError", r""),
    ("ValueError", r"Map .* not found in "),
)


def explain_launch_error(
    error: BaseException,
    map_name: str,
    package: str = "smacv2",
    difficulty: object = None,
) -> str | None:
    """Say what an error of starting the game means and what to do.

    Args:
        error: what building, or first resetting, the environment raised.
        map_name: the map to be played.
        package: who plays it, ``"smacv2"`` or ``"smac"``.
        difficulty: the option of that name, if known: a ``KeyError`` is then laid to
            it only if it is of this value.

    Returns:
        str | None: the explanation, for a ``StarCraftError`` raised from ``error``;
        None if the error is not one of those known.

    Raises:
        ValueError: if ``package`` is neither.
    """
    check_package(package)
    explanation = _explain(error, map_name, package, difficulty)
    if explanation is None or WITHOUT_STARCRAFT in explanation:
        return explanation
    return f"{explanation} {WITHOUT_STARCRAFT}"


def _explain(
    error: BaseException, map_name: str, package: str, difficulty: object
) -> str | None:
    if isinstance(error, KeyError):
        return _explain_key(error.args, map_name, package, difficulty)
    classes = {base.__name__ for base in type(error).__mro__}
    text = str(error)
    if "NoMapError" in classes:
        return _unknown_map(map_name, package)
    if "DuplicateMapError" in classes:
        return (
            f"pysc2 knows a map twice ({text}), as both 'smac' and 'smacv2' are "
            "imported in this process: run the tasks of each in a process of its own."
        )
    if "ConnectError" in classes and re.search("SC2 websocket|rejected", text):
        return _died(text)
    unknown = re.search(r"Unknown game version: (.*?)\. Known versions: (.*)\.", text)
    if "ValueError" in classes and unknown:
        return (
            f"game_version={unknown[1]!r} is not installed; there is "
            f"{describe_starcraft()}. It must be one of {unknown[2]}, or null for the "
            "newest that is installed."
        )
    if any(name in classes and re.search(rule, text) for name, rule in _FILE_ERRORS):
        problems = check_starcraft(map_name, package)
        if problems:
            return str(StarCraftError.from_problems(problems, [map_name]))
        return (
            f"pysc2 could not start StarCraft II: {text}. There is "
            f"{describe_starcraft()}."
        )
    return None


def _explain_key(
    key: tuple[object, ...], map_name: str, package: str, difficulty: object
) -> str | None:
    """Explain a ``KeyError``, which tells no more than the key."""
    if key == (map_name,):
        return _unknown_map(map_name, package)
    # Other dictionaries of smacv2 have numbers as keys too, but none at the start.
    numbers: list[object] = list(range(1, 10))
    suspects = numbers if difficulty is None else [difficulty]
    if len(key) == 1 and key[0] in suspects and key[0] not in DIFFICULTIES:
        return (
            f"difficulty={key[0]!r} is not allowed: it must be one of the strings "
            f"{', '.join(map(repr, DIFFICULTIES))}. A shell needs both quotes: "
            "'task.difficulty=\"7\"'."
        )
    return None


def _unknown_map(map_name: str, package: str) -> str:
    known = known_maps(package)
    similar = [name for name in known if name.lower() == map_name.lower()]
    return (
        f"map_name={map_name!r} is not allowed: {package!r} has no such map"
        + (f", but {similar[0]!r}. " if similar and similar != [map_name] else ". ")
        + f"It must be one of {', '.join(known)}, or one that you added to the package."
    )


def _died(text: str) -> str:
    folder = find_game_folder()
    try:
        versions = installed_versions(folder.path) if folder else []
    except OSError:
        versions = []
    program = shlex.quote(str(versions[0].program)) if versions else "SC2_x64"
    return (
        f"StarCraft II was started, but cannot be talked to ({text}): it exited at "
        "once, ran out of memory, or something else has its port. Start it by hand to "
        f"read what it says, `{program} -listen 127.0.0.1 -port 5679`, and see which "
        f"libraries it lacks, `ldd {program}`. Each environment starts a game of its "
        "own: fewer of them need less memory."
    )
