"""What a suite file must hold, and what may be added to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

SUITE_FIELDS = ("title", "overrides", "blocks")
BLOCK_FIELDS = ("algorithms", "tasks", "seeds", "overrides")
# What a run is named after
CHOSEN_BY_BLOCKS = ("algorithm", "task", "seed")
WORDS = {str: "text", int: "whole numbers"}


def check_suite(where: str, content: Any) -> None:
    """Check the content of a suite file, see ``remix_plugin.suites.plan.read_suite``.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """
    _check_fields(where, content, SUITE_FIELDS)
    _check_list(f"{where}: overrides", content["overrides"], str)
    refuse_choices(f"{where}: overrides", content["overrides"])
    blocks = content["blocks"]
    if not isinstance(blocks, dict) or not blocks:
        raise ValueError(
            f"{where}: blocks is {blocks!r}: it must map names to blocks, one at least."
        )
    for name, block in blocks.items():
        _check_name(f"{where}: a block", name)
        _check_block(f"{where}, block {name!r}", block)


def refuse_choices(
    where: str, overrides: Iterable[str], chosen: Sequence[str] = CHOSEN_BY_BLOCKS
) -> None:
    """Check overrides of several runs, or of those of one algorithm.

    Args:
        where (str): where they come from.
        overrides (iterable of str): in Hydra's grammar.
        chosen (sequence of str): what they must not choose.

    Raises:
        ValueError: if one would make runs others than their folders are named after.
    """
    for override in overrides:
        name = override.partition("=")[0].lstrip("+~")
        if name in chosen:
            raise ValueError(
                f"{where}: {override} is not allowed: a run's {name} is chosen by its "
                "block's list, after which its folder is named."
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


def _check_fields(where: str, content: Any, fields: tuple[str, ...]) -> None:
    """Refuse what lacks a field or has another."""
    if not isinstance(content, dict) or set(content) != set(fields):
        given = ", ".join(map(str, content)) if isinstance(content, dict) else content
        raise ValueError(
            f"{where} has {given or 'nothing'}: it must have {', '.join(fields)}."
        )


def _check_list(what: str, value: Any, kind: type) -> None:
    # The type itself: a bool would count as an int.
    if not isinstance(value, list) or any(type(item) is not kind for item in value):
        raise ValueError(f"{what} is {value!r}: it must be a list of {WORDS[kind]}.")


def _check_name(what: str, name: Any) -> None:
    """Refuse a name that is not that of one folder."""
    if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
        raise ValueError(
            f"{what} is named {name!r}: it must be text without a slash or a leading "
            "dot, for a folder is named so. To an algorithm such as paper/remix a name "
            "is given by NAME: [algorithm=paper/remix]."
        )
