"""Loggers of an experiment, and what their packages can do."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarl.experiment import ExperimentConfig

from remix_plugin.packages import check_package, is_installed

# What each logger imports; BenchMARL hands their names to TorchRL's get_logger.
PACKAGES = {
    "csv": None,
    "mlflow": "mlflow",
    "tensorboard": "tensorboard",
    "trackio": "trackio",
    "wandb": "wandb",
}
# What TorchRL encodes their videos with
VIDEO_PACKAGES = {"tensorboard": "moviepy", "wandb": "moviepy"}


def check_loggers(loggers: Any) -> None:
    """Check that TorchRL knows all loggers.

    Args:
        loggers: the experiment's option.

    Raises:
        TypeError: if it is not a list.
        ValueError: if a name is unknown.
    """
    allowed = f"a list of names out of {', '.join(PACKAGES)}, which may be empty"
    message = f"experiment.loggers={loggers!r} is not allowed: it must be {allowed}."
    if isinstance(loggers, str) or not isinstance(loggers, Sequence):
        raise TypeError(message)
    if any(not isinstance(name, str) or name not in PACKAGES for name in loggers):
        raise ValueError(message)


def check_logger_packages(loggers: Sequence[str]) -> None:
    """Check that the packages of all loggers are installed.

    Args:
        loggers (sequence of str): the experiment's option.

    Raises:
        ModuleNotFoundError: if one is missing; the message says what installs it.
    """
    packages = {name: PACKAGES[name] for name in loggers}
    there = [n for n, p in packages.items() if p is None or is_installed(p)]
    for name, package in packages.items():
        if package is not None:
            remedy = f"(or do without {name}: experiment.loggers=[{','.join(there)}])"
            check_package(package, f"experiment.loggers={list(loggers)}", remedy)


def check_videos(config: ExperimentConfig) -> None:
    """Check that all loggers can write videos; those of csv need Pillow alone.

    Args:
        config (ExperimentConfig): of an experiment whose task renders.

    Raises:
        ModuleNotFoundError: if a package is missing, or no longer writes videos.
    """
    given = f"experiment.render=True with experiment.loggers={list(config.loggers)}"
    remedy = "(or do without videos: experiment.render=False)"
    for name in config.loggers:
        if name == "csv" and not torchvision_writes_videos():
            check_package("PIL", given, remedy)
        elif name == "mlflow" and not torchvision_writes_videos():
            raise ModuleNotFoundError(
                f"{given} needs torchvision.io.write_video, which there is up to "
                f"torchvision 0.25, and PyAV. Install them with: pip install "
                f"'torchvision<0.26' av. {remedy}"
            )
        elif name in VIDEO_PACKAGES:
            check_package(VIDEO_PACKAGES[name], given, remedy)


def torchvision_writes_videos() -> bool:
    """Whether there is ``torchvision.io.write_video``, removed in torchvision 0.26.

    It is not imported for that: one that was built for another PyTorch cannot be.
    """
    try:
        major, minor = (int(part) for part in version("torchvision").split(".")[:2])
    except PackageNotFoundError:
        return False
    return (major, minor) < (0, 26) and is_installed("av")
