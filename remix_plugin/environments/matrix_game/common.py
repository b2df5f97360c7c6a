"""The BenchMARL task of the matrix game."""

from __future__ import annotations

from torchrl.envs import EnvBase

from remix_plugin.environments.matrix_game.config import MatrixGameConfig
from remix_plugin.environments.matrix_game.env import MatrixGameEnv
from remix_plugin.environments.tasks import PluginTask, PluginTaskClass


class MatrixGameClass(PluginTaskClass):
    """:class:`MatrixGameEnv` for BenchMARL."""

    config_class = MatrixGameConfig
    env_class = MatrixGameEnv

    def max_steps(self, env: EnvBase) -> int:
        """One."""
        return 1

    def has_render(self, env: EnvBase) -> bool:
        """Always False: there is nothing to see."""
        return False

    @staticmethod
    def env_name() -> str:
        """Folder of the tasks in ``benchmarl_configs/task``."""
        return "matrix_game"


class MatrixGameTask(PluginTask):
    """Matrix games: QTRAN's payoff, and one of the user's own."""

    QTRAN = None
    CUSTOM = None

    @staticmethod
    def associated_class() -> type[MatrixGameClass]:
        """The task class."""
        return MatrixGameClass
