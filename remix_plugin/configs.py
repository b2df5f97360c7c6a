"""Where the YAML of the plugin lies, and how scripts load it without Hydra."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from remix_plugin.experiment.config import CheckedExperimentConfig


def config_path(*parts: str) -> Path:
    """Path of one of the plugin's YAML files.

    Args:
        *parts: group, then name without ending, as in ``("algorithm", "remix")``.

    Raises:
        FileNotFoundError: if there is no such file; the message lists what there is.
    """
    root = Path(str(files("benchmarl_configs")))
    path = root.joinpath(*parts[:-1], f"{parts[-1]}.yaml")
    if not path.is_file():
        known = sorted(
            str(file.relative_to(root / parts[0]).with_suffix(""))
            for file in (root / parts[0]).rglob("*.yaml")
        )
        raise FileNotFoundError(
            f"{parts[0]}={'/'.join(parts[1:])!r} is not one of the plugin's configs: "
            f"it must be one of {', '.join(known) or 'none'}."
        )
    return path


def read_options(path: str | Path) -> dict[str, Any]:
    """Options of a YAML file, over those of the plugin's files that it builds upon.

    What Hydra makes of ``defaults: [/algorithm/remix@_here_, _self_]``, for scripts.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: if it builds upon a file that the plugin does not have.
    """
    options = yaml.safe_load(Path(path).read_text()) or {}
    base: dict[str, Any] = {}
    for entry in options.pop("defaults", []):
        if str(entry).endswith("@_here_"):
            parts = entry.removeprefix("/").removesuffix("@_here_").split("/")
            base |= read_options(config_path(*parts))
    return {**base, **options}


def get_experiment_config(name: str) -> CheckedExperimentConfig:
    """Load ``benchmarl_configs/experiment/<name>.yaml`` over BenchMARL's defaults.

    What ``experiment=<name>`` gives on the command line, for scripts.

    Args:
        name (str): the config, e.g. ``"predator_prey"``.

    Returns:
        CheckedExperimentConfig: BenchMARL's ``base_experiment`` with our changes. An
            experiment checks its ranges before it writes anything.

    Raises:
        FileNotFoundError: if there is no such config.
        AttributeError: if the file names a field that BenchMARL does not know.
    """
    experiment = CheckedExperimentConfig.get_from_yaml()
    for field, value in read_options(config_path("experiment", name)).items():
        if not hasattr(experiment, field):
            raise AttributeError(f"{field!r} is not a field of ExperimentConfig.")
        setattr(experiment, field, value)
    return experiment
