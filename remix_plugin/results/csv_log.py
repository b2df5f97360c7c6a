"""What BenchMARL's csv logger leaves of a run, beside its json."""

from __future__ import annotations

import re
from pathlib import Path

from remix_plugin.damaged import (
    DamagedFileError,
    parse_count,
    parse_number,
    read_rows,
    require,
)

# Somewhere below the folder of the json
SETTINGS_FILE = "texts/hparams0.txt"
FRAMES_FILE = "scalars/counters_total_frames.csv"
TOTAL_TIME_FILE = "scalars/timers_total_time.csv"
ITERATION_TIME_FILE = "timers_iteration_time.csv"
# Number of the iteration, and a value
Scalars = list[tuple[int, float]]


def logged_file(folder: Path, name: str) -> Path | None:
    """What the csv logger has written of the run in a folder, if it did."""
    found = sorted(folder.glob(f"*/{name}"))
    return found[0] if len(found) == 1 else None


def read_scalars(path: Path) -> Scalars:
    """Iterations and what was logged in each, by BenchMARL's csv logger."""
    rows = read_rows(path)
    require(len(rows[0]) == 2, path, f"it has {len(rows[0])} columns, not two")
    return [
        (parse_count(path, "iteration", cell), parse_number(path, "value", value))
        for cell, value in rows
    ]


def setting(log: Path, text: str, pattern: str) -> str:
    """What the logged settings say once.

    Args:
        log (Path): their file.
        text (str): what is in it.
        pattern (str): a regular expression of a line with a group.

    Raises:
        DamagedFileError: if there is no such line, or several.
    """
    found = re.findall(pattern, text, re.MULTILINE)
    if len(found) != 1:
        raise DamagedFileError(log, f"it has not one line like {pattern}")
    return str(found[0])
