"""Results of many runs in one compressed json file."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from remix_plugin.results.run_result import RunResult, WeightCounts


def write_archive(path: Path, results: Sequence[RunResult]) -> None:
    """Write results; the same ones give the same bytes, with one version of Python.

    Args:
        path (Path): the file, ``.json.gz``; replaced whole or not at all.
        results (sequence of RunResult): kept in order of their names.
    """
    content = [
        dataclasses.asdict(result) for result in sorted(results, key=lambda r: r.name)
    ]
    text = json.dumps(content, separators=(",", ":"))
    part = path.with_suffix(".part")
    part.write_bytes(gzip.compress(text.encode(), mtime=0))
    os.replace(part, path)


def read_archive(path: Path) -> list[RunResult]:
    """Read results that :func:`write_archive` has written.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    content = json.loads(gzip.decompress(path.read_bytes()))
    return [_run_result(entry) for entry in content]


def _run_result(entry: dict[str, Any]) -> RunResult:
    weights = {
        group: WeightCounts(
            centers=tuple(counts["centers"]),
            frames=tuple(counts["frames"]),
            counts=tuple(tuple(row) for row in counts["counts"]),
        )
        for group, counts in entry["weights"].items()
    }
    episodes = {
        metric: tuple(tuple(one) for one in evaluations)
        for metric, evaluations in entry["episodes"].items()
    }
    absolute = {metric: tuple(values) for metric, values in entry["absolute"].items()}
    return RunResult(
        **{
            **entry,
            "frames": tuple(entry["frames"]),
            "episodes": episodes,
            "absolute": absolute,
            "weights": weights,
        }
    )
