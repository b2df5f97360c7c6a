"""Batches for the tests of the losses, and what networks read of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from recurrent_networks import RecurrentValues
from tensordict import NestedKey, TensorDict, TensorDictBase, unravel_key
from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from remix_plugin.objectives.factorized_q import FactorizedQLoss
from remix_plugin.objectives.qtran import QtranLoss
from remix_plugin.objectives.unroll import pack_rows
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss

N_FEATURES, N_ACTIONS, STATE, HIDDEN = 2, 4, 2, 3
# Exact in float32, which TorchRL's estimators hold it in.
GAMMA = 0.875
OBSERVATION = ("agents", "observation")
# Names that the losses share stand for the same keys in all of them.
DEFAULTS: dict[str, NestedKey] = {
    name: key
    for loss in (WeightedProjectionLoss, FactorizedQLoss, QtranLoss)
    for name, key in asdict(loss._AcceptedKeys()).items()
}
INITIAL_STATES = (
    "initial_state",
    "unrestricted_initial_state",
    "feature_initial_state",
)


class Utilities(nn.Module):
    """Utilities ``[*B, n, A]`` of a network without memory."""

    def __init__(self, n_values: int = N_ACTIONS) -> None:
        super().__init__()
        self.below = nn.Linear(N_FEATURES, HIDDEN)
        self.above = nn.Linear(HIDDEN, n_values)

    def forward(self, observation: Tensor) -> Tensor:
        return 3.0 * self.above(self.below(observation).tanh())


def agent_network(
    out_key: NestedKey,
    *,
    recurrent: bool,
    n_agents: int,
    is_init: NestedKey = "is_init",
    n_values: int = N_ACTIONS,
) -> Any:
    if not recurrent:
        return TensorDictModule(Utilities(n_values), [OBSERVATION], [out_key])
    sizes = (N_FEATURES, HIDDEN, n_values)
    return RecurrentValues(
        OBSERVATION, is_init, out_key, n_agents=n_agents, sizes=sizes
    )


def state_network() -> TensorDictModule:
    """Writes the mixers' state, of the type of its inputs."""

    def side_by_side(state: Tensor, observation: Tensor) -> Tensor:
        return torch.cat([state, observation.flatten(-2)], dim=-1)

    return TensorDictModule(side_by_side, ["state", OBSERVATION], ["mixer_state"])


def state_size(n_agents: int) -> int:
    return STATE + n_agents * N_FEATURES


def make_batch(
    *batch: int,
    n_agents: int = 3,
    one_hot: bool = False,
    rows: bool = False,
    recurrent: bool = False,
    stored: bool = False,
    padded: bool = False,
    prioritized: bool = False,
    renamed: dict[str, NestedKey] | None = None,
    seed: int = 1,
) -> TensorDict:
    """Random transitions as BenchMARL stores them, with stale values of collection.

    With ``rows`` they are rows of steps ``[B, T]``, some with the end of an episode
    inside, and padded at their ends; with ``recurrent`` also the starts of episodes;
    with ``stored`` also hidden states at the starts of rows.
    """
    generator = torch.Generator().manual_seed(seed)
    keys = {**DEFAULTS, **(renamed or {})}
    rows = rows or recurrent

    def normal(*shape: int) -> Tensor:
        return torch.randn(*batch, *shape, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*batch, *shape, generator=generator)

    def agents() -> TensorDict:
        entries = {"observation": normal(n_agents, N_FEATURES)}
        return TensorDict(entries, batch_size=[*batch, n_agents])

    td = TensorDict(
        {"agents": agents(), "state": normal(STATE), "next": {"agents": agents()}},
        batch_size=batch,
    )
    td["next", "state"] = normal(STATE)
    mask, next_mask = (uniform(n_agents, N_ACTIONS) < 0.6 for _ in range(2))
    mask[..., 0] |= ~mask.any(-1)
    next_mask[..., 1] |= ~next_mask.any(-1)
    action = uniform(n_agents, N_ACTIONS).masked_fill(~mask, -1.0).argmax(-1)
    if one_hot:
        action = nn.functional.one_hot(action, N_ACTIONS)
    terminated = uniform(1) < (0.15 if rows else 0.3)
    done = terminated | (uniform(1) < (0.15 if rows else 0.3))
    # Drawn in any case, so that options do not change the other entries.
    starts, importance, valid = uniform(1), uniform() + 0.1, uniform() < 0.7
    is_init = starts < (0.15 if rows else 0.4)
    if rows:
        is_init[:, 1:] |= done[:, :-1]
        # Padding is at the ends of rows, none at that of the first.
        length = 1 + (uniform()[:, :1] * batch[1]).long()
        length[0] = batch[1]
        valid = torch.arange(batch[1]) < length
    entries = {
        keys["action"]: action,
        keys["action_mask"]: mask,
        _next(keys["action_mask"]): next_mask,
        _next(keys["reward"]): normal(1),
        _next(keys["terminated"]): terminated,
        _next(keys["done"]): done,
        keys["action_value"]: normal(n_agents, N_ACTIONS),
        keys["local_value"]: normal(n_agents, 1),
        "index": torch.zeros(batch, dtype=torch.long),
    }
    if recurrent:
        entries[keys["is_init"]] = is_init
        # Never read: what follows a step belongs to its episode.
        entries[_next(keys["is_init"])] = uniform(1) < 0.5
    if prioritized:
        entries[keys["priority_weight"]] = importance
    if padded:
        entries[keys["valid"]] = valid
    if stored:
        for name in INITIAL_STATES:
            state = torch.randn(batch[0], n_agents, HIDDEN, generator=generator)
            entries[keys[name]] = pack_rows(state, batch[1])
    for key, entry in entries.items():
        td.set(key, entry)
    if rows:
        ends = done.clone()
        ends[:, :-1] |= is_init[:, 1:] if recurrent else False
        ends[:, :-1] |= ~valid[:, 1:, None] if padded else False
        link(td, ends, keys["action_mask"])
    return td


