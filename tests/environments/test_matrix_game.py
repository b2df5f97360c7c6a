"""The matrix game: payoffs by hand, specs, more agents, bad payoffs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchrl.envs.utils import check_env_specs

from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.environments.matrix_game.config import MatrixGameConfig
from remix_plugin.environments.matrix_game.env import MatrixGameEnv


def play(env: MatrixGameEnv, actions: list[list[int]]) -> torch.Tensor:
    view = env.reset()
    view["agents", "action"] = torch.tensor(actions)
    result = env.step(view)["next"]
    assert result["terminated"].all()
    assert result["done"].all()
    return result["reward"]


def test_payoff_of_qtran() -> None:
    task = MatrixGameTask.QTRAN.get_from_yaml()
    env = task.get_env_fun(5, False, 0, "cpu")()
    rewards = play(env, [[0, 0], [0, 1], [2, 0], [1, 2], [2, 2]])
    assert rewards.tolist() == [[8.0], [-12.0], [-12.0], [0.0], [0.0]]


def test_rows_are_the_first_agent() -> None:
    env = MatrixGameEnv(MatrixGameConfig([[1, 2], [3, 4]]), num_envs=2)
    assert play(env, [[0, 1], [1, 0]]).tolist() == [[2.0], [3.0]]


def test_three_agents() -> None:
    payoff = [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    env = MatrixGameEnv(MatrixGameConfig(payoff), num_envs=2)
    assert play(env, [[1, 0, 1], [0, 1, 1]]).tolist() == [[5.0], [3.0]]
    observation = env.reset()["agents", "observation"]
    assert observation[0].tolist() == [[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]


def test_specs() -> None:
    env = MatrixGameEnv(MatrixGameConfig([[1, 2], [3, 4]]), num_envs=3)
    check_env_specs(env, seed=0)
    assert env.reset()["state"].tolist() == [[1.0], [1.0], [1.0]]


@pytest.mark.parametrize(
    ("payoff", "error", "message"),
    [
        (7, TypeError, "payoff=7"),
        ([1, 2], ValueError, r"shape \(2,\)"),
        ([[1]], ValueError, r"shape \(1, 1\)"),
        ([[1, 2, 3], [4, 5, 6]], ValueError, r"shape \(2, 3\)"),
        ([[1, 2], [3]], ValueError, "same length"),
        ([[], []], ValueError, "must not be empty"),
        ([[1, "a"], [2, 3]], TypeError, "payoff entry='a'"),
        ([[1, float("nan")], [2, 3]], ValueError, "payoff entry=nan"),
    ],
)
def test_bad_payoffs(payoff: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MatrixGameConfig(payoff)


def test_num_envs_below_one() -> None:
    with pytest.raises(ValueError, match="num_envs=0"):
        MatrixGameEnv(MatrixGameConfig([[1, 2], [3, 4]]), num_envs=0)
