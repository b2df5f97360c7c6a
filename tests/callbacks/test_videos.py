"""Videos of evaluations are written, or the run says at once why they cannot be."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarl.algorithms import QmixConfig
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models import MlpConfig
from PIL import Image
from torchrl.record import CSVLogger

from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.callbacks import videos
from remix_plugin.callbacks.exact_resume import ExactResume
from remix_plugin.callbacks.videos import Videos, write_gif
from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.experiment import loggers

Build = Callable[..., Experiment]


@pytest.fixture
def build(tiny_experiment: ExperimentConfig, tiny_model: MlpConfig) -> Build:
    """An experiment that is evaluated once, with pictures, and logs to csv."""
    tiny_experiment.evaluation = tiny_experiment.render = True
    tiny_experiment.evaluation_interval = tiny_experiment.max_n_frames = 16
    tiny_experiment.loggers = ["csv"]

    def build_experiment(**settings: object) -> Experiment:
        task = PredatorPreyTask.PUNISH_2.get_from_yaml()
        task.config.update(max_steps=3)
        default = {"task": task, "algorithm_config": TunedQmixConfig.get_from_yaml()}
        return Experiment(
            **{**default, **settings},
            model_config=tiny_model,
            seed=0,
            config=tiny_experiment,
        )

    return build_experiment


@pytest.fixture
def without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose torchvision, if any, writes no videos."""
    for module in (videos, loggers):
        monkeypatch.setattr(module, "torchvision_writes_videos", lambda: False)


def gifs(folder: Path) -> list[Path]:
    return sorted(folder.rglob("videos/eval_video_*.gif"))


@pytest.mark.usefixtures("without_torchvision")
def test_run_of_ours_writes_gifs(build: Build, save_folder: Path) -> None:
    build().run()
    (path,) = gifs(save_folder)
    with Image.open(path) as gif:
        assert gif.n_frames > 1
    scalars = list(save_folder.rglob("scalars/eval_reward_episode_reward_mean.csv"))
    assert len(scalars) == 1


@pytest.mark.usefixtures("without_torchvision")
def test_run_that_is_given_its_callbacks_writes_gifs(
    build: Build, save_folder: Path
) -> None:
    # Which remember the loggers that they find first.
    build(callbacks=[ExactResume()]).run()
    assert len(gifs(save_folder)) == 1


@pytest.mark.usefixtures("without_torchvision")
def test_run_of_benchmarls_own_writes_gifs(build: Build, save_folder: Path) -> None:
    algorithm = QmixConfig.get_from_yaml()
    build(algorithm_config=algorithm, callbacks=[Videos()]).run()
    assert len(gifs(save_folder)) == 1


def test_torchvision_that_writes_videos_is_left_alone(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (videos, loggers):
        monkeypatch.setattr(module, "torchvision_writes_videos", lambda: True)
    experiment = build()
    (logger,) = experiment.logger.loggers
    assert logger.log_video == types.MethodType(CSVLogger.log_video, logger)
    experiment.close()


@pytest.mark.parametrize(
    ("version", "av", "expected"),
    [
        ("0.20.1", True, True),
        ("0.25.9+cu121", True, True),
        ("0.25.0", False, False),
        ("0.26.0", True, False),
        ("1.0.0", True, False),
    ],
)
def test_torchvision_writes_videos_up_to_0_25_with_pyav(
    version: str, av: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "version", lambda name: version)
    monkeypatch.setattr(loggers, "is_installed", lambda name: av)
    assert loggers.torchvision_writes_videos() is expected


@pytest.mark.usefixtures("without_torchvision")
def test_missing_pillow_is_named_before_the_run(
    build: Build, save_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    message = r"render=True .*pip install pillow \(or do without videos: .*render=False"
    with pytest.raises(ModuleNotFoundError, match=message):
        build()
    assert not list(save_folder.iterdir())


@pytest.mark.parametrize(
    ("logger", "remedy"),
    [
        ("wandb", "pip install moviepy"),
        ("tensorboard", "pip install moviepy"),
        ("mlflow", r"pip install 'torchvision<0\.26' av"),
    ],
)
@pytest.mark.usefixtures("without_torchvision")
def test_logger_that_cannot_write_videos_is_named(
    logger: str,
    remedy: str,
    tiny_experiment: ExperimentConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "moviepy", None)
    tiny_experiment.loggers = ["csv", logger]
    with pytest.raises(ModuleNotFoundError, match=remedy):
        loggers.check_videos(tiny_experiment)


@pytest.mark.usefixtures("without_torchvision")
def test_task_without_pictures_needs_nothing(
    build: Build, save_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    build(task=MatrixGameTask.QTRAN.get_from_yaml()).close()


def test_gif_has_the_pictures_in_their_order(tmp_path: Path) -> None:
    video = torch.zeros(1, 2, 3, 4, 6, dtype=torch.uint8)
    video[0, 0, 0] = 255  # red, then blue
    video[0, 1, 2] = 255
    write_gif(tmp_path, "eval_video", video, step=7, fps=20)
    with Image.open(tmp_path / "eval_video_7.gif") as gif:
        assert (gif.size, gif.n_frames) == ((6, 4), 2)
        for number, color in enumerate([(255, 0, 0), (0, 0, 255)]):
            gif.seek(number)
            assert (np.asarray(gif.convert("RGB")) == color).all()
