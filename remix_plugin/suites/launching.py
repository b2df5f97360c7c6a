"""Runs of a suite handed to one of Hydra's launchers: joblib, submitit, Ray.

A launcher gets jobs of this file, as ``python -m remix_plugin.suites.launching
--multirun hydra/launcher=... +plan=FILE +number=0,1,2``. Each starts its run as a
process of its own, just as a runner on this machine does: no run depends on how it was
launched, nor on what its worker has run before.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from remix_plugin.suites.folders import OWN_FOLDER, RunFolder, is_held
from remix_plugin.suites.local import RUN_COMMAND, run_locally
from remix_plugin.suites.plan import Run, quoted

# What a launcher is part of, by its name in hydra/launcher
PACKAGES = {
    "joblib": "hydra-joblib-launcher",
    "submitit_local": "hydra-submitit-launcher",
    "submitit_slurm": "hydra-submitit-launcher",
    "ray": "hydra-ray-launcher",
    "ray_aws": "hydra-ray-launcher",
}
# Those whose workers are this machine's, and must end with their launcher.
ON_THIS_MACHINE = ("joblib", "submitit_local")
PLAN = "plan.json"
# Submitit's own limit of an hour would cut off most runs.
MINUTES = 24 * 60


@dataclass(frozen=True)
class Launch:
    """Jobs for a launcher.

    Attributes:
        folder (Path): with all that belongs to this launch, its logs among it.
        command (tuple of str): starts them, and ends when they have ended.
        lock (Path): to be held by that process.
    """

    folder: Path
    command: tuple[str, ...]
    lock: Path


def check_launcher(launcher: str) -> None:
    """Check that Hydra has a launcher.

    Raises:
        ModuleNotFoundError: if its package is not installed.
        ValueError: if there is none of that name.
    """
    Plugins.instance()
    files = ConfigStore.instance().list("hydra/launcher")
    known = sorted(name.removesuffix(".yaml") for name in files)
    if launcher in known:
        return
    if launcher in PACKAGES:
        extra = "ray" if launcher.startswith("ray") else "launchers"
        raise ModuleNotFoundError(
            f"The launcher {launcher} needs {PACKAGES[launcher]}: "
            f"pip install 'remix_plugin[{extra}]'"
        )
    raise ValueError(
        f"launcher={launcher!r} is not allowed: it must be one of local, "
        f"{', '.join(sorted({*known, *PACKAGES}))}."
    )


def prepare_launch(
    launcher: str,
    folders: Sequence[RunFolder],
    *,
    processes: int | None,
    threads: int,
    options: Sequence[str] = (),
    command: Sequence[str] = RUN_COMMAND,
) -> Launch:
    """Write down what is to be run, and say how to have a launcher do it.

    Args:
        launcher (str): its name, as in ``hydra/launcher=joblib``.
        folders (sequence of RunFolder): of the runs, one at least, all of one results
            folder.

    Keyword Args:
        processes (int, optional): runs at a time; as the launcher likes if not given.
        threads (int): threads of torch in each.
        options (sequence of str): more overrides, e.g. ``hydra.launcher.qos=long``.
        command (sequence of str): what runs one, given its overrides and its folder.
    """
    launches = folders[0].results / OWN_FOLDER / "launches"
    now = time.strftime("%Y-%m-%d_%H-%M-%S")
    folder = launches / f"{now}_{os.getpid()}_{launcher}"
    folder.mkdir(parents=True)
    lock = folder / "launcher"
    plan = {
        "results": str(folders[0].results),
        "command": list(command),
        "threads": threads,
        "launcher_lock": str(lock) if launcher in ON_THIS_MACHINE else None,
        "runs": [
            {**vars(one.run), "overrides": list(one.run.overrides)} for one in folders
        ],
    }
    (folder / PLAN).write_text(json.dumps(plan, indent=1))
    numbers = ",".join(str(number) for number in range(len(folders)))
    return Launch(
        folder,
        (
            sys.executable,
            *("-m", "remix_plugin.suites.launching", "--multirun"),
            f"hydra/launcher={launcher}",
            f"hydra.sweep.dir={quoted(folder)}",
            "hydra.job.name=suite",
            *_launcher_options(launcher, processes, threads, options),
            *options,
            f"+plan={quoted(folder / PLAN)}",
            f"+number={numbers}",
        ),
        lock,
    )


def read_job(plan: Path, number: int) -> tuple[RunFolder, dict[str, Any]]:
    """A run of those written down for a launcher, and the plan with the rest."""
    content = json.loads(plan.read_text())
    fields = content["runs"][number]
    run = Run(**{**fields, "overrides": tuple(fields["overrides"])})
    return RunFolder(Path(content["results"]), run), content


def _launcher_options(
    launcher: str, processes: int | None, threads: int, options: Sequence[str]
) -> list[str]:
    """How each launcher is told how many runs may run at a time, how wide and long."""
    own = []
    if launcher.startswith("submitit"):
        own.append(f"hydra.launcher.timeout_min={MINUTES}")
        own.append(f"hydra.launcher.cpus_per_task={threads}")
    if launcher == "ray" and not any("ray.init.address" in o for o in options):
        # A Ray of this machine's own. A run counts as one of its processors.
        own.append("+hydra.launcher.ray.init.include_dashboard=false")
        if processes is not None:
            own.append(f"+hydra.launcher.ray.init.num_cpus={processes}")
    if processes is not None:
        # Submitit's local jobs all start at once: they come in batches instead.
        own += {
            "joblib": [f"hydra.launcher.n_jobs={processes}"],
            "submitit_local": [f"hydra.sweeper.max_batch_size={processes}"],
            "submitit_slurm": [f"hydra.launcher.array_parallelism={processes}"],
        }.get(launcher, [])
    return own


class _LauncherDiedError(Exception):
    """The launcher has died, and its runs should end with it."""


@hydra.main(version_base="1.3", config_path=None, config_name=None)
def main(cfg: DictConfig) -> str:
    """Run it, unless it is finished; how it has ended.

    A failure is none of the launcher's: it would give up the other runs.
    """
    folder, plan = read_job(Path(cfg.plan), cfg.number)
    lock = plan["launcher_lock"]

    def check_launcher_lives() -> None:
        if lock is not None and not is_held(Path(lock)):
            raise _LauncherDiedError

    try:
        run_locally(
            [folder],
            processes=1,
            threads=plan["threads"],
            command=plan["command"],
            tick=check_launcher_lives,
        )
    except _LauncherDiedError:
        # Nobody waits for an answer; a worker would wait for more to do.
        os._exit(1)
    return str(folder.state().value)


if __name__ == "__main__":
    main()
