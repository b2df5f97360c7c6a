"""Runs end with an error where something is infinite or not a number."""

from __future__ import annotations

import gzip
import io
import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarl.algorithms import QmixConfig
from benchmarl.environments import TaskClass
from benchmarl.experiment import Callback, Experiment
from evaluated_runs import (
    FRAMES,
    episode_rows,
    everything,
    measured,
    tag,
    without,
)
from small_tasks import SmallTask
from tensordict import NestedKey, TensorDictBase
from tiny_experiments import Build, changed, predator_prey
from torchrl.envs import Transform

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.finite import StopNotFinite
from remix_plugin.environments.matrix_game.common import MatrixGameTask

pytestmark = pytest.mark.slow

# Environments of collection and of evaluation, and the steps of an iteration
COLLECTION, EVALUATION, STEPS = 4, 2, 4


class Poison(Transform):
    """Makes one number of an entry wrong in one environment of a batch.

    Args:
        entry: to be written to after each step.
        value (float): what is written.
        n_envs (int): size of the batches that are meant.
        step (int): of the environment, from 1 on, that is the first to be wrong.
        at_end (bool): whether steps that end an episode alone are.
    """

    def __init__(
        self,
        entry: NestedKey,
        value: float,
        n_envs: int = COLLECTION,
        step: int = STEPS + 1,
        at_end: bool = False,
    ) -> None:
        super().__init__()
        self.entry = entry
        self.value = value
        self.n_envs = n_envs
        self.step = step
        self.at_end = at_end
        self.steps = 0

    def _step(
        self, tensordict: TensorDictBase, next_tensordict: TensorDictBase
    ) -> TensorDictBase:
        self.steps += 1
        ends = bool(next_tensordict["done"][-1]) or not self.at_end
        if next_tensordict.shape[0] == self.n_envs and self.steps >= self.step and ends:
            wrong = next_tensordict[self.entry].clone()
            wrong[-1].view(-1)[-1] = self.value
            next_tensordict[self.entry] = wrong
        return next_tensordict

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        return tensordict_reset


def poisoned(task: TaskClass, poison: Poison) -> TaskClass:
    """The task, which has no transforms of its own, with this one."""
    assert task.get_env_transforms(None) == []
    # BenchMARL pickles its task.
    task.get_env_transforms = partial(only, poison)
    return task


def only(poison: Poison, env: object) -> list[Transform]:
    """The transforms of a task's environments."""
    return [poison]


def stop(experiment: Experiment) -> str:
    """Run until it stops; what it says."""
    with pytest.raises(FloatingPointError) as caught:
        experiment.run()
    return str(caught.value)


def checkpoints(experiment: Experiment) -> list[Path]:
    """All files of checkpoints, those of the replay among them."""
    return sorted((experiment.folder_name / "checkpoints").rglob("*.pt*"))


def load(path: Path) -> Any:
    """What is in a file of a checkpoint, packed or not."""
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    return torch.load(io.BytesIO(content), weights_only=True)


def tensors(content: Any) -> Iterator[torch.Tensor]:
    """Those in dictionaries and sequences."""
    if isinstance(content, torch.Tensor):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from tensors(value)
    elif isinstance(content, (list, tuple)):
        for value in content:
            yield from tensors(value)


def check_stopped_in_the_second_iteration(experiment: Experiment, *names: str) -> None:
    """It names one of the entries, and leaves the checkpoint of the first, finite."""
    said = stop(experiment)
    last = experiment.folder_name / "checkpoints" / f"checkpoint_{FRAMES}.pt"
    assert said.startswith(tuple(f"{name} is not finite" for name in names)), said
    assert said.endswith(
        f"Seen in iteration 1, after {2 * FRAMES} frames; the last checkpoint is "
        f"{last}."
    )
    files = checkpoints(experiment)
    assert last in files
    assert len(files) == 1 + len(experiment.group_map)
    found = list(tensors([load(path) for path in files]))
    assert len(found) > 20
    assert all(bool(one.isfinite().all()) for one in found)


