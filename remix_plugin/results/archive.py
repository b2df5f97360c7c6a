"""Results of many runs in one compressed json file."""

from __future__ import annotations

import dataclasses
import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from remix_plugin.damaged import (
    DamagedFileError,
    is_number,
    is_whole_number,
    parse_json,
    read_bytes,
    require,
    shown,
)
from remix_plugin.results.run_result import NO_BLOCK, RunResult, WeightCounts
from remix_plugin.suites.plan import is_name, is_task
from remix_plugin.suites.record import check_record
from remix_plugin.whole_files import write_bytes

ARCHIVE_ENDING = ".json.gz"
# Bytes of an unpacked archive, at most: 264 runs of Predator-Prey have 7 million, and
# a small file can unpack to more than the memory holds.
LARGEST_SIZE = 2**28
FIELDS = {field.name for field in dataclasses.fields(RunResult)} - {"path"}
WEIGHT_FIELDS = {field.name for field in dataclasses.fields(WeightCounts)}


def write_archive(path: Path, results: Sequence[RunResult]) -> None:
    """Write results; the same ones give the same bytes, with one version of Python.

    Args:
        path (Path): the file, ``.json.gz``; replaced whole or not at all.
        results (sequence of RunResult): kept in order of their names.
    """
    content = [
        {
            name: value
            for name, value in dataclasses.asdict(one).items()
            if name in FIELDS
        }
        for one in sorted(results, key=lambda result: result.name)
    ]
    text = json.dumps(content, separators=(",", ":"))
    write_bytes(path, gzip.compress(text.encode(), mtime=0))


def read_archive(path: Path) -> list[RunResult]:
    """Read results that :func:`write_archive` has written.

    Raises:
        FileNotFoundError: if there is no such file.
        DamagedFileError: if it is cut off, changed or of another program, or larger
            than ``LARGEST_SIZE`` when unpacked.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no archive {path}.")
    content = parse_json(path, _unpack(path))
    require(content != [], path, "it has no run")
    require(
        isinstance(content, list), path, f"it has {shown(content)}, no list of runs"
    )
    results = [_run_result(path, number, run) for number, run in enumerate(content)]
    names = [result.name for result in results]
    twins = [name for name in names if names.count(name) > 1]
    require(not twins, path, f"runs are there twice, {shown(twins[:1])}")
    return results


def _unpack(path: Path) -> str:
    """The text of an archive, as far as it may be long."""
    # Said first if it is no file at all
    read_bytes(path)
    try:
        with gzip.open(path) as file:
            # To its end, where its checksum is compared
            content = file.read(LARGEST_SIZE + 1)
        size = len(content)
        text = content.decode() if size <= LARGEST_SIZE else ""
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DamagedFileError(path, f"it is not a whole archive, {error}") from error
    require(size <= LARGEST_SIZE, path, f"it unpacks to over {LARGEST_SIZE:,} bytes")
    return text


def _run_result(path: Path, number: int, entry: Any) -> RunResult:
    where = f"run {number}"
    _check_fields(path, where, entry, FIELDS)
    names = [entry[field] for field in ("block", "task", "label")]
    holds = is_name(names[0]) and is_task(names[1]) and is_name(names[2])
    what = f"{where} is named {shown(names)} with seed {shown(entry['seed'])}"
    require(holds and is_whole_number(entry["seed"]), path, what)
    where = f"{where} of {names[2]} with seed {entry['seed']}"
    frames = _ascending(path, f"frames of {where}", entry["frames"])
    _check_record(path, where, entry["block"], entry["record"])
    absolute = _mapping(path, f"absolute of {where}", entry["absolute"])
    weights = _mapping(path, f"weights of {where}", entry["weights"])
    values = {
        "frames": frames,
        "episodes": _episodes(path, where, entry["episodes"], len(frames)),
        "absolute": {
            metric: _numbers(path, f"absolute {metric} of {where}", values)
            for metric, values in absolute.items()
        },
        "weights": {
            group: _weights(path, f"weights of {group} of {where}", counts)
            for group, counts in weights.items()
        },
    }
    return RunResult(**{**entry, **values})


def _check_record(path: Path, where: str, block: str, record: Any) -> None:
    """Check the record of a suite's run, or the seconds of another."""
    if block != NO_BLOCK or not isinstance(record, dict) or "overrides" in record:
        check_record(path, record)
    else:
        holds = not set(record) - {"seconds"} and is_number(record.get("seconds", 0))
        require(holds, path, f"record of {where} is {shown(record)}")


def _episodes(
    path: Path, where: str, value: Any, n_evaluations: int
) -> dict[str, tuple[tuple[float, ...], ...]]:
    episodes = {}
    for metric, evaluations in _mapping(path, f"episodes of {where}", value).items():
        what = f"{metric} of {where}"
        _check_list(path, what, evaluations, n_evaluations)
        episodes[metric] = tuple(_numbers(path, what, one) for one in evaluations)
    return episodes


def _weights(path: Path, where: str, value: Any) -> WeightCounts:
    _check_fields(path, where, value, WEIGHT_FIELDS)
    centers = _numbers(path, f"centers of {where}", value["centers"])
    require(list(centers) == sorted(set(centers)), path, f"centers of {where}")
    frames = _ascending(path, f"frames of {where}", value["frames"])
    _check_list(path, f"counts of {where}", value["counts"], len(frames))
    rows = [_counts(path, f"counts of {where}", row) for row in value["counts"]]
    holds = all(len(row) == len(centers) + 1 for row in rows)
    require(holds, path, f"counts of {where} are not one for each bin and beyond")
    return WeightCounts(centers, frames, tuple(rows))


def _check_fields(path: Path, where: str, value: Any, fields: set[str]) -> None:
    listed = ", ".join(sorted(fields))
    holds = isinstance(value, dict) and set(value) == fields
    require(holds, path, f"{where} is {shown(value)}: it must have {listed}")


def _check_list(path: Path, where: str, value: Any, length: int) -> None:
    holds = isinstance(value, list) and len(value) == length
    require(holds, path, f"{where} is {shown(value)}: it must be a list of {length}")


def _mapping(path: Path, where: str, value: Any) -> dict[str, Any]:
    require(isinstance(value, dict), path, f"{where} is {shown(value)}, by no names")
    return dict(value)


def _numbers(path: Path, where: str, value: Any) -> tuple[float, ...]:
    holds = isinstance(value, list) and all(map(is_number, value))
    require(holds, path, f"{where} is {shown(value)}: it must be a list of numbers")
    return tuple(value)


def _counts(path: Path, where: str, value: Any) -> tuple[int, ...]:
    holds = isinstance(value, list) and all(map(is_whole_number, value))
    require(holds, path, f"{where} is {shown(value)}: it must be whole numbers")
    return tuple(value)


def _ascending(path: Path, where: str, value: Any) -> tuple[int, ...]:
    counts = _counts(path, where, value)
    require(list(counts) == sorted(set(counts)), path, f"{where} do not ascend")
    return counts
