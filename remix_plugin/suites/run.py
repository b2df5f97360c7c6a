"""One run of a suite: BenchMARL's ``run.py``, and what a suite keeps of each run.

Usage: python -m remix_plugin.suites.run algorithm=... task=... [OVERRIDE ...]

Takes the same overrides as BenchMARL's ``run.py``. Besides, the evaluation episodes
and the absolute metric of all algorithms are kept, BenchMARL's own among them, and a
run stops where numbers are not finite. It goes on from the last checkpoint in its
folder, if there is one. A ``run.yaml`` there says that it has ended well, and where.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import hydra
from benchmarl.experiment import Callback
from benchmarl.hydra_config import load_experiment_from_hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from remix_plugin.callbacks.evaluation import FACTOR, EvaluationRecorder
from remix_plugin.callbacks.exact_resume import ExactResume
from remix_plugin.callbacks.finite import StopNotFinite
from remix_plugin.callbacks.videos import Videos
from remix_plugin.checkpoints.checkpoint_files import remove_replay
from remix_plugin.suites.folders import last_checkpoint
from remix_plugin.suites.record import CONFIG_FILE, current_commit, write_record

# The plugin's commits that a run was begun, and gone on, with: a line each
COMMITS = "commits.txt"


@hydra.main(version_base=None, config_path="pkg://benchmarl.conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """Train, from the last checkpoint on if there is one, and write down the end."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    _rename_hydra_folder(folder)
    checkpoint = last_checkpoint(folder)
    if checkpoint is not None:
        cfg.experiment.restore_file = str(checkpoint)
    commits = _note_commit(folder / COMMITS)
    experiment = load_experiment_from_hydra(
        cfg, task_name=hydra_config.runtime.choices["task"], callbacks=_callbacks(cfg)
    )
    experiment.run()
    write_record(
        folder,
        list(hydra_config.overrides.task),
        experiment.total_time,
        ", then ".join(commits),
    )
    remove_replay(experiment.folder_name)


def _callbacks(cfg: DictConfig) -> tuple[Callback, ...]:
    factor = cfg.algorithm.get("absolute_metric_factor")
    return (
        Videos(),
        StopNotFinite(),
        EvaluationRecorder(FACTOR if factor is None else factor),
        ExactResume(),
    )


def _rename_hydra_folder(folder: Path) -> None:
    """Give Hydra's folder a name under which BenchMARL does not find it.

    Its ``resume.py`` and ``evaluate.py`` then make the experiment from ``config.pkl``,
    with the callbacks that a suite gives to BenchMARL's own algorithms.
    """
    kept = (folder / CONFIG_FILE).parent
    if kept.exists():
        shutil.rmtree(kept)
    (folder / ".hydra").rename(kept)


def _note_commit(path: Path) -> list[str]:
    """Add the commit of now; all different ones, in their order."""
    with path.open("a") as file:
        file.write(f"{current_commit()}\n")
    return list(dict.fromkeys(path.read_text().splitlines()))


if __name__ == "__main__":
    main()
