"""The BenchMARL tasks of SMAX."""

from __future__ import annotations

from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from remix_plugin.environments.battles import battle_outcomes, battle_rates
from remix_plugin.environments.smax.backend import check_jaxmarl
from remix_plugin.environments.smax.config import SmaxConfig
from remix_plugin.environments.smax.env import SmaxEnv
from remix_plugin.environments.smax.maps import MAPS
from remix_plugin.environments.tasks import PluginTask, PluginTaskClass


class SmaxClass(PluginTaskClass):
    """:class:`SmaxEnv` for BenchMARL.

    ``experiment.parallel_collection`` is without effect: battles run side by side.
    """

    config_class = SmaxConfig
    env_class = SmaxEnv

    def supports_continuous_actions(self) -> bool:
        """Always False; asked before there is a folder, so it looks for JaxMARL.

        Raises:
            ImportError: if JaxMARL is missing, or of another version.
        """
        check_jaxmarl()
        return super().supports_continuous_actions()

    def max_steps(self, env: EnvBase) -> int:
        """The time limit, and the one step more that JaxMARL allows."""
        return self.options.max_steps + 1

    def has_render(self, env: EnvBase) -> bool:
        """Always False."""
        return False

    def episode_outcomes(self, ends: TensorDictBase) -> dict[str, Tensor]:
        """Whether each battle was won, and whether it hit the time limit."""
        return battle_outcomes(ends)

    @staticmethod
    def log_info(batch: TensorDictBase) -> dict[str, float]:
        """Share of won and of timed-out episodes among those that ended."""
        return {f"collection/info/{k}": v for k, v in battle_rates(batch).items()}

    @staticmethod
    def env_name() -> str:
        """Folder of the tasks in ``benchmarl_configs/task``."""
        return "smax"


class _SmaxTask(PluginTask):
    """Base of the enum below."""

    @staticmethod
    def associated_class() -> type[SmaxClass]:
        """The task class."""
        return SmaxClass


# Names of maps begin with digits, which the syntax of classes has no place for.
SmaxTask = _SmaxTask(
    "SmaxTask", dict.fromkeys(name.upper() for name in MAPS), module=__name__
)
SmaxTask.__doc__ = "SMAX tasks, one for each map."
