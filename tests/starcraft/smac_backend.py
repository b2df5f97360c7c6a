"""Which package the tests over the simulated game play with.

They play with smacv2, unless a process of its own is told to play with the original.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from real_smacv2 import real_smacv2

VARIABLE = "SMAC_TEST_BACKEND"
BACKEND = os.environ.get(VARIABLE, "smacv2")


def real_package() -> ModuleType:
    """The module of the package's ``StarCraft2Env``; skips the module without it."""
    if BACKEND == "smacv2":
        return real_smacv2()
    return importlib.import_module("smac.env.starcraft2.starcraft2")
