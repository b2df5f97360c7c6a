"""One run of a suite: BenchMARL's ``run.py``, and what a suite keeps of each run.

Usage: python -m remix_plugin.suites.run algorithm=... task=... [OVERRIDE ...]

Takes the same overrides as BenchMARL's ``run.py``. Besides, every algorithm has its
evaluation episodes kept, BenchMARL's own too, and a ``run.yaml`` in the run's folder
says that it has ended well, and where it ran.
"""

from __future__ import annotations

import time
from pathlib import Path

import hydra
from benchmarl.hydra_config import load_experiment_from_hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.evaluation import EvaluationData
from remix_plugin.callbacks.videos import Videos
from remix_plugin.suites.record import current_commit, write_record


@hydra.main(version_base=None, config_path="pkg://benchmarl.conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """Train, and write down that it ended well."""
    start = time.monotonic()
    commit = current_commit()
    hydra_config = HydraConfig.get()
    task_name = hydra_config.runtime.choices["task"]
    experiment = load_experiment_from_hydra(
        cfg, task_name=task_name, callbacks=(Videos(),)
    )
    attach(experiment, EvaluationData())
    experiment.run()
    write_record(
        Path(hydra_config.runtime.output_dir),
        list(hydra_config.overrides.task),
        time.monotonic() - start,
        commit,
    )


if __name__ == "__main__":
    main()
