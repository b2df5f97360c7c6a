"""Rates of won and of timed-out battles, and the callback that logs them."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from benchmarl.experiment import Callback
from tensordict import TensorDict, TensorDictBase

from remix_plugin.callbacks.win_rate import WinRate, attach_win_rate
from remix_plugin.environments.battles import battle_rates
from remix_plugin.environments.predator_prey.common import PredatorPreyTask


def rollout(
    steps: str, *, lost: Sequence[int] | None = None, trailing: bool = True
) -> TensorDict:
    """A step per letter: won ``W``, lost ``L``, out of time ``T``, onward ``-``.

    Args:
        steps: the letters.
        lost: steps at which the connection broke; None for no such entry.
        trailing: whether flags have a last dimension of 1.
    """
    flags = {
        "battle_won": [step == "W" for step in steps],
        "episode_limit": [step == "T" for step in steps],
    }
    if lost is not None:
        flags["connection_lost"] = [i in lost for i in range(len(steps))]
    info = {key: torch.tensor(value) for key, value in flags.items()}
    if trailing:
        info = {key: value[:, None] for key, value in info.items()}
    done = torch.tensor([[step != "-"] for step in steps])
    return TensorDict({"next": {"done": done, "info": info}}, batch_size=[len(steps)])


@pytest.mark.parametrize("trailing", [True, False])
def test_rates_are_over_episodes_that_ended(trailing: bool) -> None:
    rows = [rollout(s, trailing=trailing) for s in ("--W-L", "-T---", "----W", "----W")]
    batch = TensorDict.maybe_dense_stack(rows)
    assert battle_rates(batch) == pytest.approx(
        {"win_rate": 0.6, "episode_limit_rate": 0.2}
    )
    assert battle_rates(batch[1]) == {"win_rate": 0.0, "episode_limit_rate": 1.0}


def test_flags_of_steps_that_end_nothing_do_not_count() -> None:
    batch = rollout("--L--")
    batch["next", "info", "battle_won"][:2] = True
    batch["next", "info", "episode_limit"][3:] = True
    assert battle_rates(batch) == {"win_rate": 0.0, "episode_limit_rate": 0.0}


def test_nothing_is_said_where_no_episode_ended() -> None:
    assert battle_rates(rollout("-----")) == {}


def test_lost_connections_do_not_count() -> None:
    assert battle_rates(rollout("W-L-L", lost=[2])) == {
        "win_rate": 0.5,
        "episode_limit_rate": 0.0,
    }
    assert battle_rates(rollout("--L--", lost=[2])) == {}


class Log:
    """Stands in for an experiment with a logger, and keeps what is logged."""

    def __init__(self) -> None:
        self.logger = self
        self.n_iters_performed = 7
        self.logged: list[tuple[dict[str, float], int]] = []

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((values, step))


def evaluated(*steps: str) -> list[tuple[dict[str, float], int]]:
    """What the callback logs of rollouts."""
    callback = WinRate()
    callback.experiment = Log()
    callback.on_evaluation_end([rollout(letters) for letters in steps])
    return callback.experiment.logged


def test_evaluation_counts_the_first_episode_of_each_rollout() -> None:
    # Uncut: where BenchMARL logs nothing itself, it does not cut them.
    logged = evaluated("-L-W--W", "---W-L-", "-T-W--W", "L-W-W-W")
    rates = {"eval/info/win_rate": 0.25, "eval/info/episode_limit_rate": 0.25}
    assert logged == [(rates, 7)]


def test_evaluation_takes_rollouts_of_different_lengths() -> None:
    rates = {"eval/info/win_rate": 0.5, "eval/info/episode_limit_rate": 0.0}
    assert evaluated("-L", "---W") == [(rates, 7)]
    assert evaluated("W", "L") == [(rates, 7)]


def test_rollout_that_does_not_end_does_not_count() -> None:
    rates = {"eval/info/win_rate": 1.0, "eval/info/episode_limit_rate": 0.0}
    assert evaluated("----", "---W") == [(rates, 7)]
    assert evaluated("----") == [({}, 7)]


def test_rollouts_are_left_as_they_are() -> None:
    given: list[TensorDictBase] = [rollout("-L-W"), rollout("-W-W")]
    before = [one.clone() for one in given]
    callback = WinRate()
    callback.experiment = Log()
    callback.on_evaluation_end(given)
    assert all(bool((a == b).all()) for a, b in zip(given, before, strict=True))


def experiment_on(task: Any, callbacks: Any = ()) -> Any:
    """As much of an experiment as the callback is attached by."""
    env = task.get_env_fun(2, False, 0, "cpu")()
    return SimpleNamespace(task=task, test_env=env, callbacks=callbacks)


def test_task_without_battles_gets_no_callback() -> None:
    given: list[Callback] = []
    experiment = experiment_on(PredatorPreyTask.PUNISH_2.get_from_yaml(), given)
    attach_win_rate(experiment)
    assert experiment.callbacks is given
    assert not given
