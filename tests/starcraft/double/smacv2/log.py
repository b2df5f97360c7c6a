"""What happened to games: in a list, and in the file ``SMACV2_DOUBLE_LOG`` names.

The file holds a JSON object a line. Each has ``event`` and ``pid`` (of the Python
process), and further fields:

- ``launch``: ``game`` (a number within the process), ``map_name``, ``seed``;
- ``close``: ``game``;
- ``episode``: ``game``, ``steps``, ``won``, ``limit`` (whether time ran out);
- ``replay``: ``game``.
"""

from __future__ import annotations

import json
import os
from typing import Any

VARIABLE = "SMACV2_DOUBLE_LOG"
EVENTS: list[dict[str, Any]] = []


def record(event: str, **details: Any) -> None:
    """Add an event to the list and, if there is one, to the file."""
    entry = {"event": event, "pid": os.getpid(), **details}
    EVENTS.append(entry)
    if path := os.environ.get(VARIABLE):
        # One short write in append mode: lines of several processes do not mix.
        with open(path, "a") as file:
            file.write(json.dumps(entry) + "\n")


def count(event: str) -> int:
    """How often an event happened in this process."""
    return sum(entry["event"] == event for entry in EVENTS)
