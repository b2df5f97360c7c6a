"""Whether pysc2 can draw a battle here."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path


def rendering_fails() -> bool:
    """Judge by the source of pysc2, without importing it, or by 4.0.0 if it is missing.

    That version shuffles colors in a way that Python has not had since 3.11; the
    source after it does not.
    """
    if sys.version_info < (3, 11):
        return False
    spec = find_spec("pysc2")
    for location in (spec and spec.submodule_search_locations) or ():
        colors = Path(location) / "lib" / "colors.py"
        if colors.is_file():
            return bool(re.search(r"random\.shuffle\(\w+, ", colors.read_text()))
    return True
