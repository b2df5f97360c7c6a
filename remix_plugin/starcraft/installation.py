"""What StarCraft tasks need and do not find, told before anything is started.

Linux is checked in full. On macOS and Windows the game's folder is checked where
``SC2PATH`` names it or it is at its default place, and otherwise left to pysc2.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

from remix_plugin.starcraft.game_files import (
    GameFolder,
    find_game_folder,
    installed_versions,
    known_maps,
    map_file,
)

PACKAGES = {
    "smacv2": "https://github.com/oxwhirl/smacv2.git",
    "smac": "https://github.com/oxwhirl/smac.git",
}
# What tells oxwhirl's packages from others of their name, and from their checkouts.
_MARKS = {"smacv2": "env", "smac": "env/starcraft2"}
_NAMESAKES = {
    "smacv2": "PyPI does not have it, and a checkout of this name is not the package",
    "smac": "PyPI's `smac` is an unrelated optimizer",
}
GAME_PAGE = "https://github.com/Blizzard/s2client-proto#downloads"
MAPS_PAGE = "https://github.com/oxwhirl/smacv2/releases/tag/maps"
WITHOUT_STARCRAFT = (
    "The tasks task=smax/<map> are battles of the same kind and need none of this."
)


class StarCraftError(RuntimeError):
    """StarCraft II, its maps or its Python package cannot be used."""

    @classmethod
    def from_problems(
        cls, problems: Sequence[str], map_names: Iterable[str] = ()
    ) -> StarCraftError:
        """Make one error of what :func:`check_starcraft` found.

        Args:
            problems: at least one.
            map_names: the maps that it was asked about.
        """
        maps = [repr(name) for name in map_names]
        start = "StarCraft II is not ready"
        if maps:
            start += f" for the map{'s' * (len(maps) > 1)} {', '.join(maps)}"
        listed = [f"- {problem}" for problem in problems]
        return cls("\n".join([f"{start}:", *listed, WITHOUT_STARCRAFT]))


def require_starcraft(
    map_name: str | Iterable[str] | None = None,
    package: str = "smacv2",
    game_version: str | None = None,
) -> None:
    """Refuse to go on unless all that StarCraft tasks need is there.

    Args:
        map_name: the map or maps to play, as in :func:`check_starcraft`.
        package: ``"smacv2"`` or ``"smac"``.
        game_version: as in :func:`check_starcraft`.

    Raises:
        StarCraftError: if something is missing; the message names all of it.
        ValueError: if ``package`` is neither.
    """
    maps = _listed(map_name)
    problems = check_starcraft(maps, package, game_version)
    if problems:
        raise StarCraftError.from_problems(problems, maps)


def check_starcraft(
    map_name: str | Iterable[str] | None = None,
    package: str = "smacv2",
    game_version: str | None = None,
) -> list[str]:
    """Look for the package, the game, its program and its maps.

    Touches files only: imports neither smacv2, smac nor pysc2, starts no process.

    Args:
        map_name: the map to play, by its name in the package, or several of them; None
            leaves the maps out.
        package: who plays, ``"smacv2"`` or ``"smac"``.
        game_version: the version to play, as in ``"4.10"``. pysc2 knows more of them
            than are known here: any one that is complete will then do. None is the
            newest that is installed.

    Returns:
        list[str]: what is wrong, each with where it was looked for and what to do;
        empty where nothing is.

    Raises:
        ValueError: if ``package`` is neither.
    """
    check_package(package)
    problems = _package_problems(package)
    folder = find_game_folder()
    if folder is not None:
        try:
            problems += _game_problems(folder, _listed(map_name), game_version)
        except OSError as error:
            problems.append(
                f"The folder {folder.path} of StarCraft II ({folder.reason}) cannot be "
                f"read: {error}. Give yourself the right to read it."
            )
    return problems + _clash_problems(package)


def check_package(package: str) -> None:
    """Refuse a package that is neither of oxwhirl's.

    Raises:
        ValueError: if ``package`` is not ``"smacv2"`` or ``"smac"``.
    """
    if package not in PACKAGES:
        allowed = ", ".join(repr(name) for name in PACKAGES)
        raise ValueError(
            f"package={package!r} is not allowed: it must be one of {allowed}."
        )


def package_folder(package: str) -> Path | None:
    """Where oxwhirl's ``smac`` or ``smacv2`` lies; None if it is not installed."""
    for folder in _folders(find_spec(package)):
        mark = folder / _MARKS[package]
        if mark.is_dir() or mark.with_suffix(".py").is_file():
            return folder
    return None


def _listed(map_name: str | Iterable[str] | None) -> list[str]:
    if isinstance(map_name, str):
        return [map_name]
    return list(dict.fromkeys(map_name or ()))