REWARD = "next/reward"
POSITION = (("agents", "position"), "next/agents/position")
RANGE = (("agents", "sensors", "range"), "next/agents/sensors/range")
# Some updates follow the one that makes priorities wrong.
PRIORITIZED = {
    "off_policy_use_prioritized_replay_buffer": True,
    "off_policy_n_optimizer_steps": 8,
}
# Task, what is wrong in it, options, and the name of the entry.
COLLECTED: dict[str, tuple[Any, Poison, dict[str, Any], str]] = {
    "nan_reward": (SmallTask, Poison("reward", math.nan), {}, REWARD),
    "inf_reward": (SmallTask, Poison("reward", math.inf), {}, REWARD),
    "minus_inf_reward": (SmallTask, Poison("reward", -math.inf), {}, REWARD),
    "nan_reward_of_rows": (
        SmallTask,
        Poison("reward", math.nan),
        {"model": "gru"},
        REWARD,
    ),
    # Draws from this replay used to fail before.
    "nan_prioritized": (
        SmallTask,
        Poison("reward", math.nan),
        PRIORITIZED,
        REWARD,
    ),
    "inf_prioritized": (
        SmallTask,
        Poison(RANGE[0], math.inf),
        PRIORITIZED,
        RANGE[1],
    ),
    "nan_observation": (SmallTask, Poison(POSITION[0], math.nan), {}, POSITION[1]),
    "inf_observation": (SmallTask, Poison(RANGE[0], math.inf), {}, RANGE[1]),
    "nan_last_observation": (
        SmallTask,
        Poison(RANGE[0], math.nan, at_end=True),
        {},
        RANGE[1],
    ),
    "nan_state": (predator_prey, Poison("state", math.nan), {}, "next/state"),
    "inf_state": (predator_prey, Poison("state", math.inf), {}, "next/state"),
    # Byte storage makes zeros of these.
    "nan_bytes": (
        predator_prey,
        Poison(("agents", "observation"), math.nan),
        {},
        "next/agents/observation",
    ),
}


@pytest.mark.parametrize(
    ("task", "poison", "options", "name"), [*COLLECTED.values()], ids=[*COLLECTED]
)
def test_what_is_collected_must_be_finite(
    task: Any, poison: Poison, options: dict[str, Any], name: str, build: Build
) -> None:
    experiment = build(
        poisoned(task(), poison),
        changed(RemixConfig, recent_fraction=0),
        checkpoint_interval=FRAMES,
        exclude_buffer_from_checkpoint=False,
        **options,
    )
    # What is observed after a step is observed before the next, unless it is the last.
    names = [name] if poison.at_end else [name, name.removeprefix("next/")]
    check_stopped_in_the_second_iteration(experiment, *names)


@pytest.mark.parametrize("group", ["adversary", "agent"])
def test_groups_are_named(group: str, build: Build) -> None:
    experiment = build(
        poisoned(tag(), Poison((group, "reward"), math.nan)),
        changed(RemixConfig, recent_fraction=0),
        checkpoint_interval=FRAMES,
        exclude_buffer_from_checkpoint=False,
    )
    check_stopped_in_the_second_iteration(experiment, f"next/{group}/reward")


class NanGradient(Callback):
    """Makes a gradient of a group wrong in the second iteration."""

    def __init__(self, group: str) -> None:
        super().__init__()
        self.group = group

    def direct(self, experiment: Experiment) -> Experiment:
        """Hook on to a parameter."""
        parameter = next(experiment.losses[self.group].parameters())
        parameter.register_hook(
            lambda gradient: (
                gradient * math.nan if experiment.n_iters_performed == 1 else gradient
            )
        )
        return experiment


@pytest.mark.parametrize(("n_updates", "group"), [(1, "agent"), (2, "adversary")])
def test_gradients_must_be_finite(n_updates: int, group: str, build: Build) -> None:
    experiment = NanGradient(group).direct(
        build(
            tag(),
            changed(RemixConfig, recent_fraction=0),
            checkpoint_interval=FRAMES,
            exclude_buffer_from_checkpoint=False,
            off_policy_n_optimizer_steps=n_updates,
        )
    )
    said = stop(experiment)
    # After one update nothing but parameters and what Adam keeps of gradients can tell.
    kind = "parameter .*" if n_updates == 1 else "loss.*"
    assert re.match(f"{kind} of group '{group}' is not finite", said), said
    other = {"adversary": "agent", "agent": "adversary"}[group]
    assert f"'{other}'" not in said
    assert "Seen in iteration 1, after 32 frames" in said
    assert checkpoints(experiment)[0].name == "checkpoint_16.pt"


