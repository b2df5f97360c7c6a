"""Packages that not everyone has installed, named before they are needed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

# Names of packages where they are imported by others, and what installs them
NAMES = {"PIL": "pillow"}
INSTALLED_BY = {"jaxmarl": "'remix_plugin[smax]'"}


def is_installed(package: str) -> bool:
    """Whether a package can be imported; does not import it."""
    return find_spec(package) is not None


def check_package(package: str, needed_by: str, remedy: str = "") -> None:
    """Refuse a machine without a package.

    Args:
        package (str): the name by which it is imported.
        needed_by (str): what needs it, for the message.
        remedy (str): what else can be done, a sentence.

    Raises:
        ModuleNotFoundError: if it is not installed; the message says what installs it.
    """
    if not is_installed(package):
        name = NAMES.get(package, package)
        raise ModuleNotFoundError(
            f"{needed_by} needs the package {name}, which is not installed. Install it "
            f"with: pip install {INSTALLED_BY.get(name, name)} {remedy}".rstrip(),
            name=package,
        )


def exit_without(*packages: str) -> None:
    """End a script with code 2 and one line on stderr if a package is missing.

    Args:
        *packages (str): the names by which they are imported.
    """
    for package in packages:
        try:
            check_package(package, sys.argv[0])
        except ModuleNotFoundError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(2)
