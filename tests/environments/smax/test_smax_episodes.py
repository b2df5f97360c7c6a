"""How battles of SMAX end: won, lost, drawn, or out of time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from smax_battles import (
    N_ENVS,
    PASSIVE,
    STOP,
    focused_actions,
    needs_jaxmarl,
    play,
    set_units,
    smax_env,
    step,
    stopping,
    units,
)
from tensordict import TensorDictBase
from torch import Tensor

from remix_plugin.environments.smax.env import SmaxEnv

pytestmark = needs_jaxmarl

LIMIT = 21  # steps of the passive task, one more than its max_steps
# Three a side, each within reach of its opposite alone: they are 4 apart, reach 5.
POSITIONS = [[x, y] for x in (14.0, 18.0) for y in (10.0, 16.0, 22.0)]
# Health and cooldown of either side, a row each. Who cools down does not shoot.
WIN, DRAW, LOSS, ONWARD = range(N_ENVS)
HEALTH = [[45] * 3 + [1] * 3, [1] * 6, [1] * 3 + [45] * 3, [45] * 6]
COOLDOWN = [[0] * 3 + [60] * 3, [0] * 6, [60] * 3 + [0] * 3, [60] * 6]


def last_shots(env: SmaxEnv, steps: int = 0) -> TensorDictBase:
    """The step that ends a battle in each of the ways, after so many steps."""
    env.reset()
    set_units(
        env,
        unit_positions=[POSITIONS] * N_ENVS,
        unit_health=HEALTH,
        unit_weapon_cooldowns=COOLDOWN,
        step=[steps] * N_ENVS,
    )
    return step(env, torch.tensor([[5, 6, 7]] * N_ENVS))


def flags(view: TensorDictBase, *keys: str) -> list[list[bool]]:
    """Of each row, the entries of these names."""
    info = view["info"]
    rows = [view[key] if key in view.keys() else info[key] for key in keys]
    return torch.cat(rows, -1).tolist()


def test_win_draw_and_loss() -> None:
    view = last_shots(smax_env())
    assert flags(view, "dead_allies", "dead_enemies") == [
        [0, 3],
        [3, 3],
        [3, 0],
        [0, 0],
    ]
    keys = ("done", "terminated", "truncated", "battle_won", "episode_limit")
    assert flags(view, *keys) == [
        [True, True, False, True, False],
        [True, True, False, False, False],
        [True, True, False, False, False],
        [False, False, False, False, False],
    ]
    # The last 45th of all enemies' health, and the bonus of a win alone
    expected = torch.tensor([[1 + 1 / 45], [1 / 45], [0.0], [0.0]]) * 10
    torch.testing.assert_close(view["reward"], expected)


def test_battle_that_ends_with_the_time_has_not_run_out_of_it() -> None:
    view = last_shots(smax_env(), steps=100)
    keys = ("done", "terminated", "truncated", "battle_won", "episode_limit")
    assert flags(view, *keys) == [
        [True, True, False, True, False],
        [True, True, False, False, False],
        [True, True, False, False, False],
        [True, False, True, False, True],
    ]


def test_terminate_at_limit_folds_truncation_into_termination() -> None:
    view = last_shots(smax_env(terminate_at_limit=True), steps=100)
    keys = ("done", "terminated", "truncated", "battle_won", "episode_limit")
    assert flags(view, *keys) == [
        [True, True, False, True, False],
        [True, True, False, False, False],
        [True, True, False, False, False],
        [True, True, False, False, True],
    ]
    earlier = last_shots(smax_env(terminate_at_limit=True), steps=99)
    assert (
        flags(earlier, "done", "terminated", "truncated", "episode_limit")[ONWARD]
        == [False] * 4
    )


def test_reward_is_scaled() -> None:
    whole = last_shots(smax_env())["reward"]
    part = last_shots(smax_env(reward_scale=2.5))["reward"]
    assert whole.any()
    torch.testing.assert_close(part, whole / 4)


@pytest.mark.parametrize("terminate_at_limit", [False, True])
def test_time_runs_out_one_step_after_max_steps(terminate_at_limit: bool) -> None:
    env = smax_env(**PASSIVE, terminate_at_limit=terminate_at_limit)
    env.reset()
    for i in range(1, LIMIT + 1):
        view = step(env, stopping(env))
        ended = [i == LIMIT] * N_ENVS
        assert view["done"].flatten().tolist() == ended
        assert view["info", "episode_limit"].flatten().tolist() == ended
        for key in ("terminated", "truncated"):
            expected = (key == "terminated") == terminate_at_limit and i == LIMIT
            assert view[key].flatten().tolist() == [expected] * N_ENVS
        assert not view["info", "battle_won"].any()
        assert not view["info", "dead_allies"].any()
        assert not view["reward"].any()


def test_rollout_resets_what_ran_out_of_time() -> None:
    env = smax_env(**PASSIVE)

    def wait(tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict.set(("agents", "action"), stopping(env))

    rollout = env.rollout(LIMIT + 3, wait, break_when_any_done=False)
    ends = rollout["next", "done"].squeeze(-1).nonzero()[:, 1]
    assert ends.tolist() == [LIMIT - 1] * N_ENVS
    assert np.asarray(units(env).step).tolist() == [3] * N_ENVS


def test_won_battle_returns_twice_the_scale() -> None:
    env = smax_env(**PASSIVE, reward_scale=10.0)
    view = env.reset()
    returns = torch.zeros(N_ENVS, 1)
    over = torch.zeros(N_ENVS, 1, dtype=torch.bool)
    won = over
    for _ in range(LIMIT):
        view = step(env, focused_actions(view["agents", "action_mask"]))
        returns += torch.where(over, 0.0, view["reward"])
        won = won | (view["info", "battle_won"] & view["terminated"] & ~over)
        if (~over & ~view["done"]).any():
            assert (returns[~over & ~view["done"]] <= 10 + 1e-4).all()
        over = over | view["done"]
    assert won.all()
    torch.testing.assert_close(returns, torch.full_like(returns, 20.0))


def test_battles_can_be_lost_by_waiting() -> None:
    env = smax_env()
    env.reset()
    lost = torch.zeros(N_ENVS, 1, dtype=torch.bool)
    for _ in range(60):
        view = step(env, stopping(env))
        lost |= view["terminated"] & (view["info", "dead_allies"] == 3)
        assert not view["info", "battle_won"].any()
        assert not view["reward"].any()
    assert lost.all()


def test_raw_state_is_that_of_jaxmarl() -> None:
    env = smax_env(**PASSIVE)
    for view in play(env, 8)[-1:]:
        import jax

        expected = jax.jit(jax.vmap(env._engine.env.get_world_state))(env.battles)
        assert np.array_equal(view["state"].numpy(), np.asarray(expected))
        positions = torch.from_numpy(np.array(units(env).unit_positions))
        features = view["state"][:, : 6 * 10].unflatten(-1, (6, 10))
        assert torch.equal(features[..., 1:3], positions)
    assert STOP == 4


def test_attack_out_of_reach_does_nothing() -> None:
    env, other = smax_env(), smax_env()
    views = [e.reset() for e in (env, other)]
    assert not views[0]["agents", "action_mask"][..., STOP + 1 :].any()
    attack: Tensor = torch.full_like(stopping(env), STOP + 1)
    views = [step(env, attack), step(other, stopping(other))]
    for name in ("unit_health", "unit_positions", "unit_weapon_cooldowns"):
        one, two = (np.asarray(getattr(units(e), name)) for e in (env, other))
        assert np.array_equal(one, two)
    assert torch.equal(views[0]["state"], views[1]["state"])
