"""Tell what is installed, and what of it is missing for which task or option.

Starts nothing. With --map it ends with 1 if StarCraft cannot play those.

    remix doctor
    remix doctor --map 3m mmm2 --package smac
"""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from remix_plugin.experiment import loggers
from remix_plugin.packages import is_installed
from remix_plugin.starcraft.__main__ import add_options, describe

REQUIRED = ("remix_plugin", "benchmarl", "torchrl", "tensordict", "torch", "hydra-core")
# What each optional package is for
OPTIONAL = {
    "jaxmarl": "task=smax/...",
    "jax": "task=smax/...",
    "vmas": "task=vmas/...",
    "pettingzoo": "task=pettingzoo/...",
    "smacv2": "task=smac/..., task=smacv2/...",
    "wandb": "experiment.loggers=[wandb]",
    "tensorboard": "experiment.loggers=[tensorboard]",
    "mlflow": "experiment.loggers=[mlflow]",
    "moviepy": "videos of wandb and tensorboard",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the subcommand takes."""
    add_options(parser)


def main(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print what was found; 1 if maps were asked for that cannot be played."""
    lines = [f"Python {platform.python_version()} on {platform.platform()}"]
    lines += [f"{name} {_version(name)}" for name in REQUIRED]
    lines += [_devices(), _videos()]
    for package, use in OPTIONAL.items():
        found = _version(package) if is_installed(package) else "not installed"
        lines.append(f"{package} {found} (for {use})")
    starcraft, is_ready = describe(args)
    print("\n".join([*lines, *starcraft]))
    return 1 if args.maps and not is_ready else 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"


def _devices() -> str:
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"GPUs of PyTorch: {', '.join(names) or 'none'}"


def _videos() -> str:
    kind = "mp4" if loggers.torchvision_writes_videos() else "GIF"
    return f"videos of the csv logger: {kind}"
