"""One job that a launcher of Hydra's has been handed: one run of a suite.

Usage: python -m remix_plugin.suites.job --multirun hydra/launcher=... +plan=FILE
+number=0,1,2

Started by ``remix_plugin.suites.launching``.
"""

from __future__ import annotations

import os
from pathlib import Path

import hydra
from omegaconf import DictConfig

from remix_plugin.suites.launching import read_job
from remix_plugin.suites.local import run_locally
from remix_plugin.suites.locks import is_held


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
