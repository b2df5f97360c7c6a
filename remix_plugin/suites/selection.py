"""Which runs of one or several suites are meant, and whether they can be run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from benchmarl.algorithms import algorithm_config_registry
from benchmarl.experiment import ExperimentConfig
from benchmarl.hydra_config import (
    load_algorithm_config_from_hydra,
    load_experiment_config_from_hydra,
    load_model_config_from_hydra,
    load_task_config_from_hydra,
)
from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from remix_plugin.algorithms.sizes import check_model_sizes
from remix_plugin.damaged import shown
from remix_plugin.experiment.ranges import check_experiment
from remix_plugin.starcraft.installation import StarCraftError
from remix_plugin.suites.plan import Run, Suite


def select_runs(suites: Iterable[Suite], patterns: Sequence[str] = ()) -> list[Run]:
    """Runs of several suites, each one once, in order.

    Args:
        suites (iterable of Suite): they may share runs.
        patterns (sequence of str): only runs whose name matches one of these, e.g.
            ``"*/remix/*"``; all if there are none.

    Raises:
        ValueError: if runs of one name differ, or no run is left.
    """
    runs: dict[str, Run] = {}
    for suite in suites:
        for run in suite.runs:
            known = runs.setdefault(run.name, run)
            if known.overrides != run.overrides:
                raise ValueError(
                    f"{run.name} of {suite.name} has overrides "
                    f"{' '.join(run.overrides)}, in a suite before it has "
                    f"{' '.join(known.overrides)}: they need names of their own, or "
                    "results folders of their own."
                )
    if not patterns:
        return list(runs.values())
    chosen = [
        run
        for name, run in runs.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    if not chosen:
        raise ValueError(
            f"No run matches {' or '.join(map(shown, patterns))}: it must be a name as "
            f"{next(iter(runs))}, in which * stands for anything."
        )
    return chosen


def check_overrides(runs: Iterable[Run], *, here: bool = True) -> None:
    """Compose runs with Hydra, so that what is misspelt shows before any training.

    As this takes a third of a second a run, only so many are tried that each choice of
    an algorithm, of a task, of a model and of an experiment, with its options, is tried
    once, and each experiment with algorithms on and off policy if there are both.

    Args:
        runs (iterable of Run): that are to be run.

    Keyword Args:
        here (bool): whether they are to run on this machine, whose devices, packages
            and simulators they then need.

    Raises:
        ValueError: if a run cannot be composed, with Hydra's own words, would leave no
            results in its folder, or has an option out of range.
        ModuleNotFoundError: if a package is not installed.
    """
    with initialize_config_module("benchmarl.conf", version_base=None):
        for run in _covering(list(runs)):
            try:
                config = compose("config", list(run.overrides))
            except (HydraException, OmegaConfBaseException) as error:
                cause = f" ({error.__cause__})" if error.__cause__ else ""
                raise ValueError(
                    f"{run.name} cannot be run: {error}{cause} Its overrides are "
                    f"{' '.join(run.overrides)}."
                ) from error
            _check_experiment(run, config.experiment)
            try:
                _check_options(run, config, here)
            except ImportError as error:
                raise ModuleNotFoundError(f"{run.name}: {error}") from error
            except (AttributeError, TypeError, ValueError, StarCraftError) as error:
                raise ValueError(f"{run.name}: {error}") from error


def _check_options(run: Run, config: DictConfig, here: bool) -> None:
    """Make all options of a run, for which they must be in range."""
    on_policy = load_algorithm_config_from_hydra(config.algorithm).on_policy()
    experiment = load_experiment_config_from_hydra(config.experiment)
    check_experiment(experiment, on_policy, here=here)
    _check_batches(config.experiment, on_policy)
    # What BenchMARL itself refuses; a class of ours would look at this machine again.
    ExperimentConfig.validate(experiment, on_policy)
    for name in ("model", "critic_model"):
        check_model_sizes(name, load_model_config_from_hydra(config[name]))
    task = load_task_config_from_hydra(config.task, run.task)
    if here:
        # Where tasks of ours look for their simulators.
        task.supports_continuous_actions()


def _check_experiment(run: Run, experiment: DictConfig) -> None:
    """Refuse what would leave no results in the folder of a run."""
    for name in ("evaluation", "create_json"):
        value = experiment[name]
        if not value:
            raise ValueError(
                f"{run.name} has experiment.{name}={value!r}: it must be True, a "
                "suite's results are the evaluations in BenchMARL's json."
            )
    for name in ("save_folder", "restore_file"):
        value = experiment[name]
        if value is not None:
            raise ValueError(
                f"{run.name} has experiment.{name}={value!r}: it must be null, a run "
                "of a suite has a folder of its own, and goes on from what is there."
            )


def _check_batches(experiment: DictConfig, on_policy: bool) -> None:
    """Refuse batches that the collector would round up: evaluations would be missed."""
    kind = "on_policy" if on_policy else "off_policy"
    names = f"{kind}_collected_frames_per_batch", f"{kind}_n_envs_per_worker"
    frames, n_envs = (experiment[name] for name in names)
    if frames % n_envs:
        raise ValueError(
            f"experiment.{names[0]}={frames} is not allowed: it must be a multiple of "
            f"experiment.{names[1]}={n_envs}, or more is collected than BenchMARL "
            "counts with, and evaluations are missed."
        )


def _covering(runs: Sequence[Run]) -> list[Run]:
    """Few runs that have all the parts that these runs have."""
    chosen = []
    parts = [_parts(run) for run in runs]
    missing = set().union(*parts)
    # First those that have several new parts at once.
    for n_new in range(max(map(len, parts), default=0), 0, -1):
        for run, own in zip(runs, parts, strict=True):
            if len(own & missing) >= n_new:
                chosen.append(run)
                missing -= own
    return chosen


def _parts(run: Run) -> set[tuple[str, ...]]:
    """Overrides of a run but its seed, those of one group of configs together.

    Those of the experiment go with the algorithm's kind, which reads some of them only.
    """
    groups: dict[str, list[str]] = {}
    for override in run.overrides:
        group = re.split(r"[.=@/]", override.lstrip("+~"), maxsplit=1)[0]
        if group != "seed":
            groups.setdefault(group, []).append(override)
    experiment = (_kind(groups.get("algorithm", [])), *groups.pop("experiment", []))
    return {experiment, *(tuple(overrides) for overrides in groups.values())}


def _kind(overrides: Iterable[str]) -> str:
    """Kind of the algorithm that is chosen, its name where it is not known."""
    for override in overrides:
        group, _, choice = override.partition("=")
        if group == "algorithm":
            config = algorithm_config_registry.get(choice.rpartition("/")[2])
            if config is None:
                return choice
            return "on policy" if config.on_policy() else "off policy"
    return ""
