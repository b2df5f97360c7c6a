"""How projection weights were distributed, from a run's csv."""

from __future__ import annotations

from pathlib import Path

from remix_plugin.damaged import (
    DamagedFileError,
    is_number,
    parse_count,
    read_rows,
    require,
    shown,
)
from remix_plugin.results.run_result import WeightCounts

LEADING = ("group", "frames")
BEYOND = "beyond"


def read_weights(path: Path) -> dict[str, WeightCounts]:
    """Read ``projection_weights.csv``.

    Args:
        path (Path): the file.

    Returns:
        dict: by group, the counts of each interval.

    Raises:
        DamagedFileError: if it is cut off, has another form, or a cell that is no
            count.
    """
    header, *rows = read_rows(path)
    bins = header[2:]
    is_ours = tuple(header[:2]) == LEADING and BEYOND in bins
    is_ours = is_ours and len(set(bins)) == len(bins) and bool(rows)
    require(is_ours, path, f"its columns are {shown(header)}, with {len(rows)} rows")
    centers = {name: _center(path, name) for name in bins if name != BEYOND}
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(dict(zip(header, row, strict=True)))
    return {group: _counts(path, own, centers) for group, own in groups.items()}


def _counts(
    path: Path, rows: list[dict[str, str]], centers: dict[str, float]
) -> WeightCounts:
    """Those of one group. Cells of bins that only other groups have are empty."""
    own = sorted((name for name in centers if rows[0][name]), key=centers.__getitem__)
    frames = tuple(parse_count(path, "frames", row["frames"]) for row in rows)
    require(list(frames) == sorted(set(frames)), path, "frames do not ascend")
    for row in rows:
        filled = [name for name in centers if row[name]]
        what = f"{row['group']} has other bins at {row['frames']} frames"
        require(set(filled) == set(own), path, what)
    return WeightCounts(
        centers=tuple(centers[name] for name in own),
        frames=frames,
        counts=tuple(
            tuple(parse_count(path, f"bin {n}", row[n]) for n in (*own, BEYOND))
            for row in rows
        ),
    )


def _center(path: Path, name: str) -> float:
    """The middle of a bin, which its column is named after."""
    try:
        center = float(name)
    except ValueError as error:
        raise DamagedFileError(path, f"{shown(name)} is no bin") from error
    holds = is_number(center) and f"{center:g}" == name
    require(holds, path, f"{shown(name)} is no bin")
    return center