def link(
    td: TensorDictBase, ends: Tensor, mask: NestedKey = ("agents", "action_mask")
) -> None:
    """Let what follows each step be the next step's, but where an episode ends."""
    goes_on = ~ends[:, :-1, 0]
    for key in (OBSERVATION, "state", mask):
        current, following = td[key], td[_next(key)].clone()
        following[:, :-1][goes_on] = current[:, 1:][goes_on]
        td.set(_next(key), following)


def to_double(td: TensorDictBase) -> TensorDictBase:
    return td.apply(lambda x: x.double() if x.is_floating_point() else x)


def _next(key: NestedKey) -> NestedKey:
    return unravel_key(("next", key))


def table_batch(
    actions: list[list[int]],
    *,
    mask: list[list[int]],
    next_mask: list[list[int]],
    reward: list[float],
    terminated: list[int],
    done: list[int],
) -> TensorDict:
    """Transitions for networks that are tables, with the same masks in each."""
    size, n_agents = len(actions), len(actions[0])
    agents = TensorDict(
        {"observation": torch.eye(n_agents).expand(size, -1, -1)},
        batch_size=[size, n_agents],
    )
    td = TensorDict(
        {"agents": agents, "next": {"agents": agents.clone()}}, batch_size=[size]
    )
    td["agents", "action"] = torch.tensor(actions)
    for root, flags in ((("agents",), mask), (("next", "agents"), next_mask)):
        entry = torch.tensor(flags, dtype=torch.bool).expand(size, -1, -1)
        td[(*root, "action_mask")] = entry
    td["next", "reward"] = torch.tensor(reward).unsqueeze(-1)
    td["next", "terminated"] = torch.tensor(terminated, dtype=torch.bool)[:, None]
    td["next", "done"] = torch.tensor(done, dtype=torch.bool)[:, None]
    return td


def table(values: list[list[float]], out_key: NestedKey) -> TensorDictModule:
    """Utilities that are numbers of one's choice, one row per agent."""
    layer = nn.Linear(len(values), len(values[0]), bias=False)
    layer.weight.data.copy_(torch.tensor(values).T)
    return TensorDictModule(layer, [OBSERVATION], [out_key])


def set_targets(loss: Any) -> None:
    """Make target networks differ from the online ones, if there are any."""
    for name, entries in loss.named_children():
        if name.startswith("target_"):
            for target in entries.values(True, True):
                target.data.add_(0.3 * torch.randn_like(target))


def gradients(loss: Any) -> dict[str, Tensor | None]:
    """By the name of each network and its parameter, without the targets'."""
    return {
        f"{name.removesuffix('_params')}.{key}": parameter.grad
        for name, entries in loss.named_children()
        if name.endswith("_params") and not name.startswith("target_")
        for key, parameter in entries.flatten_keys(".").items()
    }


def target_gradients(loss: Any) -> list[Tensor | None]:
    """Gradients of target parameters, which must be None; or of None at all."""
    return [
        target.grad
        for name, entries in loss.named_children()
        if name.startswith("target_")
        for target in entries.values(True, True)
    ]


def assert_gradients(
    actual: dict[str, Tensor | None],
    expected: dict[str, Tensor],
    rtol: float = 1e-4,
) -> None:
    assert actual.keys() == expected.keys()
    scale = max(gradient.abs().max().item() for gradient in expected.values())
    for name, gradient in actual.items():
        if gradient is None:
            # As an unused parameter has it.
            gradient = torch.zeros_like(expected[name])
        torch.testing.assert_close(
            gradient.double().cpu(),
            expected[name],
            rtol=rtol,
            atol=1e-2 * rtol * scale,
            msg=lambda text, name=name: f"{name}: {text}",
        )
