"""A task of one's own: agents on a ring of cells are paid once all stand on one."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarl.environments import Task
from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig
from tensordict import TensorDict, TensorDictBase
from torch import Tensor, nn
from torchrl.data import Bounded, Composite
from torchrl.envs import EnvBase

from remix_plugin import get_experiment_config
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.environments.specs import set_team_specs
from remix_plugin.environments.tasks import PluginTaskClass


@dataclass
class MeetingConfig:
    """The options of the task, ``task.<name>`` on a command line."""

    n_agents: int
    n_cells: int
    max_steps: int


class MeetingEnv(EnvBase):
    """B rings side by side; actions are a step back, none, and a step forward.

    Entries: ``("agents", "observation")`` ``[B, n, C]``, for each agent how many stand
    on each cell, from its own on; ``reward`` ``[B, 1]``.
    """

    def __init__(
        self,
        config: MeetingConfig,
        *,
        num_envs: int,
        seed: int | None = None,
        device: torch.device | str | int = "cpu",
    ) -> None:
        super().__init__(device=device, batch_size=torch.Size([num_envs]))
        self.config = config
        self.rng = torch.Generator(self.device)
        self.set_seed(seed if seed is not None else 0)
        self.cells = torch.zeros(num_envs, config.n_agents, dtype=torch.int64)
        self.steps = torch.zeros(num_envs, 1, dtype=torch.int64, device=self.device)
        self.group_map = {"agents": [f"agent_{i}" for i in range(config.n_agents)]}
        shape = (num_envs, config.n_agents, config.n_cells)
        self.observation_spec = Composite(
            agents=Composite(
                observation=Bounded(0.0, config.n_agents, shape, self.device),
                shape=shape[:2],
            ),
            shape=self.batch_size,
            device=self.device,
        )
        set_team_specs(self, config.n_agents, n_actions=3)

    def _set_seed(self, seed: int | None) -> None:
        self.rng.manual_seed(seed or 0)

    def _reset(
        self, tensordict: TensorDictBase | None = None, **kwargs: Any
    ) -> TensorDictBase:
        fresh = torch.randint(
            self.config.n_cells,
            self.cells.shape,
            generator=self.rng,
            device=self.device,
        )
        ended = torch.ones_like(self.steps, dtype=torch.bool)
        if tensordict is not None and "_reset" in tensordict.keys():
            ended = tensordict.get("_reset").view_as(self.steps)
        self.cells = torch.where(ended, fresh, self.cells.to(self.device))
        self.steps = self.steps.masked_fill(ended, 0)
        return self._observe(torch.zeros_like(ended), torch.zeros_like(ended))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict.get(("agents", "action"))
        self.cells = (self.cells + action - 1) % self.config.n_cells
        self.steps = self.steps + 1
        met = (self.cells == self.cells[:, :1]).all(-1, keepdim=True)
        result = self._observe(met, self.steps >= self.config.max_steps)
        return result.set("reward", met.float())

    def _observe(self, terminated: Tensor, truncated: Tensor) -> TensorDict:
        counts = nn.functional.one_hot(self.cells, self.config.n_cells).sum(1)
        offsets = torch.arange(self.config.n_cells, device=self.device)
        seen = (self.cells.unsqueeze(-1) + offsets) % self.config.n_cells
        observation = counts.unsqueeze(1).expand_as(seen).gather(-1, seen).float()
        agents = TensorDict({"observation": observation}, observation.shape[:2])
        return TensorDict(
            {
                "agents": agents,
                "terminated": terminated,
                "truncated": truncated,
                "done": terminated | truncated,
            },
            self.batch_size,
            device=self.device,
        )


class MeetingClass(PluginTaskClass):
    """The environment as BenchMARL wants it."""

    config_class = MeetingConfig
    env_class = MeetingEnv

    def max_steps(self, env: EnvBase) -> int:
        """Length of the longest episode."""
        return self.options.max_steps

    def has_render(self, env: EnvBase) -> bool:
        """Always False."""
        return False

    @staticmethod
    def env_name() -> str:
        """First part of the task's name."""
        return "meeting"


class MeetingTask(Task):
    """The tasks, of which there is one: ``meeting/ring``."""

    RING = None

    @staticmethod
    def associated_class() -> type[MeetingClass]:
        """The task class."""
        return MeetingClass


def main(frames: int, results: Path) -> None:
    """Train OW-QMIX for so many frames."""
    config = get_experiment_config("predator_prey")
    config.max_n_frames = frames
    config.loggers = []
    config.save_folder = str(results)
    results.mkdir(parents=True, exist_ok=True)
    options = {"n_agents": 3, "n_cells": 6, "max_steps": 20}
    experiment = Experiment(
        task=MeetingTask.RING.get_task(options),
        algorithm_config=OwqmixConfig.get_from_yaml(),
        model_config=MlpConfig(
            num_cells=[64], layer_class=nn.Linear, activation_class=nn.ReLU
        ),
        seed=0,
        config=config,
    )
    experiment.run()
    print(f"results: {experiment.folder_name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--results", type=Path, default=Path("results/example"))
    main(**vars(parser.parse_args()))
