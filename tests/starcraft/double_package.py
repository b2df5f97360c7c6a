"""Put the double of ``smacv2`` where the real package would be, and play with it."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parent / "double"
QUIRKS = "SMACV2_DOUBLE"
LOG = "SMACV2_DOUBLE_LOG"

# The double's modules, imported once: classes and lists stay the same in all tests.
_modules: dict[str, ModuleType] = {}


def _is_smacv2(name: str) -> bool:
    return name.partition(".")[0] == "smacv2"


@contextmanager
def installed_double(
    monkeypatch: pytest.MonkeyPatch,
    quirks: str | None = None,
    log: Path | None = None,
) -> Iterator[ModuleType]:
    """Install the double as ``smacv2`` in this process.

    Args:
        monkeypatch: undoes it at the end of the block.
        quirks: what ``SMACV2_DOUBLE`` holds, see the module ``smacv2.quirks``.
        log: file of the log; without one, events are in ``smacv2.log.EVENTS`` alone,
            which is empty at the start of the block.

    Yields:
        The package; its submodules are imported.
    """
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        for variable, value in ((QUIRKS, quirks), (LOG, log)):
            if value is None:
                patch.delenv(variable, raising=False)
            else:
                patch.setenv(variable, str(value))
        for name in [name for name in sys.modules if _is_smacv2(name)]:
            patch.delitem(sys.modules, name)
        patch.setattr("torchrl.envs.libs.smacv2._has_smacv2", True)
        sys.modules.update(_modules)
        importlib.import_module("smacv2.env")
        _modules.update({k: v for k, v in sys.modules.items() if _is_smacv2(k)})
        _modules["smacv2.log"].EVENTS.clear()
        try:
            yield _modules["smacv2"]
        finally:
            for name in _modules:
                sys.modules.pop(name, None)


def double_environment(
    quirks: str | None = None, log: Path | None = None
) -> dict[str, str]:
    """Environment variables of a process that is to find the double.

    Args:
        quirks: what ``SMACV2_DOUBLE`` holds.
        log: file of the log, which :func:`read_log` reads.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    paths = [str(FOLDER), environment.get("PYTHONPATH")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    for variable, value in ((QUIRKS, quirks), (LOG, log)):
        environment.pop(variable, None)
        if value is not None:
            environment[variable] = str(value)
    return environment


def read_log(path: Path) -> list[dict[str, Any]]:
    """The events that processes logged, in order; see ``smacv2.log``."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def focus_fire(env: Any) -> list[int]:
    """Actions that wait for the enemy and shoot the weakest in range together.

    Args:
        env: the double's environment, or a wrapper that forwards its attributes.
    """
    actions = []
    first_target = env.n_actions_no_attack
    for agent, mask in enumerate(env.get_avail_actions()):
        in_range = [i for i, free in enumerate(mask[first_target:]) if free]
        heals = env.agents[agent].kind == "medivac"
        units = env.agents if heals else env.enemies
        if in_range:
            weakest = min(in_range, key=lambda i: units[i].health + units[i].shield)
            actions.append(first_target + weakest)
        else:
            actions.append(mask.index(1))
    return actions


def random_actions(env: Any, rng: np.random.Generator) -> list[int]:
    """Actions drawn uniformly from those that are available."""
    return [int(rng.choice(np.flatnonzero(mask))) for mask in env.get_avail_actions()]
