"""Tasks and callbacks for evaluated runs, and what such runs have written."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import Callback, Experiment
from small_tasks import MAX_STEPS, SmallEnv, SmallTask
from tensordict import TensorDict, TensorDictBase
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, exploration_type

from remix_plugin.callbacks.evaluation import EPISODES_FILE, EvaluationData
from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE

FRAMES = 16  # of an iteration
FACTOR = 10


class DrawingEnv(SmallEnv):
    """Observes and rewards what all global random states say."""

    def _draw(self) -> float:
        return random.random() + np.random.rand() + torch.rand(()).item()

    def _observe(self) -> TensorDict:
        observation = super()._observe()
        observation["agents", "position"] += self._draw()
        return observation

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        result = super()._step(tensordict)
        result["reward"] = result["reward"] + self._draw()
        return result


class VaryingEnv(SmallEnv):
    """Episodes last 1, 2 and 3 steps in turn, in a batch from row to row."""

    episode = 0

    def _reset(
        self, tensordict: TensorDictBase | None = None, **kwargs: Any
    ) -> TensorDictBase:
        self.episode += 1
        return super()._reset(tensordict, **kwargs)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        result = super()._step(tensordict)
        turn = torch.tensor([self.episode])
        if self.batch_size:
            turn = torch.arange(self.batch_size.numel())[:, None]
        for key in ("done", "terminated"):
            result[key] = self._steps >= 1 + turn % MAX_STEPS
        return result


class OtherTask(SmallTask):
    """:class:`SmallTask` with another environment."""

    env_class: type[SmallEnv]

    def get_env_fun(
        self,
        num_envs: int,
        continuous_actions: bool,
        seed: int | None,
        device: str,
    ) -> Callable[[], EnvBase]:
        return lambda: self.env_class(
            num_envs=num_envs if self.config["batched"] else None,
            one_hot=False,
            mask=False,
            continuous=False,
            seed=seed,
        )


class DrawingTask(OtherTask):
    env_class = DrawingEnv


class VaryingTask(OtherTask):
    env_class = VaryingEnv


def tag() -> TaskClass:
    """Two groups, of three agents and of one, rewarded one by one."""
    task = VmasTask.SIMPLE_TAG.get_from_yaml()
    task.config.update(max_steps=5, shape_agent_rew=True, shape_adversary_rew=True)
    return task


class Keeper(Callback):
    """Keeps the rollouts of evaluations, and the json right after each."""

    def __init__(self) -> None:
        super().__init__()
        self.rollouts: list[list[TensorDictBase]] = []
        self.absolute: list[Any] = []

    def on_evaluation_end(self, rollouts: list[TensorDictBase]) -> None:
        self.rollouts.append([rollout.clone() for rollout in rollouts])
        self.absolute.append(run_data(self.experiment)["absolute_metrics"])


def kept(experiment: Experiment) -> Keeper:
    """Run, and keep the rollouts of evaluations."""
    keeper = Keeper()
    keeper.experiment = experiment
    experiment.callbacks = [*experiment.callbacks, keeper]
    experiment.run()
    return keeper


def steps_taken(rollout: TensorDictBase) -> int:
    """Steps of the first episode, counted one by one."""
    done = rollout["next", "done"].flatten().tolist()
    return done.index(True) + 1


class Director(Callback):
    """Says how many of the two agents of :class:`SmallTask` take action 1.

    That is for each iteration, from the end of its training on. What the agents do is
    in their last bias, as ``100 +`` the iteration's number, and so is who has acted in
    evaluations: ``acted`` has that number for each step.
    """

    def __init__(self, *plan: int) -> None:
        super().__init__()
        self.plan = plan
        self.acted: list[int] = []

    def on_train_end(self, training_td: TensorDictBase, group: str) -> None:
        number = self.experiment.n_iters_performed
        named = dict(self.experiment.policy.named_parameters())
        (weight,) = (p for name, p in named.items() if name.endswith("2.weight"))
        bias = last_bias(self.experiment)
        with torch.no_grad():
            weight.zero_()
            bias.zero_()
            bias[: self.plan[number], 1] = 100.0 + number
            bias[self.plan[number] :, 0] = 100.0 + number

    def direct(self, experiment: Experiment) -> Experiment:
        """The experiment, with this before its other callbacks."""
        self.experiment = experiment
        experiment.callbacks = [self, *experiment.callbacks]
        experiment.policy.register_forward_hook(self._note)
        return experiment

    def _note(self, *_: Any) -> None:
        if exploration_type() is ExplorationType.DETERMINISTIC:
            self.acted.append(round(last_bias(self.experiment).max().item()) - 100)


def last_bias(experiment: Experiment) -> torch.Tensor:
    """Of the models of :class:`SmallTask`'s agents, ``[2, 3]``."""
    named = dict(experiment.policy.named_parameters())
    (bias,) = (p for name, p in named.items() if name.endswith("2.bias"))
    assert bias.shape == (2, 3)
    return bias


def evaluation_data(experiment: Experiment) -> list[EvaluationData]:
    """The callbacks of this kind."""
    return [c for c in experiment.callbacks if isinstance(c, EvaluationData)]


def without(experiment: Experiment, *kinds: type[Callback]) -> Experiment:
    """The experiment, rid of callbacks of some kinds."""
    kept = [c for c in experiment.callbacks if not isinstance(c, kinds)]
    assert len(kept) == len(experiment.callbacks) - len(kinds)
    experiment.callbacks = kept
    return experiment


def run_data(experiment: Experiment) -> dict[str, Any]:
    """The json of a run, from its steps on."""
    content = json.loads(
        (experiment.folder_name / f"{experiment.name}.json").read_text()
    )
    for _ in range(4):
        (content,) = content.values()
    return content


def steps(experiment: Experiment) -> list[dict[str, Any]]:
    """The evaluations in the json, in their order."""
    data = run_data(experiment)
    return [data[key] for key in data if key != "absolute_metrics"]


def episode_rows(experiment: Experiment, phase: str) -> list[dict[str, str]]:
    """Rows of the csv of episodes."""
    with (experiment.folder_name / EPISODES_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["phase"] for row in rows} <= {"evaluation", "absolute"}
    return [row for row in rows if row["phase"] == phase]


def weight_rows(experiment: Experiment) -> list[dict[str, str]]:
    """Rows of the csv of projection weights."""
    with (experiment.folder_name / WEIGHTS_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def scalars(experiment: Experiment, name: str) -> list[tuple[int, float]]:
    """What the csv logger wrote, iteration and value; empty if nothing."""
    path = experiment.folder_name / experiment.name / "scalars" / f"{name}.csv"
    lines = path.read_text().split() if path.exists() else []
    pairs = [line.split(",") for line in lines]
    return [(int(number), float(value)) for number, value in pairs]


def files(experiment: Experiment) -> set[str]:
    """Names of files in the run's folder, the csv logger's left out."""
    return {path.name for path in experiment.folder_name.iterdir() if path.is_file()}


def numbers(rows: list[dict[str, str]], column: str) -> list[float]:
    """A column of filled cells."""
    return [float(row[column]) for row in rows]
