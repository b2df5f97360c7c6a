"""What a run writes into its folder through BenchMARL's logger."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from benchmarl.experiment.logger import JsonWriter, Logger
from torchrl.record import CSVLogger, TensorboardLogger

from remix_plugin.whole_files import write_whole


class WholeJsonWriter(JsonWriter):
    """BenchMARL's json of a run, replaced whole or not at all.

    Args:
        writer (JsonWriter): whose file and data it goes on with.
    """

    def __init__(self, writer: JsonWriter) -> None:
        self.path = writer.path
        self.data = writer.data
        self.run_data = writer.run_data

    def write(self, *args: Any, **kwargs: Any) -> None:
        """Write a step, as :meth:`JsonWriter.write`."""
        path = self.path

        def write(file: BinaryIO) -> None:
            self.path = file.name
            super(WholeJsonWriter, self).write(*args, **kwargs)

        try:
            write_whole(Path(path), write)
        finally:
            self.path = path


class RunLogs:
    """The csv files and the json of a run, written to while it runs and not otherwise.

    An evaluation of a finished run, or of a checkpoint, thus changes nothing of them.
    Loggers that do not write into the folder are left alone.

    Args:
        logger (Logger): of the experiment.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._loggers = list(logger.loggers)
        writer = logger.json_writer
        self._writer = None if writer is None else WholeJsonWriter(writer)
        self.open()

    def open(self) -> None:
        """Let the logger write into the folder."""
        self._logger.loggers = self._loggers
        self._logger.json_writer = self._writer

    def close(self) -> None:
        """Keep the logger from it."""
        self._logger.loggers = [
            logger
            for logger in self._loggers
            if not isinstance(logger, (CSVLogger, TensorboardLogger))
        ]
        self._logger.json_writer = None

    def scalars(self) -> list[Path]:
        """The csv files that there are now."""
        return self._files("scalars/*.csv")

    def texts(self) -> list[Path]:
        """The files in which the csv logger has noted the experiment's options."""
        return self._files("texts/*.txt")

    def steps(self) -> dict[str, Any]:
        """What the json holds of the run."""
        return {} if self._writer is None else self._writer.run_data

    def restore_steps(self, steps: dict[str, Any]) -> None:
        """Continue from :meth:`steps`."""
        if self._writer is not None:
            self._writer.run_data.clear()
            self._writer.run_data.update(steps)

    def _files(self, pattern: str) -> list[Path]:
        return [
            path
            for logger in self._loggers
            if isinstance(logger, CSVLogger)
            for path in Path(logger.experiment.log_dir).glob(pattern)
        ]
