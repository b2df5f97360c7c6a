"""What is read of evaluation episodes, from rollouts made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from benchmarl.experiment.logger import Logger
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict, TensorDictBase
from tiny_experiments import predator_prey

from remix_plugin.callbacks.episodes import counted, join, read_episodes
from remix_plugin.environments.battles import battle_outcomes, battle_rates
from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.environments.smac.common import SmacTask
from remix_plugin.environments.smax.common import SmaxTask

GROUPS = {"hunters": 3, "prey": 7}


def experiment(groups: Sequence[str] = ("agents",), task: Any = None) -> Any:
    """As much of one as is needed."""
    return SimpleNamespace(group_map={name: [] for name in groups}, task=task)


def rollout(
    rewards: Sequence[float],
    done: Sequence[int],
    *,
    n_agents: int = 2,
    info: dict[str, Sequence[float]] | None = None,
    flat: bool = False,
) -> TensorDict:
    """A team's rewards, episodes that end at some steps, and what there is in info."""
    length = len(rewards)
    following: dict[str, Any] = {
        "reward": torch.tensor(rewards)[:, None],
        "done": torch.tensor([[i in done] for i in range(length)]),
    }
    if info is not None:
        entries = {key: torch.tensor(value) for key, value in info.items()}
        following["info"] = {k: v if flat else v[:, None] for k, v in entries.items()}
    agents = TensorDict({}, [length, n_agents])
    return TensorDict({"agents": agents, "next": following}, [length])


class Written:
    """In place of BenchMARL's json."""

    path = "nowhere"

    def write(self, metrics: dict[str, torch.Tensor], **_: Any) -> None:
        self.metrics = {name: value.tolist() for name, value in metrics.items()}


def benchmarl_returns(rollouts: list[TensorDictBase]) -> dict[str, list[float]]:
    """What BenchMARL would write into its json; it cuts the rollouts in place."""
    logger = Logger.__new__(Logger)
    logger.group_map = {group: [] for group in GROUPS}
    logger.loggers = []
    logger.experiment_config = SimpleNamespace(create_json=True, evaluation_interval=1)
    logger.json_writer = Written()
    logger.log_evaluation(rollouts, total_frames=0, step=0)
    return logger.json_writer.metrics


def random_rollouts(rewarded: str, seed: int) -> TensorDict:
    """Four of 40 steps, of episodes of 20 on average."""
    generator = torch.Generator().manual_seed(seed)
    batch = (4, 40)
    done = torch.rand(*batch, 1, generator=generator) < 0.05
    following: dict[str, Any] = {"done": done}
    if rewarded != "agents":
        following["reward"] = torch.randn(*batch, 1, generator=generator)
    result: dict[str, Any] = {"next": following}
    for group, n_agents in GROUPS.items():
        shape = (*batch, n_agents)
        result[group] = TensorDict({}, shape)
        if rewarded == "agents" or (rewarded == "some" and group == "prey"):
            reward = torch.randn(*shape, 1, generator=generator)
            following[group] = TensorDict({"reward": reward}, shape)
    return TensorDict(result, batch)


@pytest.mark.parametrize("rewarded", ["team", "agents", "some"])
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "uncut"])
def test_returns_are_those_of_benchmarl_to_the_last_bit(
    rewarded: str, cut: bool
) -> None:
    ended = 0
    for seed in range(5):
        batch = random_rollouts(rewarded, seed)
        theirs = list(batch.unbind(0))
        expected = benchmarl_returns(theirs)
        rollouts = theirs if cut else list(batch.unbind(0))
        episodes = read_episodes(experiment([*GROUPS]), rollouts)
        lengths = [float(len(episode)) for episode in theirs]
        assert episodes == {**expected, "episode_length": lengths}
        assert list(expected) == ["hunters_return", "prey_return", "return"]
        ended += int(batch["next", "done"].any(1).sum())
    assert 0 < ended < 20


def test_first_episode_counts_and_no_other() -> None:
    rewards = [1.0, 2.0, 4.0, 8.0, 16.0]
    rollouts = [
        rollout(rewards, [2, 4]),
        rollout(rewards[:3], [2]),
        rollout(rewards, [0, 1, 2, 3, 4]),
        rollout(rewards, [4]),
        rollout(rewards, []),
    ]
    returns = [7.0, 7.0, 1.0, 31.0, 31.0]
    assert read_episodes(experiment(), rollouts) == {
        "agents_return": returns,
        "return": returns,
        "episode_length": [3.0, 3.0, 1.0, 5.0, 5.0],
    }
    assert [len(one) for one in rollouts] == [5, 3, 5, 5, 5]


def test_agents_are_averaged_and_then_groups() -> None:
    reward = torch.tensor([[[1.0], [2.0], [6.0]], [[0.0], [3.0], [0.0]]])
    following = {
        "done": torch.tensor([[False], [True]]),
        "reward": torch.tensor([[5.0], [0.0]]),
        "hunters": TensorDict({"reward": reward}, [2, 3]),
    }
    agents = {group: TensorDict({}, [2, n]) for group, n in GROUPS.items()}
    one = TensorDict({"next": following, **agents}, [2])
    episodes = read_episodes(experiment([*GROUPS]), [one])
    assert episodes == {
        "hunters_return": [4.0],
        "prey_return": [5.0],
        "return": [4.5],
        "episode_length": [2.0],
    }


BATTLES = [None, SmacTask["3M"].get_from_yaml(), SmaxTask["3M"].get_from_yaml()]


