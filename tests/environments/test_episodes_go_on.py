"""An environment that is given the state of another takes the same steps."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensordict import TensorDictBase
from torchrl.envs import EnvBase

from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.environments.smax.common import SmaxTask

NUM_ENVS = 4
TASKS = {
    "predator_prey": PredatorPreyTask.PUNISH_2,
    "matrix_game": MatrixGameTask.QTRAN,
    "smax": SmaxTask["3M"],
}
NEEDS_JAXMARL = pytest.mark.skipif(
    importlib.util.find_spec("jaxmarl") is None, reason="jaxmarl is not installed"
)


@pytest.fixture(
    params=[
        pytest.param(name, marks=NEEDS_JAXMARL if name == "smax" else ())
        for name in TASKS
    ]
)
def make(request: pytest.FixtureRequest) -> Callable[[int], EnvBase]:
    """Make the environment with a seed."""

    def make_env(seed: int) -> EnvBase:
        task = TASKS[request.param].get_from_yaml()
        if request.param == "predator_prey":
            # So that episodes end on the way.
            task.config["max_steps"] = 7
        return task.get_env_fun(NUM_ENVS, False, seed, "cpu")()

    return make_env


def walk(env: EnvBase, now: TensorDictBase, steps: int) -> list[TensorDictBase]:
    """Take steps with available actions, and reset what ends."""
    taken = []
    for number in range(steps):
        generator = torch.Generator().manual_seed(number)
        mask = now.get(("agents", "action_mask"), None)
        if mask is None:
            mask = torch.ones(NUM_ENVS, 2, 3)
        weights = mask.float() * torch.rand(mask.shape, generator=generator)
        now.set(("agents", "action"), weights.argmax(-1))
        step, now = env.step_and_maybe_reset(now)
        taken.append(step.clone())
    return [*taken, now]


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("before", [0, 5])
def test_steps_are_the_same(make: Callable[[int], EnvBase], before: int) -> None:
    env, other = make(0), make(1)
    now = walk(env, env.reset(), before)[-1]
    state = through_a_file(env.get_extra_state())
    rest = walk(env, now.clone(), 10)
    other.set_extra_state(state)
    again = walk(other, now.clone(), 10)
    assert all((one == same).all() for one, same in zip(rest, again, strict=True))
    if "matrix" not in type(env).__module__:
        # With another seed it would not have been.
        third = make(1)
        third.reset()
        other_walk = walk(third, now.clone(), 10)
        assert not all((a == b).all() for a, b in zip(rest, other_walk, strict=True))


def test_state_before_the_first_reset(make: Callable[[int], EnvBase]) -> None:
    env, other = make(0), make(1)
    other.set_extra_state(through_a_file(env.get_extra_state()))
    one, same = env.reset(), other.reset()
    assert (one == same).all()


def test_state_of_another_kind_of_device_leaves_the_generator() -> None:
    # CUDA's generators have 16 bytes of state, the CPU's 5,056.
    task = PredatorPreyTask.PUNISH_2.get_from_yaml()
    env, other = (task.get_env_fun(NUM_ENVS, False, seed, "cpu")() for seed in (0, 1))
    now = env.reset()
    own = other.get_extra_state()["generator"]
    state = env.get_extra_state() | {"generator": torch.zeros(16, dtype=torch.uint8)}
    other.set_extra_state(state)
    assert torch.equal(other.get_extra_state()["generator"], own)
    world, same = state["world"], other.get_extra_state()["world"]
    assert all(torch.equal(value, same[name]) for name, value in world.items())
    walk(other, now, 3)
