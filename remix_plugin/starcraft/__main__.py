"""Tells what of StarCraft II is installed: ``python -m remix_plugin.starcraft``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from remix_plugin.starcraft.game_files import (
    GENERATED_MAPS,
    SMAC_MAPS,
    describe_starcraft,
    find_game_folder,
    known_maps,
    map_file,
)
from remix_plugin.starcraft.installation import (
    PACKAGES,
    StarCraftError,
    check_starcraft,
    package_folder,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found and what is missing.

    Args:
        arguments: of the command; None takes those of the process.

    Returns:
        int: exit code, 0 if nothing is missing, else 1.
    """
    parser = argparse.ArgumentParser(
        prog="python -m remix_plugin.starcraft",
        description="Looks for all that StarCraft tasks need; starts nothing.",
    )
    add_options(parser)
    lines, is_ready = describe(parser.parse_args(arguments))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if is_ready else 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of what is looked for."""
    parser.add_argument(
        *("--map", "-m"),
        dest="maps",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="maps that must be there (default: all that the package knows)",
    )
    parser.add_argument(
        "--package",
        choices=list(PACKAGES),
        default="smacv2",
        help="who plays (default: %(default)s)",
    )


def describe(options: argparse.Namespace) -> tuple[list[str], bool]:
    """Lines that tell what was found and what is missing, and whether nothing is.

    Args:
        options (argparse.Namespace): what was given of :func:`add_options`.
    """
    maps = options.maps or known_maps(options.package)
    problems = check_starcraft(maps, options.package)
    lines = [
        f"{options.package}: {package_folder(options.package) or 'not installed'}",
        describe_starcraft(),
        _count_maps(),
    ]
    if problems:
        lines.append(str(StarCraftError.from_problems(problems, options.maps or ())))
    else:
        lines.append("Nothing is missing.")
    return lines, not problems


def _count_maps() -> str:
    folder = find_game_folder()
    if folder is None:
        return "map files: unknown"
    found = sum(map_file(folder.path, name).is_file() for name in SMAC_MAPS)
    generated = map_file(folder.path, GENERATED_MAPS[0])
    return (
        f"map files: {found} of SMAC's {len(SMAC_MAPS)}; {generated.name} of SMACv2 "
        f"{'found' if generated.is_file() else 'missing'}"
    )


if __name__ == "__main__":
    sys.exit(main())
