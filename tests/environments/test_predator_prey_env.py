"""Predator-Prey as a TorchRL environment: specs, seeds, batches, resets, views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from predator_prey_worlds import (
    available_actions,
    cells_of,
    copy_of,
    published_config,
    random_draws,
    rollout,
    rows_of,
    same_record,
    same_world,
    with_actions,
)
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.envs.utils import check_env_specs

from remix_plugin.environments.predator_prey.config import PredatorPreyConfig
from remix_plugin.environments.predator_prey.env import PredatorPreyEnv
from remix_plugin.environments.predator_prey.world import (
    CATCH,
    N_ACTIONS,
    STAY,
    UP,
    StepDraws,
)

FEATURES = {
    "include_hare_channel": True,
    "observe_last_action": True,
    "observe_agent_id": True,
}
needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)


@pytest.mark.parametrize("num_envs", [1, 5])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {**FEATURES, "max_steps": 3},
        {"mask_occupied": True, "prey_rest_probability": 0.5, "window_size": 1},
        {"grid_height": 1, "grid_width": 4, "n_predators": 2, "n_prey": 1},
        {"grid_height": 4, "grid_width": 4, "capture_size": 3},
    ],
    ids=["published", "features", "mask_and_rest", "corridor", "full"],
)
def test_env_specs(changes: dict[str, Any], num_envs: int) -> None:
    env = PredatorPreyEnv(published_config(**changes), num_envs=num_envs, seed=0)
    check_env_specs(env, seed=0)


def test_keys_and_shapes() -> None:
    env = PredatorPreyEnv(published_config(), num_envs=3, seed=0)
    first, second = rollout(env, n_steps=1)
    shapes = {
        ("agents", "observation"): (3, 8, 50),
        ("agents", "action_mask"): (3, 8, N_ACTIONS),
        "state": (3, 200),
        ("info", "prey_caught"): (3, 1),
        ("info", "mis_catches"): (3, 1),
        "done": (3, 1),
        "terminated": (3, 1),
        "truncated": (3, 1),
    }
    for key, shape in shapes.items():
        assert first[key].shape == second[key].shape == shape
    assert second["reward"].shape == (3, 1)
    assert second["reward"].dtype == torch.float32
    assert first["agents", "action_mask"].dtype == torch.bool
    assert env.group_map == {"agents": [f"agent_{i}" for i in range(8)]}


def test_features_have_the_documented_sizes() -> None:
    env = PredatorPreyEnv(published_config(**FEATURES), num_envs=2, seed=0)
    view = env.reset()
    assert view["agents", "observation"].shape == (2, 8, 75 + 6 + 8)
    assert view["state"].shape == (2, 300)


@pytest.mark.parametrize("num_envs", [0, -1])
def test_refuses_an_empty_batch(num_envs: int) -> None:
    with pytest.raises(ValueError, match=rf"num_envs={num_envs} .* must be >= 1"):
        PredatorPreyEnv(published_config(), num_envs=num_envs)


def test_world_before_the_first_reset_is_refused() -> None:
    env = PredatorPreyEnv(published_config(), num_envs=1)
    with pytest.raises(RuntimeError, match="reset"):
        _ = env.world


def test_same_seed_same_rollout() -> None:
    one, other = (
        rollout(PredatorPreyEnv(published_config(max_steps=8), num_envs=4, seed=3), 20)
        for _ in range(2)
    )
    assert same_record(one, other)


def test_other_seed_other_rollout() -> None:
    one, other = (
        rollout(PredatorPreyEnv(published_config(), num_envs=4, seed=seed), 5)
        for seed in (3, 4)
    )
    assert not torch.equal(one[0]["state"], other[0]["state"])
    assert not torch.equal(one[-1]["state"], other[-1]["state"])


def test_set_seed_starts_the_same_rollout_again() -> None:
    env = PredatorPreyEnv(published_config(), num_envs=4, seed=3)
    first = rollout(env, 5)
    onward = rollout(env, 5)
    env.set_seed(3)
    again = rollout(env, 5)
    assert same_record(first, again)
    assert not same_record(first, onward)


def test_rollout_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    rollout(PredatorPreyEnv(published_config(), num_envs=2, seed=3), 3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_row_of_a_batch_equals_a_batch_of_one() -> None:
    config = published_config(**FEATURES, grid_height=6, prey_rest_probability=0.2)
    num_envs = 6
    generator = torch.Generator().manual_seed(0)
    batch = PredatorPreyEnv(config, num_envs=num_envs, seed=0)
    batch.reset()
    singles = [PredatorPreyEnv(config, num_envs=1) for _ in range(num_envs)]
    for i, single in enumerate(singles):
        single.world = copy_of(rows_of(batch.world, slice(i, i + 1)))
    view = batch.observe()
    for _ in range(20):
        mask = view["agents", "action_mask"]
        action = available_actions(mask, generator, catch_weight=10.0)
        draws = random_draws(config, num_envs, generator)
        view = batch.step_with(with_actions(action), draws)
        for i, single in enumerate(singles):
            row = slice(i, i + 1)
            own = single.step_with(with_actions(action[row]), _rows_of(draws, row))
            assert same_record([own], [view[row]])


def _rows_of(draws: StepDraws, row: slice) -> StepDraws:
    return StepDraws(
        draws.predator_order[row],
        draws.prey_order[row],
        draws.prey_move[row],
        draws.prey_rest[row],
    )


def test_partial_reset_leaves_other_rows_alone() -> None:
    config = published_config(observe_last_action=True)
    env = PredatorPreyEnv(config, num_envs=6, seed=0)
    view = rollout(env, 5)[-1]
    before = copy_of(env.world)
    chosen = torch.tensor([True, False, False, True, False, True])
    request = TensorDict({"_reset": chosen[:, None]}, batch_size=6)
    fresh = env._reset(request)
    after = env.world
    assert same_world(rows_of(before, ~chosen), rows_of(after, ~chosen))
    for key in (("agents", "observation"), ("agents", "action_mask"), "state"):
        assert torch.equal(view[key][~chosen], fresh[key][~chosen])
    assert torch.equal(after.step.flatten(), torch.tensor([0, 5, 5, 0, 5, 0]))
    assert bool((after.last_action[chosen] == -1).all())
    assert not bool((before.predators == after.predators)[chosen].all(-1).any())


def test_reset_after_the_end_starts_counting_anew() -> None:
    env = PredatorPreyEnv(published_config(max_steps=4), num_envs=3, seed=0)
    record = rollout(env, 12)
    truncated = [bool(view["truncated"].all()) for view in record]
    assert truncated == [False] + [False, False, False, True] * 3


def test_stepping_leaves_a_given_world_alone() -> None:
    config = published_config(grid_height=5, grid_width=5)
    env = PredatorPreyEnv(config, num_envs=8, seed=0)
    env.reset()
    given = env.world
    before = copy_of(given)
    generator = torch.Generator().manual_seed(0)
    action = torch.full((8, 8), CATCH)
    env.step_with(with_actions(action), random_draws(config, 8, generator))
    assert same_world(given, before)


def test_world_does_not_share_memory_with_the_action() -> None:
    config = published_config(observe_last_action=True)
    env = PredatorPreyEnv(config, num_envs=2, seed=0)
    view = env.reset()
    action = torch.full((2, 8), STAY)
    view["agents", "action"] = action
    env.step(view)
    seen = env.observe()["agents", "observation"]
    action.fill_(UP)
    assert torch.equal(seen, env.observe()["agents", "observation"])


def test_whole_numbers_as_rewards_pass_the_specs() -> None:
    config = published_config(capture_reward=10, punishment=-2)
    env = PredatorPreyEnv(config, num_envs=2, seed=0)
    check_env_specs(env, seed=0)


@st.composite
def configs(draw: Callable[..., Any]) -> PredatorPreyConfig:
    """Small configurations of every shape."""
    height = draw(st.integers(1, 6))
    width = draw(st.integers(2 if height == 1 else 1, 6))
    n_predators = draw(st.integers(1, min(4, height * width - 1)))
    return published_config(
        grid_height=height,
        grid_width=width,
        n_predators=n_predators,
        n_prey=draw(st.integers(1, min(4, height * width - n_predators))),
        window_size=draw(st.sampled_from([1, 3, 5, 7])),
        capture_size=draw(st.integers(1, n_predators)),
        mask_occupied=draw(st.booleans()),
        prey_rest_probability=draw(st.sampled_from([0.0, 0.5, 1.0])),
        include_hare_channel=draw(st.booleans()),
        observe_last_action=draw(st.booleans()),
        observe_agent_id=draw(st.booleans()),
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(config=configs(), seed=st.integers(0, 2**31 - 1))
def test_state_and_observation_agree_with_the_world(
    config: PredatorPreyConfig, seed: int
) -> None:
    env = PredatorPreyEnv(config, num_envs=2, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    now = env.reset()
    actions = torch.full((2, config.n_predators), -1)
    for _ in range(5):
        _assert_agrees(now, env, actions)
        mask = now["agents", "action_mask"]
        actions = available_actions(mask, generator, catch_weight=5.0)
        now = env.step(with_actions(actions))["next"]
    _assert_agrees(now, env, actions)


def _assert_agrees(
    view: TensorDictBase, env: PredatorPreyEnv, last_actions: Tensor
) -> None:
    """Every cell of state and windows holds what the world says, and no more."""
    config = env.config
    predators = cells_of(config, env.world.predators)
    prey = cells_of(config, env.world.prey)
    radius = config.window_size // 2
    state = view["state"].view(
        -1, config.grid_height, config.grid_width, config.n_channels
    )
    for row in range(len(predators)):
        here = {
            (*cell, channel)
            for channel, cells in enumerate((predators[row], prey[row]))
            for cell in cells
            if cell is not None
        }
        assert {tuple(index) for index in state[row].nonzero().tolist()} == here
        for agent, center in enumerate(predators[row]):
            seen = view["agents", "observation"][row, agent]
            if center is None:
                assert not seen.any()
                continue
            n_window = config.window_size**2 * config.n_channels
            assert _seen_cells(config, seen[:n_window], center) == {
                (r, c, channel)
                for r, c, channel in here
                if max(abs(r - center[0]), abs(c - center[1])) <= radius
            }
            expected = _features(config, agent, int(last_actions[row, agent]))
            assert seen[n_window:].tolist() == expected


def _seen_cells(
    config: PredatorPreyConfig, window: Tensor, center: tuple[int, int]
) -> set[tuple[int, int, int]]:
    """Where on the grid a window shows somebody, and in which channel."""
    size = config.window_size
    shown = window.view(size, size, config.n_channels).nonzero().tolist()
    top, left = center[0] - size // 2, center[1] - size // 2
    return {(top + r, left + c, channel) for r, c, channel in shown}


def _features(config: PredatorPreyConfig, agent: int, action: int) -> list[float]:
    """What follows the window: last action and index, one-hot."""
    features: list[float] = []
    if config.observe_last_action:
        features += [float(action == i) for i in range(N_ACTIONS)]
    if config.observe_agent_id:
        features += [float(agent == i) for i in range(config.n_predators)]
    return features


@pytest.mark.gpu
@needs_cuda
def test_same_seed_same_rollout_on_cuda() -> None:
    config = published_config(max_steps=8, **FEATURES)
    one, other = (
        rollout(PredatorPreyEnv(config, num_envs=4, seed=3, device="cuda"), 20)
        for _ in range(2)
    )
    assert one[0].device.type == "cuda"
    assert one[-1]["reward"].device.type == "cuda"
    assert same_record(one, other)


@pytest.mark.gpu
@needs_cuda
def test_specs_on_cuda() -> None:
    env = PredatorPreyEnv(published_config(), num_envs=3, seed=0, device="cuda")
    check_env_specs(env, seed=0)
