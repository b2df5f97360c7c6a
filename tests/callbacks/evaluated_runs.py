"""Tasks and callbacks for evaluated runs, and what such runs have written."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import Callback, Experiment
from small_tasks import MAX_STEPS, SmallEnv, SmallTask
from tensordict import TensorDict, TensorDictBase
from tiny_experiments import changed, run
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, exploration_type

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.evaluation import EPISODES_FILE, EvaluationRecorder
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


def measured(config: type[AlgorithmConfig] = RemixConfig) -> AlgorithmConfig:
    """With the absolute metric, which runs as short as these are spared otherwise."""
    return changed(config, absolute_metric_factor=FACTOR)


class Keeper(Callback):
    """Keeps the rollouts of evaluations, and the json right after each."""

    def __init__(self) -> None:
        super().__init__()
        self.rollouts: list[list[TensorDictBase]] = []
        self.jsons: list[dict[str, Any]] = []

    def on_evaluation_end(self, rollouts: list[TensorDictBase]) -> None:
        self.rollouts.append([rollout.clone() for rollout in rollouts])
        if self.experiment.config.create_json:
            self.jsons.append(whole_json(self.experiment))


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


def evaluation_data(experiment: Experiment) -> list[EvaluationRecorder]:
    """The callbacks of this kind."""
    return [c for c in experiment.callbacks if isinstance(c, EvaluationRecorder)]


def without(experiment: Experiment, *kinds: type[Callback]) -> Experiment:
    """The experiment, rid of callbacks of some kinds."""
    kept = [c for c in experiment.callbacks if not isinstance(c, kinds)]
    assert len(kept) == len(experiment.callbacks) - len(kinds)
    experiment.callbacks = kept
    return experiment


def json_path(experiment: Experiment) -> Path:
    """Where BenchMARL writes its json."""
    return experiment.folder_name / f"{experiment.name}.json"


def whole_json(experiment: Experiment) -> dict[str, Any]:
    """BenchMARL's json of a run, from the environment on."""
    return json.loads(json_path(experiment).read_text())


def steps_of(content: dict[str, Any]) -> dict[str, Any]:
    """What a json of one run has below environment, task, algorithm and seed."""
    for _ in range(4):
        (content,) = content.values()
    return content


def run_data(experiment: Experiment) -> dict[str, Any]:
    """The json of a run, from its steps on."""
    return steps_of(whole_json(experiment))


def steps(experiment: Experiment) -> list[dict[str, Any]]:
    """The evaluations in the json, in their order."""
    data = run_data(experiment)
    return [data[key] for key in data if key != "absolute_metrics"]


def episode_rows(experiment: Experiment, phase: str) -> list[dict[str, str]]:
    """Rows of the csv of episodes."""
    rows = csv_rows(experiment.folder_name / EPISODES_FILE)
    assert {row["phase"] for row in rows} <= {"evaluation", "absolute"}
    return [row for row in rows if row["phase"] == phase]


def csv_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a csv, by its first line."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def evaluations(experiment: Experiment) -> list[dict[str, list[float]]]:
    """The episodes of each evaluation of a run by metric, empty cells left out."""
    rows = episode_rows(experiment, "evaluation")
    frames = dict.fromkeys(row["frames"] for row in rows)
    return [by_metric([row for row in rows if row["frames"] == n]) for n in frames]


def absolute(experiment: Experiment) -> dict[str, list[float]]:
    """The episodes of the absolute metric by metric; nothing if it was not measured."""
    return by_metric(episode_rows(experiment, "absolute"))


def by_metric(rows: list[dict[str, str]]) -> dict[str, list[float]]:
    """Numbers in the columns that follow those that say which episode it is."""
    return {
        name: [float(row[name]) for row in rows if row[name]]
        for name in list(rows[0] if rows else ())[3:]
    }


def weight_rows(experiment: Experiment) -> list[dict[str, str]]:
    """Rows of the csv of projection weights."""
    return csv_rows(experiment.folder_name / WEIGHTS_FILE)


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


def random_states() -> tuple[Any, ...]:
    """Of torch, NumPy and Python."""
    name, keys, *rest = np.random.get_state()
    return torch.get_rng_state().tolist(), name, keys.tolist(), rest, random.getstate()


class States(Callback):
    """Keeps random states at each collection."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[tuple[Any, ...]] = []

    def on_batch_collected(self, batch: Any) -> None:
        self.states.append(random_states())


def everything(experiment: Experiment) -> dict[str, Any]:
    """Run; all that a run leaves behind, but for what callbacks add."""
    states = States()
    attach(experiment, states)
    losses = run(experiment)
    parameters = {
        f"{group} {name}": value.tolist()
        for group, loss in experiment.losses.items()
        for name, value in loss.named_parameters()
    }
    policy = {
        name: value.tolist() if isinstance(value, torch.Tensor) else value
        for name, value in experiment.policy.state_dict().items()
    }
    return {
        "losses": {
            group: [
                {key: value.tolist() for key, value in one.items()}
                for one in iterations
            ]
            for group, iterations in losses.items()
        },
        "json": whole_json(experiment),
        "parameters": parameters,
        "policy": policy,
        "states": states.states,
        "last_state": random_states(),
    }
