"""SMAX as a TorchRL environment: specs, seeds, resets, memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from smax_battles import (
    N_ENVS,
    PASSIVE,
    STOP,
    leaves,
    needs_jaxmarl,
    play,
    random_actions,
    reset_rows,
    same_leaves,
    same_views,
    smax_env,
    step,
    stopping,
    units,
)
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.envs.utils import check_env_specs

from remix_plugin.environments.smax.env import SmaxEnv

pytestmark = [pytest.mark.slow, needs_jaxmarl]

FIRST = {
    ("agents", "observation"): ((N_ENVS, 3, 75), torch.float32),
    ("agents", "action_mask"): ((N_ENVS, 3, 8), torch.bool),
    "state": ((N_ENVS, 72), torch.float32),
    ("info", "battle_won"): ((N_ENVS, 1), torch.bool),
    ("info", "episode_limit"): ((N_ENVS, 1), torch.bool),
    ("info", "dead_allies"): ((N_ENVS, 1), torch.int64),
    ("info", "dead_enemies"): ((N_ENVS, 1), torch.int64),
    "done": ((N_ENVS, 1), torch.bool),
    "terminated": ((N_ENVS, 1), torch.bool),
    "truncated": ((N_ENVS, 1), torch.bool),
}
CHOSEN = [True, False, False, True]


def entries(view: TensorDictBase) -> dict[object, object]:
    return {key: (view[key].shape, view[key].dtype) for key in view.keys(True, True)}


def health_of(rows: Tensor) -> Tensor:
    """Own health, of the last ten features."""
    return rows[..., -10]


@pytest.mark.parametrize("changes", [{}, PASSIVE], ids=["default", "passive"])
def test_env_specs(changes: dict[str, object]) -> None:
    check_env_specs(smax_env(**changes), seed=0)


def test_keys_shapes_and_types() -> None:
    env = smax_env()
    assert entries(env._reset()) == FIRST
    action = TensorDict({"agents": {"action": stopping(env)}}, batch_size=N_ENVS)
    reward = {"reward": ((N_ENVS, 1), torch.float32)}
    assert entries(env._step(action)) == {**FIRST, **reward}


def test_states_are_scaled_into_the_unit_interval() -> None:
    env = smax_env()
    assert env.full_observation_spec["state"].space.low.min() == 0
    assert env.full_observation_spec["state"].space.high.max() == 1
    for view in play(env, 40):
        assert env.full_observation_spec.is_in(
            view.select(*env.full_observation_spec.keys())
        )


def test_state_of_a_unit_over_the_edge_is_scaled_to_the_edge() -> None:
    # Units push each other after walls have killed: one may live beyond for a step.
    env = smax_env()
    env.reset()
    state = env.battles.state
    positions = np.array(state.unit_positions)
    positions[1, 0] = (-0.09, 32.07)
    state = state.replace(unit_positions=positions)
    env.battles = env.battles.replace(state=state)
    first = torch.arange(N_ENVS).unsqueeze(-1) == 0
    seen = env._reset(TensorDict({"_reset": first}, [N_ENVS]))
    assert seen["state"][1, 1:3].tolist() == [0.0, 1.0]


def test_info_is_zero_after_a_reset() -> None:
    env = smax_env()
    record = play(env, 60)
    assert any(view["info", "dead_allies"].any() for view in record)
    for view in (env.reset(), record[0]):
        assert not any(value.any() for value in view["info"].values())
        for key in ("done", "terminated", "truncated"):
            assert not view[key].any()


def test_mask_says_who_lives_and_whom_one_reaches() -> None:
    env = smax_env()
    view = env.reset()
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(30):
        view = step(env, random_actions(view["agents", "action_mask"], generator))
        alive = np.asarray(units(env).unit_alive)
        positions = np.asarray(units(env).unit_positions)
        for row, ally in np.ndindex(N_ENVS, 3):
            distances = np.linalg.norm(
                positions[row, 3:] - positions[row, ally], axis=-1
            )
            expected = [alive[row, ally]] * 4 + [True]
            expected += [*(alive[row, ally] & alive[row, 3:] & (distances < 5.0))]
            mask = view["agents", "action_mask"][row, ally].tolist()
            assert mask == expected
            seen.add((bool(alive[row, ally]), any(mask[STOP + 1 :])))
            if not alive[row, ally]:
                assert not view["agents", "observation"][row, ally].any()
    assert seen == {(True, False), (True, True), (False, False)}


def test_same_seed_same_rollout() -> None:
    one, other = (play(smax_env(seed=3), 30) for _ in range(2))
    assert all(same_views(a, b) for a, b in zip(one, other, strict=True))
    assert any(view["done"].any() for view in one)


def test_other_seed_other_rollout() -> None:
    one, other = (play(smax_env(seed=seed), 3) for seed in (3, 4))
    assert not torch.equal(one[0]["state"], other[0]["state"])
    assert not torch.equal(one[-1]["state"], other[-1]["state"])
    # Rows differ too, and one reset from the next.
    assert one[0]["state"].unique(dim=0).shape[0] == N_ENVS
    env = smax_env(seed=3)
    assert not torch.equal(env.reset()["state"], env.reset()["state"])


def test_steps_draw_anew() -> None:
    # What a step draws is how long weapons cool down.
    env, other = smax_env(seed=3), smax_env(seed=3)
    env.reset()
    other.reset()
    other.set_seed(4)
    other.battles = env.battles
    for _ in range(12):
        mine = step(env, stopping(env))
        theirs = step(other, stopping(other))
    assert not torch.equal(mine["state"], theirs["state"])


def test_set_seed_starts_the_same_rollout_again() -> None:
    env = smax_env(seed=3)
    first, onward = play(env, 5), play(env, 5)
    env.set_seed(3)
    again = play(env, 5)
    assert all(same_views(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0]["state"], onward[0]["state"])


def test_without_a_seed_no_two_are_the_same() -> None:
    one, other = (smax_env(seed=None).reset()["state"] for _ in range(2))
    assert not torch.equal(one, other)


def test_rollout_leaves_the_global_generators_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    play(smax_env(), 3)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_partial_reset_leaves_other_rows_alone() -> None:
    env = smax_env()
    view = play(env, 6)[-1]
    before = leaves(env.battles)
    fresh = reset_rows(env, view, CHOSEN)
    after = leaves(env.battles)
    others = [not chosen for chosen in CHOSEN]
    assert same_leaves([leaf[others] for leaf in before], [x[others] for x in after])
    for key in view.exclude("reward").keys(True, True):
        assert torch.equal(view[key][others], fresh[key][others])
    # Before TorchRL fills them in, the environment's own say the same.
    state = env._reset(TensorDict({"_reset": torch.zeros(N_ENVS, 1).bool()}, N_ENVS))
    assert same_leaves(leaves(env.battles), after)
    for key in ("state", ("agents", "observation"), ("agents", "action_mask")):
        torch.testing.assert_close(state[key], fresh[key], rtol=0, atol=1e-6)


def test_partial_reset_begins_the_chosen_rows_anew() -> None:
    env = smax_env()
    view = play(env, 12)[-1]
    before = np.asarray(units(env).unit_positions)[CHOSEN]
    fresh = reset_rows(env, view, CHOSEN)[CHOSEN]
    begun = {
        name: np.asarray(getattr(units(env), name))[CHOSEN]
        for name in ("step", "done", "unit_alive", "unit_health", "unit_positions")
    }
    assert not begun["step"].any()
    assert not begun["done"].any()
    assert begun["unit_alive"].all()
    assert (begun["unit_health"] == 45).all()
    positions = begun["unit_positions"]
    assert not (positions == before).any()
    assert not (positions[0] == positions[1]).any()
    centers = np.array([[8.0, 16.0]] * 3 + [[24.0, 16.0]] * 3)
    # Two either way, and a little for those that would overlap
    assert (np.abs(positions - centers) <= 3).all()
    seen = fresh["agents", "observation"]
    assert (health_of(seen) == 1).all()
    own = torch.from_numpy(positions[:, :3] / 32)
    torch.testing.assert_close(seen[..., -9:-7], own, rtol=0, atol=1e-6)
    assert not any(value.any() for value in fresh["info"].values())
    assert not fresh["done"].any()


def test_reset_of_all_rows_begins_all_anew() -> None:
    env = smax_env()
    view = play(env, 6)[-1]
    reset_rows(env, view, [True] * N_ENVS)
    assert not np.asarray(units(env).step).any()


def test_partial_reset_before_any_other_resets_all() -> None:
    env = smax_env()
    assert env.battles is None
    env._reset(TensorDict({"_reset": torch.tensor(CHOSEN)[:, None]}, N_ENVS))
    assert np.asarray(units(env).unit_alive).all()


def test_each_function_is_compiled_once() -> None:
    # These options are used with this size of batch alone, and not outside this folder.
    env = smax_env(**PASSIVE)
    functions = [getattr(env._engine, f) for f in ("reset", "partial_reset", "step")]
    _use_all(env)
    assert [function._cache_size() for function in functions] == [1, 1, 1]
    other = smax_env(**PASSIVE, reward_scale=3.0, terminate_at_limit=True, seed=1)
    other.set_seed(2)
    _use_all(other)
    assert [function._cache_size() for function in functions] == [1, 1, 1]
    assert other._engine.step is env._engine.step


def _use_all(env: SmaxEnv) -> None:
    """Each after each."""
    env.reset()
    view = step(env, stopping(env))
    reset_rows(env, view, CHOSEN)
    view = step(env, stopping(env))
    reset_rows(env, view, CHOSEN[::-1])
    reset_rows(env, view, CHOSEN)
    env.reset()
    env.reset()
    step(env, stopping(env).int())


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_tensors_share_no_memory_with_the_battles(dtype: torch.dtype) -> None:
    env, twin = smax_env(seed=7), smax_env(seed=7)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.tensor(CHOSEN)[:, None]
    for i in range(25):
        if i % 10:
            mask = theirs["agents", "action_mask"]  # noqa: F821  of the step before
            action = random_actions(mask, generator).to(dtype)
            mine, theirs = (_own_step(e, action.clone()) for e in (env, twin))
        elif i:
            mine, theirs = (
                e._reset(TensorDict({"_reset": chosen}, N_ENVS)) for e in (env, twin)
            )
        else:
            mine, theirs = env._reset(), twin._reset()
        assert same_views(mine, theirs)
        for key in mine.keys(True, True):
            leaf = mine[key]
            leaf.copy_(leaf.logical_not() if leaf.dtype == torch.bool else leaf + 7)
        assert same_leaves(leaves(env.battles), leaves(twin.battles))


def _own_step(env: SmaxEnv, action: Tensor) -> TensorDictBase:
    """A step whose action is overwritten right after."""
    request = TensorDict({"agents": {"action": action}}, batch_size=N_ENVS)
    result = env._step(request)
    action.fill_(STOP)
    return result


def test_entries_of_a_step_share_no_memory() -> None:
    env = smax_env()
    env.reset()
    for limit in (False, True):
        env.config.terminate_at_limit = limit
        result = _own_step(env, stopping(env))
        for key in result.keys(True, True):
            before = result.clone()
            leaf = result[key]
            leaf.copy_(leaf.logical_not() if leaf.dtype == torch.bool else leaf + 7)
            others = result.exclude(key)
            assert same_views(others, before.exclude(key)), key


def test_moving_to_its_own_device_changes_nothing() -> None:
    env = smax_env()
    env.reset()
    before = env.battles
    assert env.to("cpu") is env
    assert env.battles is before
