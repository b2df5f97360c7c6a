"""Rates of won and of timed-out battles."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tensordict import TensorDict

from remix_plugin.environments.battles import battle_rates


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