def test_state_of_optimizers_must_be_finite(build: Build) -> None:
    # Its learning rate of 0 leaves parameters as they are for now.
    experiment = build(
        SmallTask(), RemixConfig.get_from_yaml(), off_policy_n_optimizer_steps=1
    )
    (optimizer,) = experiment.optimizers["agents"].values()

    class Overflow(Callback):
        def on_train_step(self, batch: TensorDictBase, group: str) -> None:
            state = next(iter(optimizer.state.values()))
            state["exp_avg_sq"].view(-1)[0] = math.inf

    attach(experiment, Overflow())
    said = stop(experiment)
    assert said.startswith(
        "exp_avg_sq of the optimizer of loss of group 'agents' is not finite: 0 of its"
    )
    assert "numbers are NaN, 1 infinite. Seen in iteration 0, after 16 frames" in said
    assert said.endswith("the last checkpoint is none.")


def test_learning_rate_of_1e30_is_stopped_in_the_first_iteration(build: Build) -> None:
    # It used to end well, with checkpoints that were not.
    experiment = build(
        SmallTask(), RemixConfig.get_from_yaml(), lr=1e30, checkpoint_interval=FRAMES
    )
    said = stop(experiment)
    assert re.match(r"loss\w* of group 'agents' is not finite", said), said
    assert "Seen in iteration 0, after 16 frames" in said
    assert said.endswith("the last checkpoint is none.")
    assert not checkpoints(experiment)
    assert not (experiment.folder_name / "evaluation_episodes.csv").exists()


def test_payoff_of_1e300_is_stopped(build: Build) -> None:
    task = MatrixGameTask.CUSTOM.get_from_yaml()
    task.config["payoff"] = [[1e300, 0.0], [0.0, 1e300]]
    experiment = build(task, RemixConfig.get_from_yaml(), checkpoint_interval=FRAMES)
    said = stop(experiment)
    assert re.match(r"next(/agents)?/reward is not finite", said), said
    assert "0 of its 16 numbers are NaN" in said
    assert not checkpoints(experiment)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_rewards_of_evaluations_must_be_finite(value: float, build: Build) -> None:
    # Two evaluations have three steps each: the first is right, the second is not.
    experiment = build(
        poisoned(SmallTask(), Poison("reward", value, n_envs=EVALUATION)),
        RemixConfig.get_from_yaml(),
        checkpoint_interval=FRAMES,
        exclude_buffer_from_checkpoint=False,
    )
    check_stopped_in_the_second_iteration(experiment, "next/reward of an evaluation")
    assert {row["frames"] for row in episode_rows(experiment, "evaluation")} == {"16"}


def test_what_is_wrong_is_counted(build: Build) -> None:
    task = poisoned(SmallTask(), Poison("reward", math.nan, step=STEPS - 1))
    said = stop(build(task, RemixConfig.get_from_yaml()))
    assert re.match(
        r"next/reward is not finite \(and \d+ other entries\): 2 of its 16 numbers are "
        "NaN, 0 infinite",
        said,
    ), said


def test_run_of_benchmarl_is_stopped_where_it_is_attached(build: Build) -> None:
    poison = Poison("reward", math.nan)
    experiment = build(poisoned(predator_prey(), poison), QmixConfig.get_from_yaml())
    attach(experiment, StopNotFinite())
    said = stop(experiment)
    assert said.startswith("next/reward is not finite")
    assert said.endswith("the last checkpoint is none.")


def test_run_that_is_finite_is_the_same_with_it(build: Build) -> None:
    with_it = build(predator_prey(), measured())
    without_it = build(predator_prey(), measured())
    without(without_it, StopNotFinite)
    ours, theirs = everything(with_it), everything(without_it)
    for name, value in theirs.items():
        assert ours[name] == value, name


def test_one_answer_is_waited_for_in_an_iteration(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That is for both groups together; an evaluation has one of its own.
    waits: list[str] = []
    inside: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(torch.Tensor, name)

        def count(self: torch.Tensor, *args: Any) -> Any:
            if inside:
                waits.append(inside[-1])
            return real(self, *args)

        return count

    def watched(name: str) -> Callable[..., None]:
        real = getattr(StopNotFinite, name)

        def watch(self: StopNotFinite, *args: Any) -> None:
            inside.append(name)
            real(self, *args)
            inside.pop()

        return watch

    for name in ("__bool__", "__int__", "__float__", "item", "tolist", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, counted(name))
    for name in ("on_batch_collected", "on_train_end", "on_evaluation_end"):
        monkeypatch.setattr(StopNotFinite, name, watched(name))
    build(tag(), changed(RemixConfig, recent_fraction=0)).run()
    assert waits == ["on_train_end", "on_evaluation_end"] * 3
