"""Find the real smacv2 package, which few machines have."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest


def real_smacv2() -> ModuleType:
    """The module of the real ``StarCraft2Env``; skips the test or module without it.

    A double of the name ``smacv2`` does not count: the real one launches games
    through pysc2.
    """
    try:
        run_configs = importlib.import_module("pysc2.run_configs")
        module = importlib.import_module("smacv2.env.starcraft2.starcraft2")
    except ImportError as error:
        pytest.skip(f"needs smacv2 and pysc2: {error}", allow_module_level=True)
    if getattr(module, "run_configs", None) is not run_configs:
        pytest.skip("needs the real smacv2, not a double", allow_module_level=True)
    return module
