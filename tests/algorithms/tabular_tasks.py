"""A single agent in a table of states: a bandit, and a chain of two states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from small_tasks import SmallTask
from tensordict import TensorDict, TensorDictBase
from torchrl.data import Binary, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase


@dataclass(frozen=True)
class Table:
    """What actions bring in each state.

    Attributes:
        rewards: of each state and action.
        following: the state after each state and action.
        horizon: steps of an episode, whose end is terminal.
    """

    rewards: list[list[float]]
    following: list[list[int]]
    horizon: int

    def best_return(self) -> float:
        """Of the best policy from state 0, by looking at all of them."""

        def best(state: int, left: int) -> float:
            if left == 0:
                return 0.0
            outcomes = zip(self.rewards[state], self.following[state], strict=True)
            return max(reward + best(then, left - 1) for reward, then in outcomes)

        return best(0, self.horizon)


BANDIT = Table(rewards=[[0.2, 1.0, 0.5]], following=[[0, 0, 0]], horizon=1)
# Leaving state 0 earns nothing at once, and staying in state 1 the most.
CHAIN = Table(rewards=[[0.3, 0.0], [1.0, 0.0]], following=[[0, 1], [1, 0]], horizon=5)


class TabularEnv(EnvBase):
    """Each environment begins in state 0; the agent sees the state and the time."""

    def __init__(self, table: Table, num_envs: int) -> None:
        super().__init__(batch_size=[num_envs])
        self.rewards = torch.tensor(table.rewards)
        self.following = torch.tensor(table.following)
        self.horizon = table.horizon
        n_states, n_actions = self.rewards.shape
        agents = (num_envs, 1)
        self.observation_spec = Composite(
            agents=Composite(
                observation=Unbounded((*agents, n_states + 1)), shape=agents
            ),
            shape=self.batch_size,
        )
        self.action_spec = Composite(
            agents=Composite(action=Categorical(n_actions, agents), shape=agents),
            shape=self.batch_size,
        )
        self.reward_spec = Unbounded((num_envs, 1))
        flag = Binary(1, (num_envs, 1), dtype=torch.bool)
        self.done_spec = Composite(
            done=flag, terminated=flag.clone(), shape=self.batch_size
        )

    def _observe(self, done: torch.Tensor) -> TensorDict:
        state = torch.nn.functional.one_hot(self._state, len(self.rewards))
        time = (self._time / self.horizon).unsqueeze(-1)
        seen = torch.cat([state, time], dim=-1).float().unsqueeze(-2)
        agents = TensorDict({"observation": seen}, batch_size=(*self.batch_size, 1))
        return TensorDict(
            {"agents": agents, "done": done, "terminated": done.clone()},
            batch_size=self.batch_size,
        )

    def _reset(
        self, tensordict: TensorDictBase | None = None, **kwargs: object
    ) -> TensorDictBase:
        chosen = None if tensordict is None else tensordict.get("_reset", None)
        if chosen is None:
            self._state = torch.zeros(self.batch_size, dtype=torch.int64)
            self._time = torch.zeros(self.batch_size, dtype=torch.int64)
        else:
            self._state = self._state.masked_fill(chosen.squeeze(-1), 0)
            self._time = self._time.masked_fill(chosen.squeeze(-1), 0)
        return self._observe(torch.zeros(*self.batch_size, 1, dtype=torch.bool))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict["agents", "action"].squeeze(-1)
        reward = self.rewards[self._state, action].unsqueeze(-1)
        self._state = self.following[self._state, action]
        self._time = self._time + 1
        result = self._observe((self._time >= self.horizon).unsqueeze(-1))
        return result.set("reward", reward)

    def _set_seed(self, seed: int | None) -> None:
        """Nothing is drawn."""


class TabularTask(SmallTask):
    """A task of one agent in a table."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.table = table

    def get_env_fun(
        self, num_envs: int, continuous_actions: bool, seed: int | None, device: str
    ) -> Callable[[], EnvBase]:
        """Environments of the table."""
        return lambda: TabularEnv(self.table, num_envs)

    def group_map(self, env: EnvBase) -> dict[str, list[str]]:
        """The one agent."""
        return {"agents": ["agent_0"]}

    def max_steps(self, env: EnvBase) -> int:
        """Steps of an episode."""
        return self.table.horizon
