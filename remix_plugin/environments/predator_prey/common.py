"""The BenchMARL task of Predator-Prey."""

from __future__ import annotations

from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase, Transform

from remix_plugin.data.transforms import byte_storage
from remix_plugin.environments.predator_prey.config import PredatorPreyConfig
from remix_plugin.environments.predator_prey.env import PredatorPreyEnv
from remix_plugin.environments.tasks import PluginTask, PluginTaskClass


class PredatorPreyClass(PluginTaskClass):
    """:class:`PredatorPreyEnv` for BenchMARL."""

    config_class = PredatorPreyConfig
    env_class = PredatorPreyEnv

    def max_steps(self, env: EnvBase) -> int:
        """The time limit."""
        return self.options.max_steps

    def has_render(self, env: EnvBase) -> bool:
        """Always True: Pillow draws the grid."""
        return True

    def get_replay_buffer_transforms(self, env: EnvBase, group: str) -> list[Transform]:
        """Store observations and states, all zeros and ones, in a byte each."""
        return [byte_storage([(group, "observation"), "state"])]

    def episode_outcomes(self, ends: TensorDictBase) -> dict[str, Tensor]:
        """Prey caught in each episode, and whether they were as many as can be.

        A catch takes all predators that take part off the grid for good, and those are
        ``capture_size`` at least: with 8 of them and 2 to a catch, 4 of the 8 prey.
        """
        options = self.options
        caught = ends.get(("next", "info", "prey_caught")).flatten()
        most = min(options.n_prey, options.n_predators // options.capture_size)
        return {"success_rate": (caught == most).float(), "prey_caught": caught}

    @staticmethod
    def log_info(batch: TensorDictBase) -> dict[str, float]:
        """Prey caught per episode, over the episodes that ended in this batch."""
        done = batch.get(("next", "done"))
        if not done.any():
            return {}
        caught = batch.get(("next", "info", "prey_caught"))[done]
        return {"collection/info/prey_caught_at_end": caught.mean().item()}

    @staticmethod
    def env_name() -> str:
        """Folder of the tasks in ``benchmarl_configs/task``."""
        return "predator_prey"


class PredatorPreyTask(PluginTask):
    """Predator-Prey tasks, named after the punishment of a lone catch."""

    PUNISH_0 = None
    PUNISH_0_5 = None
    PUNISH_1_5 = None
    PUNISH_2 = None
    PUNISH_4 = None
    PUNISH_5 = None

    @staticmethod
    def associated_class() -> type[PredatorPreyClass]:
        """The task class."""
        return PredatorPreyClass
