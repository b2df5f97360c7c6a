"""What the benchmarks share: turns, quartiles, tables, a line about the machine."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping

import benchmarl
import torch
import torchrl


def machine(device: str, threads: int) -> str:
    """Processor and versions, in a line."""
    processor = platform.processor() or platform.machine()
    if device.startswith("cuda"):
        processor += f", {torch.cuda.get_device_name()}"
    return (
        f"{processor}, {threads} threads, Python {platform.python_version()}, "
        f"torch {torch.__version__}, torchrl {torchrl.__version__}, "
        f"benchmarl {benchmarl.__version__}"
    )


def seconds_of(action: Callable[[], object], device: str, repeats: int = 1) -> float:
    """Mean time of an action, with what it leaves running on a GPU."""
    _synchronize(device)
    start = time.perf_counter()
    for _ in range(repeats):
        action()
    _synchronize(device)
    return (time.perf_counter() - start) / repeats


def take_turns(
    actions: Mapping[str, Callable[[], object]], device: str, turns: int, repeats: int
) -> dict[str, list[float]]:
    """Seconds of an action in each turn, by name, after a first turn to warm up.

    Whatever else the machine does falls on all alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(turns + 1):
        for name, action in actions.items():
            seconds[name].append(seconds_of(action, device, repeats))
    return {name: values[1:] for name, values in seconds.items()}


def quartiles(seconds: list[float]) -> str:
    """First to third quartile in milliseconds."""
    first, _, third = statistics.quantiles(seconds, n=4)
    return f"{1e3 * first:.1f}-{1e3 * third:.1f}"


def print_ratios(
    title: str, seconds: Mapping[str, list[float]], reference: str
) -> None:
    """A markdown table of medians, quartiles and ratios to one of the rows."""
    print(f"\n| {title} | quartiles | ratio to {reference} |")
    print("|---" * (title.count("|") + 3) + "|")
    base = statistics.median(seconds[reference])
    for name, times in seconds.items():
        median = statistics.median(times)
        cells = (name, f"{1e3 * median:.1f}", quartiles(times), f"{median / base:.2f}")
        print("|", *(f"{cell} |" for cell in cells))


def _synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
