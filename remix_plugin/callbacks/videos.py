"""Videos of evaluations, also where torchvision no longer writes any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarl.experiment import Callback, Experiment
from torch import Tensor
from torchrl.record import CSVLogger
from torchrl.record.loggers import Logger

from remix_plugin.callbacks.attaching import keeps_results
from remix_plugin.experiment.loggers import check_videos, torchvision_writes_videos

FRAMES_PER_SECOND = 8


class GifLogger(CSVLogger):
    """TorchRL's csv logger, whose videos are GIFs and need nothing but Pillow."""

    def log_video(
        self, name: str, video: Tensor, step: int | None = None, **kwargs: Any
    ) -> None:
        """Write ``videos/<name>_<step>.gif``.

        Args:
            name (str): the video's name.
            video (Tensor): uint8 ``[1, T, 3, H, W]``.
            step (int, optional): number of the iteration.
            **kwargs: what TorchRL's takes is for mp4 and ignored.
        """
        # Pillow is a matter of those who want videos.
        from PIL import Image

        pictures = video[0].permute(0, 2, 3, 1).cpu().numpy()
        first, *others = (Image.fromarray(picture) for picture in pictures)
        path = Path(self.experiment.log_dir) / "videos" / f"{name}_{step}.gif"
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=1000 // FRAMES_PER_SECOND,
            loop=0,
        )


class Videos(Callback):
    """Has csv loggers write GIFs where torchvision no longer writes videos.

    BenchMARL's csv logger calls ``torchvision.io.write_video``, and a run fails at its
    first evaluation where there is none.
    """

    def on_setup(self) -> None:
        """Check packages, and put a :class:`GifLogger` in the place of csv loggers.

        Raises:
            ModuleNotFoundError: if a package is missing.
        """
        check_can_write_videos(self.experiment)
        if not torchvision_writes_videos():
            logger = self.experiment.logger
            logger.loggers = [_with_gifs(one) for one in logger.loggers]


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


def _with_gifs(logger: Logger) -> Logger:
    """The same logger, or one over the same files that writes GIFs."""
    if type(logger) is not CSVLogger:
        return logger
    return GifLogger(exp_name=logger.exp_name, log_dir=logger.log_dir)
