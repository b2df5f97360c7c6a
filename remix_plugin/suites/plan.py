"""What a suite file must hold, and the runs that it asks for, in Hydra's grammar."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from remix_plugin.configs import config_path
from remix_plugin.damaged import read_yaml, shown

SUITE_FIELDS = ("title", "overrides", "blocks")
BLOCK_FIELDS = ("algorithms", "tasks", "seeds", "overrides")
# What a run is named after
CHOSEN_BY_BLOCKS = ("algorithm", "task", "seed")
# A folder is named so, on any file system, and figures have it in their legends.
NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]*")
TASK = re.compile(f"{NAME.pattern}(/{NAME.pattern})*")
# Of names, so that those of locks are not longer than the 255 that file systems allow
LONGEST = 64
LARGEST_SEED = 2**32 - 1
WORDS = {str: "text", int: "whole numbers"}


def check_suite(where: str, content: Any) -> None:
    """Check the content of a suite file, see ``remix_plugin.suites.plan.read_suite``.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """
    _check_fields(where, content, SUITE_FIELDS)
    if not isinstance(content["title"], str):
        raise ValueError(
            f"{where}: title is {shown(content['title'])}: it must be text."
        )
    _check_list(f"{where}: overrides", content["overrides"], str)
    refuse_choices(f"{where}: overrides", content["overrides"])
    blocks = content["blocks"]
    if not isinstance(blocks, dict) or not blocks:
        raise ValueError(
            f"{where}: blocks is {shown(blocks)}: it must map names to blocks, one at "
            "least."
        )
    for name, block in blocks.items():
        _check_name(f"{where}: a block", name)
        _check_block(f"{where}, block {name!r}", block)


def is_name(name: object) -> bool:
    """Whether blocks and labels may be named so."""
    return isinstance(name, str) and bool(NAME.fullmatch(name)) and len(name) <= LONGEST


def is_task(name: object) -> bool:
    """Whether tasks may be named so, as configs are."""
    return isinstance(name, str) and bool(TASK.fullmatch(name)) and len(name) <= LONGEST


def refuse_choices(
    where: str, overrides: Iterable[str], chosen: Sequence[str] = CHOSEN_BY_BLOCKS
) -> None:
    """Check overrides of several runs, or of those of one algorithm.

    Args:
        where (str): where they come from.
        overrides (iterable of str): in Hydra's grammar.
        chosen (sequence of str): what they must not choose.

    Raises:
        ValueError: if one would make runs others than their folders are named after,
            is for Hydra itself, or cannot be printed.
    """
    for override in overrides:
        name = override.partition("=")[0].lstrip("+~")
        if name in chosen:
            raise ValueError(
                f"{where}: {override} is not allowed: a run's {name} is chosen by its "
                "block's list, after which its folder is named."
            )
        if not override.isprintable():
            raise ValueError(
                f"{where}: {shown(override)} is not allowed: an override must have no "
                "characters that cannot be printed."
            )
        if name.startswith(("hydra.", "hydra/")):
            raise ValueError(
                f"{where}: {override} is not allowed: where and how a run is run is "
                "not its suite's to say."
            )


def _check_block(where: str, block: Any) -> None:
    _check_fields(where, block, BLOCK_FIELDS)
    algorithms = block["algorithms"]
    if isinstance(algorithms, dict):
        for label, overrides in algorithms.items():
            what = f"{where}: {label!r} of algorithms"
            _check_list(what, overrides, str)
            refuse_choices(what, overrides, ("task", "seed"))
    else:
        _check_list(f"{where}: algorithms", algorithms, str)
    _check_list(f"{where}: tasks", block["tasks"], str)
    _check_list(f"{where}: seeds", block["seeds"], int)
    _check_list(f"{where}: overrides", block["overrides"], str)
    refuse_choices(f"{where}: overrides", block["overrides"])
    for field in ("algorithms", "tasks", "seeds"):
        if not block[field]:
            raise ValueError(f"{where}: {field} is {block[field]!r}: it must have one.")
    for label in algorithms:
        _check_name(f"{where}: an algorithm", label)
    for task in block["tasks"]:
        _check_task(f"{where}: a task", task)
    for seed in block["seeds"]:
        if not 0 <= seed <= LARGEST_SEED:
            raise ValueError(
                f"{where}: a seed is {seed}: it must be from 0 to {LARGEST_SEED}."
            )


def _check_fields(where: str, content: Any, fields: tuple[str, ...]) -> None:
    """Refuse what lacks a field or has another."""
    if not isinstance(content, dict) or set(content) != set(fields):
        is_mapping = isinstance(content, dict)
        given = ", ".join(map(str, content)) if is_mapping else shown(content)
        given = "nothing" if content in (None, {}) else given
        raise ValueError(f"{where} has {given}: it must have {', '.join(fields)}.")


def _check_list(what: str, value: Any, kind: type) -> None:
    # The type itself: a bool would count as an int.
    if not isinstance(value, list) or any(type(item) is not kind for item in value):
        listed = f"it must be a list of {WORDS[kind]}"
        raise ValueError(f"{what} is {shown(value)}: {listed}.")


def _check_name(what: str, name: Any) -> None:
    """Refuse a name that is not that of one folder."""
    if not is_name(name):
        raise ValueError(
            f"{what} is named {shown(name)}: it must be at most {LONGEST} of a-z, "
            "A-Z, 0-9, _, - and ., the first none of - and ., for a folder is named "
            "so. To an algorithm such as paper/remix a name is given by NAME: "
            "[algorithm=paper/remix]."
        )


def _check_task(what: str, name: str) -> None:
    """Refuse a task that is not named as configs are."""
    if not is_task(name):
        raise ValueError(
            f"{what} is named {shown(name)}: it must be at most {LONGEST} of a-z, "
            "A-Z, 0-9, _, -, . and /, as predator_prey/punish_2 is."
        )


def frames_of(overrides: Sequence[str]) -> int | None:
    """Frames of a run with these overrides, None where they leave it to a config."""
    for override in reversed(overrides):
        name, _, value = override.partition("=")
        digits = value.replace("_", "")
        is_count = digits.isdecimal() and len(digits) < 20
        if name == "experiment.max_n_frames" and is_count:
            return int(digits)
    return None


def quoted(path: Path) -> str:
    """A path as a value that Hydra takes as it is, see :func:`check_results_folder`."""
    return QuotedString(str(path), Quote.single).with_quotes()


def check_results_folder(folder: Path) -> None:
    """Check that Hydra can write into a folder.

    Args:
        folder (Path): absolute.

    Raises:
        NotADirectoryError: if it is there, but no folder.
        ValueError: if Hydra would take part of its name for something else: it looks
            ``${...}`` up again wherever it hands on a run's folder.
    """
    name = str(folder)
    if "${" in name or not name.isprintable():
        raise ValueError(
            f"The results folder {shown(name)} is not allowed: its path must have no "
            "${, nor characters that cannot be printed."
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder.")


def split_overrides(overrides: Iterable[str]) -> tuple[list[str], list[str]]:
    """Tell overrides of runs from those of Hydra itself, as of its launchers."""
    runs: list[str] = []
    of_hydra: list[str] = []
    for override in overrides:
        is_hydra = override.lstrip("+~").startswith(("hydra.", "hydra/"))
        (of_hydra if is_hydra else runs).append(override)
    return runs, of_hydra


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
