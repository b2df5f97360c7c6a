"""One job that a launcher of Hydra's has been handed: one run of a suite.

Usage: python -m remix_plugin.suites.job --multirun hydra/launcher=... +plan=FILE
+number=0,1,2

Started by ``remix_plugin.suites.launching``.
"""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from remix_plugin.suites.launching import read_job
from remix_plugin.suites.local import run_locally
from remix_plugin.suites.processes import die_with_parent


@hydra.main(version_base="1.3", config_path=None, config_name=None)
def main(cfg: DictConfig) -> str:
    """Run it, unless it is finished; how it has ended.

    A failure is none of the launcher's: it would give up the other runs.
    """
    folder, plan = read_job(Path(cfg.plan), cfg.number)
    if plan["ends_with_launcher"]:
        die_with_parent()
    run_locally([folder], processes=1, threads=plan["threads"], command=plan["command"])
    return str(folder.state().value)


if __name__ == "__main__":
    main()
