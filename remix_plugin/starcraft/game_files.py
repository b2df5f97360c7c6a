"""Where pysc2 looks for StarCraft II, its program and its maps.

Follows ``pysc2/run_configs/platforms.py`` and ``lib.py`` of pysc2 4.0.0, and
``env/starcraft2/maps/smac_maps.py`` of oxwhirl's smac and smacv2.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import NamedTuple

# The maps of SMAC, in the order of oxwhirl's tables.
SMAC_MAPS = tuple(
    "3m 8m 25m 5m_vs_6m 8m_vs_9m 10m_vs_11m 27m_vs_30m MMM MMM2 2s3z 3s5z "
    "3s5z_vs_3s6z 3s_vs_3z 3s_vs_4z 3s_vs_5z 1c3s5z 2m_vs_1z corridor 6h_vs_8z "
    "2s_vs_1sc so_many_baneling bane_vs_bane 2c_vs_64zg".split()
)
GENERATED_MAPS = ("10gen_terran", "10gen_zerg", "10gen_protoss", "10gen_5m_vs_6m")
# smacv2 plays all that it generates on one empty map.
GENERATED_MAP_FILE = "32x32_flat"

PROGRAMS = {
    "Linux": "SC2_x64",
    "Darwin": "SC2.app/Contents/MacOS/SC2",
    "Windows": "SC2_x64.exe",
}
DEFAULT_FOLDERS = {
    "Linux": "~/StarCraftII",
    "Darwin": "/Applications/StarCraft II",
    "Windows": "C:/Program Files (x86)/StarCraft II",
}
# Builds that are one release each, in pysc2's table.
RELEASES = {
    55958: "3.16.1",
    57507: "3.18",
    69232: "4.6.2",
    71663: "4.8.2",
    73620: "4.8.6",
    74741: "4.9.2",
    75025: "4.9.3",
    75689: "4.10",
}


class GameFolder(NamedTuple):
    """Where the game is looked for.

    Attributes:
        path: absolute; it need not exist.
        reason: why there, as in ``the default, as SC2PATH is not set``.
    """

    path: Path
    reason: str


class InstalledVersion(NamedTuple):
    """One folder of ``Versions``.

    Attributes:
        folder: as in ``<game>/Versions/Base75689``.
        build: as in ``75689``.
    """

    folder: Path
    build: int

    @property
    def program(self) -> Path:
        """What pysc2 starts of this version, on this system."""
        return self.folder / PROGRAMS.get(platform.system(), PROGRAMS["Linux"])

    def __str__(self) -> str:
        """As in ``build 75689 (4.10)``."""
        release = RELEASES.get(self.build)
        return f"build {self.build}" + (f" ({release})" if release else "")


def find_game_folder() -> GameFolder | None:
    """The folder that pysc2 takes the game from.

    Without ``SC2PATH``, on macOS and Windows, pysc2 also asks a file of the game where
    it is. That is not done here: where the game is not at its default place either,
    the folder is unknown.

    Returns:
        GameFolder | None: the folder, or None where only pysc2 can tell.
    """
    named = os.environ.get("SC2PATH")
    if named:
        return GameFolder(_absolute(named), f"where SC2PATH={named!r} points")
    system = platform.system()
    if system == "Linux" and named is not None:
        return GameFolder(Path.cwd(), "the current folder, as SC2PATH is set but empty")
    default = DEFAULT_FOLDERS.get(system)
    if default is None or (system != "Linux" and not os.path.isdir(default)):
        return None
    return GameFolder(_absolute(default), "the default, as SC2PATH is not set")


def installed_versions(game: Path) -> list[InstalledVersion]:
    """The versions in a folder of the game, newest first.

    pysc2 takes the first one, unless ``game_version`` says another.

    Args:
        game: the folder.

    Raises:
        OSError: if ``Versions`` exists and cannot be read.
    """
    versions = game / "Versions"
    if not os.path.isdir(versions):
        return []
    found = (re.fullmatch(r"Base(\d+)", name) for name in os.listdir(versions))
    return sorted(
        (InstalledVersion(versions / m.group(), int(m.group(1))) for m in found if m),
        key=lambda version: version.build,
        reverse=True,
    )


def describe_starcraft() -> str:
    """Which StarCraft II there is, for the log of a run: results depend on it.

    Returns:
        str: as in ``StarCraft II build 75689 (4.10) in /home/me/StarCraftII``. Older
        versions, which run with ``game_version`` alone, are named after it.
    """
    folder = find_game_folder()
    if folder is None:
        return "StarCraft II of an unknown build: SC2PATH is not set"
    try:
        versions = installed_versions(folder.path)
    except OSError as error:
        return f"StarCraft II of an unknown build: {error}"
    if not versions:
        return f"no StarCraft II in {folder.path} ({folder.reason})"
    text = f"StarCraft II {versions[0]} in {folder.path}"
    if versions[1:]:
        text += f"; also installed: {', '.join(map(str, versions[1:]))}"
    return text


def known_maps(package: str) -> tuple[str, ...]:
    """Names of the maps in ``"smacv2"`` or ``"smac"``, without a user's own."""
    return (*SMAC_MAPS, *(GENERATED_MAPS if package == "smacv2" else ()))


def map_file(game: Path, map_name: str) -> Path:
    """The one place where pysc2 looks for a map; upper and lower case matter.

    Args:
        game: the folder of the game.
        map_name: the map's name in smac or smacv2. Those that smacv2 generates
            (``10gen_...``) share one file.
    """
    stem = GENERATED_MAP_FILE if map_name.startswith("10gen_") else map_name
    return game / "Maps" / "SMAC_Maps" / f"{stem}.SC2Map"


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))
