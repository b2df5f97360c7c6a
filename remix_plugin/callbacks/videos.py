"""Videos of evaluations, also where torchvision no longer writes any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarl.experiment import Callback, Experiment
from torch import Tensor
from torchrl.record import CSVLogger

from remix_plugin.callbacks.attaching import attach, keeps_results
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


class Gifs(Callback):
    """Has csv loggers write GIFs, once an experiment has its loggers."""

    def on_setup(self) -> None:
        """Put a :class:`GifLogger` in the place of each csv logger."""
        use_gifs(self.experiment)


def prepare_videos(experiment: Experiment) -> None:
    """Check that videos can be written, if there will be any; those of csv always can.

    BenchMARL's csv logger writes them with ``torchvision.io.write_video``, and a run
    fails at its first evaluation where torchvision has it no more.

    Args:
        experiment (Experiment): that is being set up, or is ready.

    Raises:
        ModuleNotFoundError: if a package is missing.
    """
    config = experiment.config
    is_shown = config.render and config.evaluation and keeps_results(experiment)
    if not is_shown or not experiment.task.has_render(experiment.test_env):
        return
    check_videos(config)
    if "csv" not in config.loggers or torchvision_writes_videos():
        return
    if hasattr(experiment, "logger"):
        use_gifs(experiment)
    else:
        attach(experiment, Gifs())


def use_gifs(experiment: Experiment) -> None:
    """Put a :class:`GifLogger` in the place of each csv logger, over the same files."""
    experiment.logger.loggers = [
        GifLogger(exp_name=logger.exp_name, log_dir=logger.log_dir)
        if type(logger) is CSVLogger
        else logger
        for logger in experiment.logger.loggers
    ]
