"""Tiny networks, batches and weightings for the tests of the projection loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from tensordict import NestedKey, TensorDict, unravel_key
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.modules import QMixer, VDNMixer
from torchrl.objectives import ValueEstimators

from remix_plugin.modules.mixers import DeepQMixer, MixerState, UnrestrictedMixer
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss
from remix_plugin.weighting.base import Weighting
from remix_plugin.weighting.remix import RemixWeighting
from remix_plugin.weighting.wqmix import (
    CentralWeighting,
    OptimisticWeighting,
    UniformWeighting,
)

N_FEATURES, N_ACTIONS, STATE, HIDDEN, EMBED, GAMMA = 2, 4, 2, 3, 3, 0.9
NETWORKS = (
    "local_value_network",
    "mixer_network",
    "unrestricted_value_network",
    "unrestricted_mixer_network",
)
Keys = WeightedProjectionLoss._AcceptedKeys

REMIX = {
    "terms": ("bellman_error", "value_underestimation", "mixer_gradient"),
    "w_min": 0.1,
    "w_max": 4.0,
    "exponent_clip": 1.5,
    "gradient_floor": 0.05,
}
WEIGHTINGS: dict[str, tuple[type[Weighting], dict[str, Any]]] = {
    "remix-mean": (RemixWeighting, {**REMIX, "normalization": "mean"}),
    "remix-mean_positive": (
        RemixWeighting,
        {**REMIX, "normalization": "mean_positive"},
    ),
    "remix-max": (RemixWeighting, {**REMIX, "normalization": "max"}),
    "optimistic": (OptimisticWeighting, {"alpha": 0.1}),
    "central": (CentralWeighting, {"alpha": 0.25}),
    "uniform": (UniformWeighting, {}),
}


def make_weighting(name: str) -> Weighting:
    weighting, options = WEIGHTINGS[name]
    return weighting(**options)


class Utilities(nn.Module):
    """Utilities ``[*B, n, A]``, raised at the first step of an episode if told of it.

    What reads ``is_init`` stands for a recurrent model, whose memory it resets.
    """

    def __init__(self, recurrent: bool) -> None:
        super().__init__()
        self.below = nn.Linear(N_FEATURES, HIDDEN)
        self.above = nn.Linear(HIDDEN, N_ACTIONS)
        if recurrent:
            self.start = nn.Parameter(torch.randn(N_ACTIONS))

    def forward(self, observation: Tensor, is_init: Tensor | None = None) -> Tensor:
        value = 3.0 * self.above(self.below(observation).tanh())
        if is_init is None:
            return value
        return value + self.start * is_init.unsqueeze(-1)


def make_loss(
    weighting: Weighting | TensorDictModule | None = None,
    *,
    n_agents: int = 3,
    hypernet_layers: int = 1,
    recurrent: bool = False,
    renamed: dict[str, NestedKey] | None = None,
    seed: int = 0,
    gamma: float | None = GAMMA,
    **options: Any,
) -> WeightedProjectionLoss:
    """A loss whose target networks differ from its online ones.

    Without ``gamma`` no value estimator is made: the loss is left to do so itself.
    """
    torch.manual_seed(seed)
    renamed = renamed or {}
    keys = replace(Keys(), **renamed)
    state_size = STATE + n_agents * N_FEATURES
    observed = [("agents", "observation")] + [keys.is_init] * recurrent
    mixer_class = DeepQMixer if hypernet_layers == 2 else QMixer
    mixer = mixer_class(
        state_shape=(state_size,),
        mixing_embed_dim=EMBED,
        n_agents=n_agents,
        device="cpu",
    )
    unrestricted_mixer = UnrestrictedMixer(
        state_shape=torch.Size((state_size,)),
        embed_dim=EMBED,
        n_agents=n_agents,
        device="cpu",
    )
    loss = WeightedProjectionLoss(
        TensorDictModule(Utilities(recurrent), observed, [keys.action_value]),
        TensorDictModule(mixer, [keys.local_value, "mixer_state"], [keys.global_value]),
        TensorDictModule(
            Utilities(recurrent), observed, [keys.unrestricted_action_value]
        ),
        TensorDictModule(
            unrestricted_mixer,
            [keys.unrestricted_local_value, "mixer_state"],
            [keys.unrestricted_global_value],
        ),
        UniformWeighting() if weighting is None else weighting,
        state_network=TensorDictModule(
            MixerState((1, 2)), ["state", ("agents", "observation")], ["mixer_state"]
        ),
        **options,
    )
    loss.set_keys(**renamed)
    if gamma is not None:
        loss.make_value_estimator(ValueEstimators.TD0, gamma=gamma)
    if loss.delay_value:
        disturb_targets(loss)
    return loss


def disturb_targets(loss: WeightedProjectionLoss) -> None:
    for name in NETWORKS:
        for target in target_parameters(loss, name).values():
            target.data.add_(0.3 * torch.randn_like(target))


def online_parameters(loss: WeightedProjectionLoss, name: str) -> dict[str, Tensor]:
    return dict(getattr(loss, f"{name}_params").flatten_keys(".").items())


def target_parameters(loss: WeightedProjectionLoss, name: str) -> dict[str, Tensor]:
    return dict(getattr(loss, f"target_{name}_params").flatten_keys(".").items())


def gradients(loss: WeightedProjectionLoss) -> dict[str, Tensor | None]:
    return {
        f"{name}.{key}": parameter.grad
        for name in NETWORKS
        for key, parameter in online_parameters(loss, name).items()
    }


def make_batch(
    *batch: int,
    n_agents: int = 3,
    one_hot: bool = False,
    recurrent: bool = False,
    padded: bool = False,
    prioritized: bool = False,
    renamed: dict[str, NestedKey] | None = None,
    seed: int = 1,
) -> TensorDict:
    """Random transitions as BenchMARL stores them, with stale values of collection."""
    generator = torch.Generator().manual_seed(seed)
    keys = replace(Keys(), **(renamed or {}))

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
    terminated = uniform(1) < 0.3
    entries = {
        keys.action: action,
        keys.action_mask: mask,
        unravel_key(("next", keys.action_mask)): next_mask,
        unravel_key(("next", keys.reward)): normal(1),
        unravel_key(("next", keys.terminated)): terminated,
        unravel_key(("next", keys.done)): terminated | (uniform(1) < 0.3),
        keys.action_value: normal(n_agents, N_ACTIONS),
        keys.local_value: normal(n_agents, 1),
        "index": torch.zeros(batch, dtype=torch.long),
    }
    # Drawn in any case, so that options do not change the other entries.
    is_init, importance, valid = uniform(1) < 0.4, uniform() + 0.1, uniform() < 0.7
    if recurrent:
        entries[keys.is_init] = is_init
        entries[unravel_key(("next", keys.is_init))] = torch.zeros_like(is_init)
    if prioritized:
        entries[keys.priority_weight] = importance
    if padded:
        entries[keys.valid] = valid
    for key, entry in entries.items():
        td.set(key, entry)
    return td


def table(values: list[list[float]], out_key: NestedKey) -> TensorDictModule:
    """Utilities that are numbers of one's choice, one row per agent."""
    layer = nn.Linear(len(values), len(values[0]), bias=False)
    layer.weight.data.copy_(torch.tensor(values).T)
    return TensorDictModule(layer, [("agents", "observation")], [out_key])


