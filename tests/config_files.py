"""The YAML of the plugin and of BenchMARL, as the tests of configs read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import benchmarl
import yaml

import benchmarl_configs
from remix_plugin.registration import TASKS

CONFIGS = Path(benchmarl_configs.__file__).parent
BENCHMARL_CONF = Path(benchmarl.__file__).parent / "conf"
TASK_MEMBERS = {
    f"{task.env_name()}/{task.name.lower()}": task for tasks in TASKS for task in tasks
}


def stems(root: Path, group: str) -> set[str]:
    folder = root / group
    paths = folder.rglob("*.yaml")
    return {str(path.relative_to(folder).with_suffix("")) for path in paths}


def read(*parts: str) -> dict[str, Any]:
    content = yaml.safe_load(
        (CONFIGS.joinpath(*parts)).with_suffix(".yaml").read_text()
    )
    content.pop("defaults", None)
    return content


def typed(value: Any) -> Any:
    """The value with its type, so that 1, 1.0, True and "1" all differ."""
    if isinstance(value, dict):
        return {key: typed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    return type(value).__name__, value
