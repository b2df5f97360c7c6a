"""What a run would stop at later, said before anything is printed or written."""

from __future__ import annotations

import shlex
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from remix_plugin.experiment.loggers import (
    PACKAGES,
    check_logger_packages,
    check_videos,
)

# Tasks that draw none
WITHOUT_PICTURES = ("matrix_game/", "smax/")


class FirstLook(Callback):
    """A callback of Hydra that looks at loggers and pictures of a run.

    ``run.py`` of BenchMARL prints the whole config, then fails where a package is
    missing, some of them only at the first evaluation.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look before a single run has its folder."""
        look(config)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look before a run of a sweep."""
        look(config)


def look(config: DictConfig) -> None:
    """Stop a run for which a package is missing.

    Args:
        config (DictConfig): of a run of BenchMARL, Hydra's part included.

    Raises:
        SystemExit: if one is; the message says which, and ends in the command that
            works.
    """
    loggers = config.experiment.loggers
    unknown = not set(loggers) <= set(PACKAGES)
    if unknown:
        # Refused by the check of all options, which says what is allowed.
        return
    try:
        check_logger_packages(list(loggers))
    except ModuleNotFoundError as error:
        raise SystemExit(_advice(config, error, "experiment.loggers=[csv]")) from None
    task = config.hydra.runtime.choices.task
    is_drawn = config.experiment.render and not task.startswith(WITHOUT_PICTURES)
    try:
        if is_drawn and config.experiment.evaluation:
            check_videos(config.experiment)
    except ModuleNotFoundError as error:
        raise SystemExit(_advice(config, error, "experiment.render=False")) from None


def _advice(config: DictConfig, error: ModuleNotFoundError, remedy: str) -> str:
    """What is wrong, and the run's command with an option changed."""
    option = remedy.partition("=")[0]
    kept = [
        override
        for override in config.hydra.overrides.task
        if override.partition("=")[0].lstrip("+") != option
    ]
    command = f"python -m benchmarl.run {shlex.join([*kept, remedy])}"
    return f"{error} This works: {command}"
