"""What to know before BenchMARL starts one of its own StarCraft tasks.

BenchMARL builds ``smacv2/...`` itself, before anything of ours, and would print its
whole config and end with a bare ImportError: what is missing is told from the command
line.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString
from hydra.errors import HydraException

from remix_plugin.starcraft.game_files import (
    RELEASES,
    find_game_folder,
    installed_versions,
)
from remix_plugin.starcraft.installation import (
    WITHOUT_STARCRAFT,
    StarCraftError,
    check_starcraft,
)
from remix_plugin.starcraft.launch_errors import explain_launch_error
from remix_plugin.starcraft.rendering import rendering_fails

LOGGER = logging.getLogger("remix_plugin.starcraft")
# With these, Hydra tells something and starts nothing.
_TELLS = {"--cfg", "-c", "--info", "-i", "--help", "-h", "--hydra-help"}
_TELLS |= {"--shell-completion", "-sc"}
_FAMILIES = ("smac/", "smacv2/")
INSTEAD = "python -m benchmarl.run algorithm=remix task=smax/3m experiment=smax"
_NO = ("false", "no", "n", "off", "0")


def stop_or_warn(arguments: Sequence[str]) -> None:
    """Tell what stands in the way of the StarCraft tasks that arguments select.

    Stops for what ``smacv2`` tasks miss (``smac`` tasks refuse by themselves), and logs
    warnings of settings that fail later. Does nothing where no such task is selected,
    nor for what Hydra will refuse.

    Args:
        arguments: of a Hydra application of BenchMARL, as in ``sys.argv[1:]``.

    Raises:
        SystemExit: if a run could not begin; the message ends in a command that can.
    """
    if not any("smac" in argument for argument in arguments):
        return
    if any(argument.split("=")[0] in _TELLS for argument in arguments):
        return
    chosen = _read_overrides(arguments)
    if any(str(task).startswith(_FAMILIES) for task in chosen.get("task", [])):
        _warn_of_random_frames(chosen)
    tasks = {str(task): _task_file(str(task)) for task in chosen.get("task", [])}
    maps = {name: _yaml(path)["map_name"] for name, path in tasks.items() if path}
    if not maps:
        return
    map_names = list(map(str, chosen.get("task.map_name", maps.values())))
    versions = [str(v) for v in chosen.get("task.game_version", []) if v is not None]
    problems = check_starcraft(map_names, game_version=next(iter(versions), None))
    reasons = _refusals(map_names[0], chosen.get("task.difficulty", []), versions)
    if problems:
        error = StarCraftError.from_problems(problems, dict.fromkeys(map_names))
        reasons.insert(0, f"task={','.join(maps)}: {error}")
    if reasons:
        raise SystemExit("\n".join([*reasons, f"This works: {INSTEAD}"]))
    _warn_of_rendering(chosen)


def _refusals(
    map_name: str, difficulties: Sequence[Any], versions: Sequence[str]
) -> list[str]:
    """Explanations of what smacv2 and pysc2 will raise for options they do not know."""
    refused = [
        explain_launch_error(KeyError(value), map_name, difficulty=value)
        for value in difficulties
    ]
    folder = find_game_folder()
    installed = installed_versions(folder.path) if folder else []
    names = [RELEASES.get(version.build) for version in installed]
    # What pysc2 calls other builds is not known here.
    if names and None not in names:
        known = [*names, "latest"]
        for version in versions:
            if version.removesuffix(".0") not in known:
                text = f"Unknown game version: {version}. Known versions: {known}."
                refused.append(explain_launch_error(ValueError(text), map_name))
    return [text for text in refused if text is not None]


def _read_overrides(arguments: Sequence[str]) -> dict[str, list[Any]]:
    """Values of each option or group in the arguments, more than one in a sweep."""
    parser = OverridesParser.create()
    chosen = {}
    for argument in arguments:
        try:
            override = parser.parse_override(argument)
        except HydraException:
            # A flag, the value of one, or something for Hydra to refuse.
            continue
        value = override.value()
        values = value.list if isinstance(value, ChoiceSweep) else [value]
        if not override.is_delete():
            chosen[override.key_or_group] = [
                value.text if isinstance(value, QuotedString) else value
                for value in values
            ]
    return chosen


def _task_file(task: str) -> Path | None:
    """BenchMARL's YAML of one of its smacv2 tasks, or None if it is not one."""
    folder = Path(str(files("benchmarl"))) / "conf" / "task" / "smacv2"
    known = {f"smacv2/{path.stem}": path for path in folder.glob("*.yaml")}
    return known.get(task)


def _yaml(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) or {}


def _experiment_values(option: str, chosen: dict[str, list[Any]]) -> list[Any]:
    """Values that an option of the experiment takes, from arguments or YAML files."""
    if f"experiment.{option}" in chosen:
        return chosen[f"experiment.{option}"]
    ours = Path(str(files("benchmarl_configs"))) / "experiment"
    theirs = Path(str(files("benchmarl"))) / "conf" / "experiment"
    defaults = _yaml(theirs / "base_experiment.yaml")
    values = []
    for name in chosen.get("experiment", ["base_experiment"]):
        paths = [folder / f"{name}.yaml" for folder in (ours, theirs)]
        # What lies elsewhere is the user's, and is not judged.
        for path in filter(Path.is_file, paths):
            values.append(_yaml(path).get(option, defaults.get(option)))
    return values


def _may_be_on(option: str, chosen: dict[str, list[Any]]) -> bool:
    values = _experiment_values(option, chosen)
    return any(str(value).lower() not in _NO for value in values)


def _warn_of_rendering(chosen: dict[str, list[Any]]) -> None:
    if not rendering_fails():
        return
    if _may_be_on("evaluation", chosen) and _may_be_on("render", chosen):
        LOGGER.warning(
            "experiment.render=True fails at the first evaluation of smacv2 tasks on "
            "Python 3.11 and later: pysc2 4.0.0 raises `TypeError: Random.shuffle() "
            "takes 2 positional arguments but 3 were given`. Add "
            "experiment.render=False. %s",
            WITHOUT_STARCRAFT,
        )


def _warn_of_random_frames(chosen: dict[str, list[Any]]) -> None:
    values = _experiment_values("off_policy_init_random_frames", chosen)
    frames = [v for v in values if isinstance(v, (int, float)) and v > 0]
    if frames:
        LOGGER.warning(
            "experiment.off_policy_init_random_frames=%s fails at the first step of "
            "StarCraft tasks: the random policy ignores the action mask, and the game "
            "refuses actions that are not available. Set it to 0 and explore with "
            "experiment.exploration_eps_init=1.0 instead. %s",
            ",".join(map(str, frames)),
            WITHOUT_STARCRAFT,
        )
