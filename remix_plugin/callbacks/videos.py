"""Videos of evaluations, also where torchvision no longer writes any."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchmarl.experiment import Experiment
from torch import Tensor
from torchrl.record import CSVLogger

from remix_plugin.callbacks.attaching import RunCallback, keeps_results
from remix_plugin.experiment.loggers import check_videos, torchvision_writes_videos

FRAMES_PER_SECOND = 8


class Videos(RunCallback):
    """Has csv loggers write GIFs where torchvision no longer writes videos.

    BenchMARL's csv logger calls ``torchvision.io.write_video``, and a run fails at its
    first evaluation where there is none.
    """

    def on_setup(self) -> None:
        """Check packages, and hand the videos of csv loggers to :func:`write_gif`.

        Raises:
            ModuleNotFoundError: if a package is missing.
        """
        check_can_write_videos(self.experiment)
        if torchvision_writes_videos():
            return
        for logger in self.experiment.logger.loggers:
            if isinstance(logger, CSVLogger):
                folder = Path(logger.experiment.log_dir) / "videos"
                logger.log_video = partial(write_gif, folder)


def check_can_write_videos(experiment: Experiment) -> None:
    """Check that all loggers can write videos, if there will be any.

    Args:
        experiment (Experiment): so far that it has its task.

    Raises:
        ModuleNotFoundError: if a package is missing; the message says what installs it.
    """
    config = experiment.config
    is_shown = config.render and config.evaluation and keeps_results(experiment)
    if is_shown and experiment.task.has_render(experiment.test_env):
        check_videos(config)


def write_gif(
    folder: Path, name: str, video: Tensor, step: int | None = None, **kwargs: Any
) -> None:
    """Write a video as ``<name>_<step>.gif``, by Pillow.

    Args:
        folder (Path): where to.
        name (str): the video's name.
        video (Tensor): uint8 ``[1, T, 3, H, W]``.
        step (int, optional): number of the iteration.
        **kwargs: what TorchRL's loggers take for mp4; ignored.
    """
    # Pillow is a matter of those who want videos.
    from PIL import Image

    pictures = video[0].permute(0, 2, 3, 1).cpu().numpy()
    first, *others = (Image.fromarray(picture) for picture in pictures)
    first.save(
        folder / f"{name}_{step}.gif",
        save_all=True,
        append_images=others,
        duration=1000 // FRAMES_PER_SECOND,
        loop=0,
    )