def _folders(spec: ModuleSpec | None) -> list[Path]:
    locations = spec.submodule_search_locations if spec else None
    return [Path(location) for location in locations or ()]


def _package_problems(package: str) -> list[str]:
    install = f"`pip install git+{PACKAGES[package]}`"
    if package_folder(package) is not None:
        if find_spec("pysc2") is not None:
            return []
        return [
            f"The Python package 'pysc2', by which {package!r} talks to the game, is "
            f"not installed for {sys.executable}: run `pip install pysc2`."
        ]
    foreign = _folders(find_spec(package))
    if foreign:
        return [
            f"The Python package {package!r} in {foreign[0]} is not oxwhirl's: it has "
            f"no {_MARKS[package]}. {_NAMESAKES[package]}. Remove or rename it, and "
            f"run {install}."
        ]
    return [
        f"The Python package {package!r} is not installed for {sys.executable}: run "
        f"{install}. {_NAMESAKES[package]}."
    ]


def _game_problems(
    folder: GameFolder, map_names: list[str], game_version: str | None
) -> list[str]:
    game, reason = folder
    if not os.path.isdir(game):
        return [
            f"StarCraft II is not installed: there is no folder {game} ({reason}). "
            f"Download version 4.10 from {GAME_PAGE} and unpack it there; that page "
            "tells how, and its license is yours to accept. If it is elsewhere, "
            "`export SC2PATH=/path/to/StarCraftII`."
        ]
    return [
        *_version_problems(folder, game_version),
        *_map_problems(game, map_names),
    ]


def _version_problems(folder: GameFolder, game_version: str | None) -> list[str]:
    game, reason = folder
    versions = game / "Versions"
    installed = installed_versions(game)
    if not installed:
        found = "has no folder Base<build>" if versions.is_dir() else "is missing"
        inner = game / "StarCraftII"
        path = inner if (inner / "Versions").is_dir() else "/path/to/StarCraftII"
        return [
            f"There is no version of StarCraft II in {game} ({reason}): {versions} "
            f"{found}. Unpack the game of {GAME_PAGE} there, or "
            f"`export SC2PATH={shlex.quote(str(path))}`."
        ]
    numbered = {version.folder.name for version in installed}
    strange = sorted(
        name
        for name in os.listdir(versions)
        if name.startswith("Base") and name not in numbered
    )
    problems = [
        f"{versions / name} is not named Base<build>, as in Base75689, and pysc2 takes "
        "every name that begins with Base for a version: move it elsewhere."
        for name in strange
    ]
    complete = [v for v in installed if os.access(v.program, os.X_OK)]
    if game_version is not None and complete:
        return problems
    program = installed[0].program
    if not program.is_file():
        older = next((v for v in installed[1:] if v.program.is_file()), None)
        problems.append(
            f"The program {program} is missing; pysc2 takes the newest version of "
            f"{versions}. Unpack the game of {GAME_PAGE} again"
            + (f", or move {program.parent} away to use {older}." if older else ".")
        )
    elif not os.access(program, os.X_OK):
        problems.append(
            f"The program {program} is not executable: "
            f"run `chmod +x {shlex.quote(str(program))}`."
        )
    return problems


def _map_problems(game: Path, map_names: list[str]) -> list[str]:
    paths = dict.fromkeys(map_file(game, name) for name in map_names)
    missing = [path for path in paths if not path.is_file()]
    if not missing:
        return []
    files = ", ".join(path.name for path in missing)
    problem = (
        f"In {missing[0].parent}, the one place where pysc2 looks, these maps are "
        f"missing: {files}. Unzip SMAC_Maps.zip of {MAPS_PAGE} so that {missing[0]} "
        "exists."
    )
    # A folder too high or too deep, or written in another case: pysc2 sees neither.
    names = {path.name.lower() for path in missing}
    elsewhere = sorted(
        path for path in (game / "Maps").rglob("*") if path.name.lower() in names
    )
    if elsewhere:
        problem += f" There is {elsewhere[0]}: move it there, under exactly that name."
    strange = set(map_names) - set(known_maps("smacv2"))
    unknown = [name for name in sorted(strange) if map_file(game, name) in missing]
    if unknown:
        problem += f" No such map comes with SMAC: {', '.join(map(repr, unknown))}."
    return [problem]


def _clash_problems(package: str) -> list[str]:
    (other,) = PACKAGES.keys() - {package}
    # The namesake on PyPI has no ``env``; importing it harms nothing.
    if f"{other}.env" not in sys.modules:
        return []
    return [
        f"The Python package {other!r} is already imported in this process, and pysc2 "
        f"refuses the maps of {other!r} and {package!r} together (DuplicateMapError): "
        "run the tasks of each in a process of its own."
    ]
