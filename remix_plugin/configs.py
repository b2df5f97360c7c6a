"""Where the YAML of the plugin lies, and how scripts load it without Hydra."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import yaml
from benchmarl.experiment import ExperimentConfig


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


def get_experiment_config(name: str) -> ExperimentConfig:
    """Load ``benchmarl_configs/experiment/<name>.yaml`` over BenchMARL's defaults.

    What ``experiment=<name>`` gives on the command line, for scripts.

    Args:
        name (str): the config, e.g. ``"predator_prey"``.

    Returns:
        ExperimentConfig: BenchMARL's ``base_experiment`` with our changes.

    Raises:
        FileNotFoundError: if there is no such config.
        AttributeError: if the file names a field that BenchMARL does not know.
    """
    experiment = ExperimentConfig.get_from_yaml()
    changes = yaml.safe_load(config_path("experiment", name).read_text())
    changes.pop("defaults")
    for field, value in changes.items():
        if field not in ExperimentConfig.__dataclass_fields__:
            raise AttributeError(f"{field!r} is not a field of ExperimentConfig.")
        setattr(experiment, field, value)
    return experiment
