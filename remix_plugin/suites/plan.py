"""What a suite file says is to be run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remix_plugin.configs import config_path
from remix_plugin.damaged import read_yaml, shown
from remix_plugin.suites.content import check_suite, is_name, refuse_choices
from remix_plugin.suites.overrides import frames_of


@dataclass(frozen=True)
class Run:
    """One run of a suite.

    Attributes:
        block (str): the block of the suite that it belongs to, e.g. ``"anneal_50k"``.
        task (str): BenchMARL's name, e.g. ``"predator_prey/punish_2"``.
        label (str): name of its curve: the algorithm's, or that of a variant of it.
        seed (int): its seed.
        overrides (tuple of str): Hydra overrides, all of them.
    """

    block: str
    task: str
    label: str
    seed: int
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its folder below that of the suite: block, task, label and seed."""
        task = self.task.replace("/", "-")
        return f"{self.block}/{task}/{self.label}/seed_{self.seed}"

    @property
    def frames(self) -> int | None:
        """Frames that its overrides ask for, None where they leave it to a config."""
        return frames_of(self.overrides)


@dataclass(frozen=True)
class Suite:
    """A named list of runs.

    Attributes:
        name (str): stem of its file.
        title (str): what it is, in words.
        runs (tuple of Run): in the order in which they are begun: block by block, and
            seed by seed within a block, so that what is cut off has as many seeds of
            everything as there was time for.
    """

    name: str
    title: str
    runs: tuple[Run, ...]


def read_suite(path_or_name: str, extra: tuple[str, ...] = ()) -> Suite:
    """Read a suite.

    A suite file has a ``title``, ``overrides`` of all its runs, and ``blocks`` by name.
    A block has ``algorithms``, a list of names, or a mapping of labels to overrides for
    variants of one; ``tasks``; ``seeds``; and ``overrides`` of its own. All
    combinations of the three are run.

    Args:
        path_or_name (str): a file, or the stem of one of the plugin's in
            ``benchmarl_configs/suites``.
        extra (tuple of str): overrides that come after those of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        DamagedFileError: if it cannot be read, or is no YAML.
        ValueError: if a field is missing, unknown, empty or not of its
            kind, a run occurs twice, or ``extra`` chooses what blocks choose.
    """
    if path_or_name.endswith((".yaml", ".yml")):
        path = Path(path_or_name)
        if not os.path.lexists(path):
            raise FileNotFoundError(f"There is no suite {shown(path_or_name)}.")
    else:
        path = _own_suite(path_or_name)
    content = read_yaml(path)
    check_suite(str(path), content)
    refuse_choices(f"overrides added to {path}", extra)
    runs: list[Run] = []
    for name, block in content["blocks"].items():
        before = (*content["overrides"], *block["overrides"])
        runs += _block_runs(name, block, before, extra)
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: {twice[0]!r} is listed more than once.")
    return Suite(path.stem, str(content["title"]), tuple(runs))


def _own_suite(name: str) -> Path:
    """One of the plugin's, not any other file of a name such as ``../x``."""
    if not is_name(name):
        raise FileNotFoundError(
            f"There is no suite {shown(name)}: it must be a file, .yaml, or one of the "
            "plugin's suites."
        )
    return config_path("suites", name)


def _block_runs(
    name: str, block: dict[str, Any], before: tuple[str, ...], extra: tuple[str, ...]
) -> list[Run]:
    algorithms = block["algorithms"]
    if isinstance(algorithms, list):
        algorithms = {algorithm: [f"algorithm={algorithm}"] for algorithm in algorithms}
    return [
        Run(
            name,
            task,
            label,
            seed,
            (*before, f"task={task}", *overrides, f"seed={seed}", *extra),
        )
        for seed in block["seeds"]
        for task in block["tasks"]
        for label, overrides in algorithms.items()
    ]
