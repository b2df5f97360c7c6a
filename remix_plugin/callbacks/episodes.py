"""Per-episode return, length and outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from benchmarl.experiment import Experiment
from tensordict import TensorDictBase
from torch import Tensor

from remix_plugin.environments.battles import battle_outcomes
from remix_plugin.environments.tasks import PluginTaskClass

RETURN = "return"
LENGTH = "episode_length"
# Of each episode, by name; NaN where an episode has no such thing to say.
Episodes = dict[str, list[float]]


def read_episodes(
    experiment: Experiment, rollouts: Sequence[TensorDictBase]
) -> Episodes:
    """Return, length and outcome of the first episode of each rollout.

    Args:
        experiment (Experiment): whose task and groups they are.
        rollouts (sequence of TensorDictBase): each ``[T]``, from a reset on.

    Returns:
        dict: ``<group>_return``, the sum over time of the mean reward of its agents,
        and ``return``, the mean over groups, as BenchMARL has them;
        ``episode_length``, in steps; and what the task says of an episode's end
        (``win_rate`` and ``episode_limit_rate`` of battles, ``success_rate`` and
        ``prey_caught`` of Predator-Prey). The latter are NaN where an episode did not
        end, or does not count.
    """
    first = [rollout[: episode_length(rollout)] for rollout in rollouts]
    groups = {
        f"{group}_{RETURN}": torch.stack([_group_return(group, one) for one in first])
        for group in experiment.group_map
    }
    episodes: Episodes = {
        **{name: values.tolist() for name, values in groups.items()},
        RETURN: torch.stack(list(groups.values())).mean(0).tolist(),
        LENGTH: [float(len(episode)) for episode in first],
    }
    ends = TensorDictBase.lazy_stack([episode[-1] for episode in first])
    task = experiment.task
    if isinstance(task, PluginTaskClass):
        outcomes = task.episode_outcomes(ends)
    else:
        outcomes = battle_outcomes(ends)
    done = ends.get(("next", "done")).flatten().tolist()
    for name, outcome in outcomes.items():
        ended = zip(outcome.flatten().tolist(), done, strict=True)
        episodes[name] = [float(value) if end else math.nan for value, end in ended]
    return episodes


def join(parts: Sequence[Episodes]) -> Episodes:
    """The episodes of several sets of rollouts, which have the same entries."""
    return {name: [v for part in parts for v in part[name]] for name in parts[0]}


def counted(values: Sequence[float]) -> list[float]:
    """Those that are not NaN."""
    return [value for value in values if not math.isnan(value)]


def episode_length(rollout: TensorDictBase) -> int:
    """Length of the first episode of a rollout."""
    done = rollout.get(("next", "done")).flatten()
    return int(done.int().argmax()) + 1 if done.any() else len(done)


def _group_return(group: str, episode: TensorDictBase) -> Tensor:
    """Mean over a group's agents of their sums of rewards, a scalar.

    A team's reward is repeated for each agent, as BenchMARL does: sums then agree with
    those of its json to the last bit.
    """
    reward = episode.get(("next", group, "reward"), None)
    if reward is None:
        team = episode.get(("next", "reward"))
        reward = team.expand(episode.get(group).shape).unsqueeze(-1)
    return reward.sum(0).mean()
