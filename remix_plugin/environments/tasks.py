"""What all BenchMARL tasks of the plugin share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar

from benchmarl.environments import Task, TaskClass
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.data import Composite
from torchrl.envs import EnvBase

from remix_plugin.configs import config_path, read_options


class PluginTask(Task):
    """A task whose YAML lies in ``benchmarl_configs/task``."""

    def get_from_yaml(self, path: str | None = None) -> TaskClass:
        """Load the task from ``path``, or from the plugin's YAML of its name.

        Raises:
            FileNotFoundError: if there is no such file.
            TypeError: if an option is unknown, missing or of the wrong type.
            ValueError: if an option is out of range.
        """
        if path is None:
            path = str(config_path("task", self.env_name(), self.name.lower()))
        return self.get_task(config=read_options(path))


class PluginTaskClass(TaskClass):
    """A discrete, batched task whose options are checked when it is made.

    Attributes:
        config_class: dataclass of the options; its constructor validates.
        env_class: the environment, made of the options, ``num_envs``, ``seed`` and
            ``device``.

    Raises:
        TypeError: if an option is unknown, missing or of the wrong type.
        ValueError: if an option is out of range.
    """

    config_class: ClassVar[type]
    env_class: ClassVar[type[EnvBase]]

    def __init__(self, name: str, config: dict[str, Any] | None) -> None:
        super().__init__(name, config)
        _ = self.options

    @property
    def options(self) -> Any:
        """The options as they are now in ``config``, which scripts may change."""
        return make_options(self.config_class, self.config or {})

    def get_env_fun(
        self,
        num_envs: int,
        continuous_actions: bool,
        seed: int | None,
        device: str,
    ) -> Callable[[], EnvBase]:
        """A function that makes the environment."""
        options = self.options
        return lambda: self.env_class(
            options, num_envs=num_envs, seed=seed, device=device
        )

    def supports_continuous_actions(self) -> bool:
        """Always False: actions are indices.

        BenchMARL asks this before it makes anything, so that options which a script has
        changed since the task was made are refused in time.
        """
        _ = self.options
        return False

    def supports_discrete_actions(self) -> bool:
        """Always True."""
        return True

    def episode_outcomes(self, ends: TensorDictBase) -> dict[str, Tensor]:
        """How episodes ended, beyond their return and length.

        Args:
            ends (TensorDictBase): the last step of each episode, ``[n]``.

        Returns:
            dict: numbers ``[n]`` by name, NaN for an episode that does not count.
        """
        return {}

    def group_map(self, env: EnvBase) -> dict[str, list[str]]:
        """One group, ``agents``."""
        return env.group_map

    # BenchMARL adds the batch itself: it must be given the specs without it.

    def observation_spec(self, env: EnvBase) -> Composite:
        """``("agents", "observation")``."""
        return _only(env.full_observation_spec_unbatched, "agents", "observation")

    def action_spec(self, env: EnvBase) -> Composite:
        """``("agents", "action")``."""
        return env.full_action_spec_unbatched

    def state_spec(self, env: EnvBase) -> Composite | None:
        """``state``, or nothing if the environment has none."""
        spec = env.full_observation_spec_unbatched
        return _only(spec, "state") if "state" in spec.keys() else None

    def info_spec(self, env: EnvBase) -> Composite | None:
        """``info``, or nothing if the environment has none."""
        spec = env.full_observation_spec_unbatched
        return _only(spec, "info") if "info" in spec.keys() else None

    def action_mask_spec(self, env: EnvBase) -> Composite | None:
        """``("agents", "action_mask")``, or nothing if there is none."""
        spec = env.full_observation_spec_unbatched
        if "action_mask" not in spec["agents"].keys():
            return None
        return _only(spec, "agents", "action_mask")


def make_options(config_class: type, options: dict[str, Any]) -> Any:
    """A task's options as a dataclass.

    Args:
        config_class (type): the dataclass; its constructor validates.
        options (dict): values by name.

    Raises:
        TypeError: if a name is unknown or missing, or a value of the wrong type.
        ValueError: if a value is out of range.
    """
    known = [field.name for field in fields(config_class)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(
            f"task.{unknown[0]} is not an option of {config_class.__name__}: it must "
            f"be one of {', '.join(known)}."
        )
    missing = [name for name in known if name not in options]
    if missing:
        raise TypeError(
            f"task.{missing[0]} is missing: {config_class.__name__} needs all of "
            f"{', '.join(known)}."
        )
    return config_class(**options)


def _only(spec: Composite, *key: str) -> Composite:
    """``spec`` with nothing but the entry at ``key``."""
    spec = spec.clone()
    for leaf in list(spec.keys(True, True)):
        path = leaf if isinstance(leaf, tuple) else (leaf,)
        if path[: len(key)] != key:
            del spec[leaf]
    for name in list(spec.keys()):
        if name != key[0]:
            del spec[name]
    return spec