def table_loss(
    weighting: Weighting | TensorDictModule,
    *,
    online: list[list[float]],
    target: list[list[float]],
    unrestricted: list[list[float]],
    unrestricted_target: list[list[float]],
    **options: Any,
) -> WeightedProjectionLoss:
    """A loss with values in tables, mixed by sums, and a discount of one half."""
    keys = Keys()
    mixers = [
        TensorDictModule(VDNMixer(n_agents=len(online), device="cpu"), [read], [write])
        for read, write in (
            (keys.local_value, keys.global_value),
            (keys.unrestricted_local_value, keys.unrestricted_global_value),
        )
    ]
    loss = WeightedProjectionLoss(
        table(online, keys.action_value),
        mixers[0],
        table(unrestricted, keys.unrestricted_action_value),
        mixers[1],
        weighting,
        **options,
    )
    loss.make_value_estimator(ValueEstimators.TD0, gamma=0.5)
    if loss.delay_value:
        for name, values in (
            ("local_value_network", target),
            ("unrestricted_value_network", unrestricted_target),
        ):
            weight = target_parameters(loss, name)["module.weight"]
            weight.data.copy_(torch.tensor(values).T)
    return loss


def table_batch(
    actions: list[list[int]],
    *,
    mask: list[list[int]],
    next_mask: list[list[int]],
    reward: list[float],
    terminated: list[int],
    done: list[int],
) -> TensorDict:
    """Transitions for :func:`table_loss`, with the same masks in each."""
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


class Recorder(Weighting):
    """Weights of 1 that keep what the loss offered."""

    in_keys = [
        "chosen_action_value",
        "unrestricted_value",
        "target_value",
        "mixer_gradient",
        "action_probability",
        "is_greedy",
        "greedy_target_value",
        "valid",
    ]

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[NestedKey, Tensor] = {}

    def weight(self, *inputs: Tensor) -> Tensor:
        self.seen = dict(zip(self.in_keys, inputs, strict=True))
        return torch.ones_like(inputs[0])
