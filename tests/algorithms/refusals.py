"""What tests of refusals share: configs from Hydra, written yaml, clean folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from benchmarl.experiment import Experiment

FromHydra = Callable[..., Experiment]


def write_yaml(path: Path, content: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump(content))
    return str(path)


def is_empty(folder: Path) -> bool:
    assert folder.is_dir()
    return not any(folder.iterdir())