def battle(
    won: str, late: str, done: Sequence[int], lost: str = "", flat: bool = False
) -> TensorDict:
    """Flags of each step, as 0 and 1; entries for empty ones are missing."""
    flags = {"battle_won": won, "episode_limit": late, "connection_lost": lost}
    info = {key: [x == "1" for x in value] for key, value in flags.items() if value}
    return rollout([0.0] * len(won), done, info=info, flat=flat)


@pytest.mark.parametrize("task", BATTLES, ids=["benchmarl", "smac", "smax"])
@pytest.mark.parametrize("flat", [True, False], ids=["flat", "trailing"])
def test_battles_are_won_lost_and_timed_out(flat: bool, task: Any) -> None:
    # Flags of later episodes, and of steps that end none, say nothing.
    rollouts = [
        battle("0111", "1011", [1, 3], flat=flat),
        battle("0011", "1011", [1], flat=flat),
        battle("1001", "0011", [2], flat=flat),
        battle("1111", "1111", [], flat=flat),
    ]
    episodes = read_episodes(experiment(task=task), rollouts)
    assert episodes["episode_length"] == [2.0, 2.0, 3.0, 4.0]
    assert episodes["win_rate"][:3] == [1.0, 0.0, 0.0]
    assert episodes["episode_limit_rate"][:3] == [0.0, 0.0, 1.0]
    assert math.isnan(episodes["win_rate"][3])
    assert math.isnan(episodes["episode_limit_rate"][3])


@pytest.mark.parametrize("flat", [True, False], ids=["flat", "trailing"])
def test_battles_whose_connection_was_lost_do_not_count(flat: bool) -> None:
    rollouts = [
        battle("01", "00", [1], "01", flat=flat),
        battle("01", "00", [1], "10", flat=flat),
        battle("011", "000", [1, 2], "001", flat=flat),
    ]
    episodes = read_episodes(experiment(), rollouts)
    assert counted(episodes["win_rate"]) == [1.0, 1.0]
    assert math.isnan(episodes["win_rate"][0])
    assert math.isnan(episodes["episode_limit_rate"][0])
    assert episodes["return"] == [0.0, 0.0, 0.0]
    assert episodes["episode_length"] == [2.0, 2.0, 2.0]


def test_battles_may_have_no_flag_of_time() -> None:
    episodes = read_episodes(experiment(), [battle("01", "", [1])])
    assert episodes["win_rate"] == [1.0]
    assert "episode_limit_rate" not in episodes


@pytest.mark.parametrize(
    "task", [None, MatrixGameTask.QTRAN.get_from_yaml()], ids=["other", "ours"]
)
@pytest.mark.parametrize("info", [None, {"hp": [1.0, 2.0]}], ids=["no_info", "info"])
def test_other_tasks_say_nothing_of_ends(task: Any, info: Any) -> None:
    episodes = read_episodes(
        experiment(task=task), [rollout([0.0, 1.0], [1], info=info)]
    )
    assert list(episodes) == ["agents_return", "return", "episode_length"]


flags = st.booleans()
ENDS = st.lists(st.tuples(flags, flags, flags), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(ends=ENDS, with_lost=flags)
def test_outcomes_and_rates_agree(ends: list[Any], with_lost: bool) -> None:
    names = ["battle_won", "episode_limit", "connection_lost"][: 2 + with_lost]
    values = zip(*ends, strict=True)
    info = {key: list(value) for key, value in zip(names, values, strict=False)}
    steps = rollout([0.0] * len(ends), range(len(ends)), info=info)
    means = {
        name: sum(counted(outcome.tolist())) / len(counted(outcome.tolist()))
        for name, outcome in battle_outcomes(steps).items()
        if counted(outcome.tolist())
    }
    assert battle_rates(steps) == pytest.approx(means, rel=1e-6)
    n_lost = sum(lost for _, _, lost in ends) if with_lost else 0
    assert bool(means) == (n_lost < len(ends))


@pytest.mark.parametrize(
    ("predators", "capture_size", "most"), [(3, 2, 1), (4, 2, 2), (6, 2, 2), (3, 1, 2)]
)
def test_success_is_to_catch_all_prey_that_can_be_caught(
    predators: int, capture_size: int, most: int
) -> None:
    task = predator_prey()
    task.config.update(n_predators=predators, capture_size=capture_size)
    rollouts = [
        rollout([0.0] * 3, [1], info={"prey_caught": caught, "mis_catches": [0.0] * 3})
        for caught in ([0.0, most, 0.0], [0.0, most - 1.0, most], [0.0, 0.0, most])
    ]
    rollouts.append(rollout([0.0], [], info={"prey_caught": [float(most)]}))
    episodes = read_episodes(experiment(task=task), rollouts)
    assert episodes["success_rate"][:3] == [1.0, 0.0, 0.0]
    assert episodes["prey_caught"][:3] == [most, most - 1, 0.0]
    assert math.isnan(episodes["success_rate"][3])
    assert math.isnan(episodes["prey_caught"][3])


def test_sets_of_episodes_are_joined_in_their_order() -> None:
    parts = [{"a": [1.0, 2.0], "b": [3.0, 4.0]}, {"a": [5.0], "b": [6.0]}]
    assert join(parts) == {"a": [1.0, 2.0, 5.0], "b": [3.0, 4.0, 6.0]}
    assert counted([1.0, math.nan, 0.0]) == [1.0, 0.0]
