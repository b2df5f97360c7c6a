"""A small task with switches, and a callback that keeps what was trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from benchmarl.environments import TaskClass
from benchmarl.experiment import Callback
from tensordict import TensorDict, TensorDictBase
from torchrl.data import Binary, Bounded, Categorical, Composite, OneHot, Unbounded
from torchrl.envs import EnvBase

N_AGENTS = 2
N_ACTIONS = 3
MAX_STEPS = 3

DEFAULTS = {
    "one_hot": False,
    "mask": "none",
    "actions": "discrete",
    "batched": True,
}


class SmallEnv(EnvBase):
    """Two agents earn one for action 1; observations have two keys, one of them nested.

    There is no global state. With ``mask`` the first agent lacks action 2.
    """

    def __init__(
        self,
        *,
        num_envs: int | None,
        one_hot: bool,
        mask: bool,
        continuous: bool,
        seed: int | None,
    ) -> None:
        super().__init__(batch_size=[] if num_envs is None else [num_envs])
        self.one_hot = one_hot
        self.mask = mask
        self.continuous = continuous
        self._generator = torch.Generator()
        self._set_seed(seed)
        self._make_specs()

    def _make_specs(self) -> None:
        agents = (*self.batch_size, N_AGENTS)
        observation = Composite(
            position=Unbounded((*agents, 2)),
            sensors=Composite(range=Unbounded((*agents, 3)), shape=agents),
            shape=agents,
        )
        if self.mask:
            observation["action_mask"] = Binary(
                N_ACTIONS, (*agents, N_ACTIONS), dtype=torch.bool
            )
        self.observation_spec = Composite(agents=observation, shape=self.batch_size)
        self.action_spec = Composite(
            agents=Composite(action=self._action_leaf(agents), shape=agents),
            shape=self.batch_size,
        )
        self.reward_spec = Unbounded((*self.batch_size, 1))
        self.done_spec = Composite(
            done=Binary(1, (*self.batch_size, 1), dtype=torch.bool),
            terminated=Binary(1, (*self.batch_size, 1), dtype=torch.bool),
            shape=self.batch_size,
        )

    def _action_leaf(self, agents: tuple[int, ...]) -> Any:
        if self.continuous:
            return Bounded(-1.0, 1.0, (*agents, 2))
        if self.one_hot:
            return OneHot(N_ACTIONS, (*agents, N_ACTIONS), dtype=torch.bool)
        return Categorical(N_ACTIONS, agents, dtype=torch.int64)

    def _observe(self) -> TensorDict:
        agents = (*self.batch_size, N_AGENTS)
        draws = torch.rand(*agents, 5, generator=self._generator)
        observation = TensorDict(
            {"position": draws[..., :2], "sensors": {"range": draws[..., 2:]}},
            batch_size=agents,
        )
        if self.mask:
            available = torch.ones(*agents, N_ACTIONS, dtype=torch.bool)
            available[..., 0, 2] = False
            observation["action_mask"] = available
        return TensorDict({"agents": observation}, batch_size=self.batch_size)

    def _reset(
        self, tensordict: TensorDictBase | None = None, **kwargs: Any
    ) -> TensorDictBase:
        chosen = None if tensordict is None else tensordict.get("_reset", None)
        if chosen is None:
            self._steps = torch.zeros(*self.batch_size, 1, dtype=torch.int64)
        else:
            self._steps = self._steps.masked_fill(chosen, 0)
        result = self._observe()
        for key in ("done", "terminated"):
            result[key] = torch.zeros_like(self._steps, dtype=torch.bool)
        return result

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict["agents", "action"]
        if self.one_hot:
            action = action.long().argmax(-1)
        self._steps = self._steps + 1
        result = self._observe()
        result["reward"] = (action == 1).float().mean(-1, keepdim=True)
        for key in ("done", "terminated"):
            result[key] = self._steps >= MAX_STEPS
        return result

    def _set_seed(self, seed: int | None) -> None:
        self._generator.manual_seed(0 if seed is None else seed)


class SmallTask(TaskClass):
    """:class:`SmallEnv` for BenchMARL, as a user might write it.

    Options: ``one_hot`` actions; ``mask``: ``none``, ``real``, or ``declared`` by the
    task and missing from the environment; ``actions``: ``discrete``, ``continuous``,
    or ``disguised``, which are continuous and said to be discrete; ``batched``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("SMALL", {**DEFAULTS, **options})

    def get_env_fun(
        self,
        num_envs: int,
        continuous_actions: bool,
        seed: int | None,
        device: str,
    ) -> Callable[[], EnvBase]:
        return lambda: SmallEnv(
            num_envs=num_envs if self.config["batched"] else None,
            one_hot=self.config["one_hot"],
            mask=self.config["mask"] == "real",
            continuous=self.config["actions"] != "discrete",
            seed=seed,
        )

    def supports_continuous_actions(self) -> bool:
        return self.config["actions"] == "continuous"

    def supports_discrete_actions(self) -> bool:
        return self.config["actions"] != "continuous"

    def max_steps(self, env: EnvBase) -> int:
        return MAX_STEPS

    def has_render(self, env: EnvBase) -> bool:
        return False

    def group_map(self, env: EnvBase) -> dict[str, list[str]]:
        return {"agents": [f"agent_{i}" for i in range(N_AGENTS)]}

    def observation_spec(self, env: EnvBase) -> Composite:
        spec = env.full_observation_spec_unbatched.clone()
        if self.config["mask"] == "real":
            del spec["agents", "action_mask"]
        return spec

    def action_spec(self, env: EnvBase) -> Composite:
        return env.full_action_spec_unbatched

    def state_spec(self, env: EnvBase) -> None:
        return None

    def info_spec(self, env: EnvBase) -> None:
        return None

    def action_mask_spec(self, env: EnvBase) -> Composite | None:
        if self.config["mask"] == "none":
            return None
        leaf = Binary(N_ACTIONS, (N_AGENTS, N_ACTIONS), dtype=torch.bool)
        return Composite(agents=Composite(action_mask=leaf, shape=(N_AGENTS,)))

    @staticmethod
    def env_name() -> str:
        return "small"


class Recorder(Callback):
    """Keeps the losses of every update, by group."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: dict[str, list[TensorDictBase]] = {}

    def on_train_end(self, training_td: TensorDictBase, group: str) -> None:
        self.losses.setdefault(group, []).append(training_td.clone())


class ParameterHistory(Callback):
    """Keeps online and target parameters as they are after every update."""

    def __init__(self) -> None:
        super().__init__()
        self.online: list[dict[str, torch.Tensor]] = []
        self.target: list[dict[str, torch.Tensor]] = []

    def on_train_step(self, batch: TensorDictBase, group: str) -> None:
        loss = self.experiment.losses[group]
        self.online.append(parameters(loss, target=False))
        self.target.append(parameters(loss, target=True))


def parameters(loss: torch.nn.Module, *, target: bool) -> dict[str, torch.Tensor]:
    """Copies of a loss's online or target parameters, by the online names."""
    return {
        name.removeprefix("target_"): value.detach().clone()
        for name, value in loss.state_dict().items()
        if "_params." in name
        and name.startswith("target_") == target
        and isinstance(value, torch.Tensor)
    }
