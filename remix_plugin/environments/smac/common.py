"""The BenchMARL tasks of SMAC."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from remix_plugin.environments.battles import battle_outcomes, battle_rates
from remix_plugin.environments.smac.config import SmacConfig
from remix_plugin.environments.smac.env import SmacEnv
from remix_plugin.environments.tasks import PluginTask, PluginTaskClass
from remix_plugin.starcraft.game_files import SMAC_MAPS, describe_starcraft
from remix_plugin.starcraft.installation import require_starcraft
from remix_plugin.starcraft.rendering import rendering_fails

logger = logging.getLogger("remix_plugin.starcraft")


class SmacClass(PluginTaskClass):
    """:class:`SmacEnv` for BenchMARL, a StarCraft process for each environment."""

    config_class = SmacConfig
    env_class = SmacEnv

    def get_env_fun(
        self,
        num_envs: int,
        continuous_actions: bool,
        seed: int | None,
        device: str,
    ) -> Callable[[], EnvBase]:
        """A function that makes an environment, of another seed with each call.

        BenchMARL runs the function once for each environment of ``SerialEnv`` or
        ``ParallelEnv``, of which the latter sends a copy of it to each process.

        Raises:
            StarCraftError: if something is missing, see :mod:`remix_plugin.starcraft`.
        """
        options = self._checked_options()
        version = options.game_version or "newest"
        logger.info("%s; game_version: %s", describe_starcraft(), version)
        numbers = _Numbers()

        def make() -> EnvBase:
            number = numbers.draw()
            own_seed = None if seed is None else seed + number
            return SmacEnv(options, seed=own_seed, device=device)

        return make

    def supports_continuous_actions(self) -> bool:
        """Always False: actions are indices.

        BenchMARL asks this before it makes a folder for the run, so that a missing
        StarCraft is told in time.

        Raises:
            StarCraftError: if something is missing.
        """
        self._checked_options()
        return False

    def _checked_options(self) -> SmacConfig:
        options = self.options
        require_starcraft(options.map_name, options.backend, options.game_version)
        return options

    def max_steps(self, env: EnvBase) -> int:
        """The map's time limit."""
        return env.episode_limit

    def has_render(self, env: EnvBase) -> bool:
        """Where pysc2 can draw: its version 4.0.0 cannot from Python 3.11 on."""
        return not rendering_fails()

    def episode_outcomes(self, ends: TensorDictBase) -> dict[str, Tensor]:
        """Whether each battle was won, and whether it hit the time limit."""
        return battle_outcomes(ends)

    @staticmethod
    def log_info(batch: TensorDictBase) -> dict[str, float]:
        """Rates of won and timed-out episodes, and the number of lost games."""
        rates = {f"collection/info/{k}": v for k, v in battle_rates(batch).items()}
        lost = batch.get(("next", "info", "connection_lost")).sum().item()
        return {**rates, "collection/info/lost_connections": lost}

    @staticmethod
    def env_name() -> str:
        """Folder of the tasks in ``benchmarl_configs/task``."""
        return "smac"


class _Numbers:
    """Counts from 0; each copy begins with a number that this one leaves out."""

    def __init__(self, first: int = 0) -> None:
        self._next = first

    def draw(self) -> int:
        self._next += 1
        return self._next - 1

    def __reduce__(self) -> tuple[type[_Numbers], tuple[int]]:
        return _Numbers, (self.draw(),)


class _SmacTask(PluginTask):
    """Base of the enum below."""

    @staticmethod
    def associated_class() -> type[SmacClass]:
        """The task class."""
        return SmacClass


# Names of maps begin with digits, which the syntax of classes has no place for.
SmacTask = _SmacTask(
    "SmacTask", dict.fromkeys(name.upper() for name in SMAC_MAPS), module=__name__
)
SmacTask.__doc__ = "SMAC tasks, one for each map, in lower case."
