"""What a suite file must hold, and what may be added to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from remix_plugin.damaged import shown

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
