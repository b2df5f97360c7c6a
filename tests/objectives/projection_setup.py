"""Tiny networks and weightings for the tests of the projection loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from loss_batches import (
    GAMMA,
    agent_network,
    set_targets,
    state_network,
    state_size,
    table,
)
from remix_options import remix_weighting
from tensordict import NestedKey
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.modules import QMixer, VDNMixer
from torchrl.objectives import ValueEstimators

from remix_plugin.modules.mixers import DeepQMixer, UnrestrictedMixer
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss
from remix_plugin.weighting.base import Weighting
from remix_plugin.weighting.wqmix import (
    CentralWeighting,
    OptimisticWeighting,
    UniformWeighting,
)

EMBED = 3
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
WEIGHTINGS: dict[str, tuple[Callable[..., Weighting], dict[str, Any]]] = {
    "remix-mean": (remix_weighting, {**REMIX, "normalization": "mean"}),
    "remix-mean_positive": (
        remix_weighting,
        {**REMIX, "normalization": "mean_positive"},
    ),
    "remix-max": (remix_weighting, {**REMIX, "normalization": "max"}),
    "remix-clipped": (
        remix_weighting,
        {
            **REMIX,
            "normalization": "clipped",
            "mean_multiple": 1.25,
            "unrestricted_value": "target",
            "policy_support": "all",
        },
    ),
    "optimistic": (OptimisticWeighting, {"alpha": 0.1}),
    "central": (CentralWeighting, {"alpha": 0.25}),
    "uniform": (UniformWeighting, {}),
}


def make_weighting(name: str) -> Weighting:
    weighting, options = WEIGHTINGS[name]
    return weighting(**options)


def make_loss(
    weighting: Weighting | TensorDictModule | None = None,
    *,
    n_agents: int = 3,
    hypernet_layers: int = 1,
    recurrent: bool = False,
    renamed: dict[str, NestedKey] | None = None,
    seed: int = 0,
    gamma: float | None = GAMMA,
    lmbda: float | None = None,
    **options: Any,
) -> WeightedProjectionLoss:
    """A loss whose target networks differ from its online ones.

    Without ``gamma`` no value estimator is made: the loss is left to do so itself.
    With ``lmbda`` targets are those of several steps.
    """
    torch.manual_seed(seed)
    renamed = renamed or {}
    keys = replace(Keys(), **renamed)
    size = state_size(n_agents)
    agents = {
        "recurrent": recurrent,
        "n_agents": n_agents,
        "is_init": keys.is_init,
    }
    mixer_class = DeepQMixer if hypernet_layers == 2 else QMixer
    mixer = mixer_class(
        state_shape=(size,), mixing_embed_dim=EMBED, n_agents=n_agents, device="cpu"
    )
    unrestricted_mixer = UnrestrictedMixer(
        state_shape=torch.Size((size,)),
        embed_dim=EMBED,
        n_agents=n_agents,
        device="cpu",
    )
    loss = WeightedProjectionLoss(
        agent_network(keys.action_value, **agents),
        TensorDictModule(mixer, [keys.local_value, "mixer_state"], [keys.global_value]),
        agent_network(keys.unrestricted_action_value, **agents),
        TensorDictModule(
            unrestricted_mixer,
            [keys.unrestricted_local_value, "mixer_state"],
            [keys.unrestricted_global_value],
        ),
        UniformWeighting() if weighting is None else weighting,
        state_network=state_network(),
        **{"sequential": recurrent or lmbda is not None, **options},
    )
    loss.set_keys(**renamed)
    if lmbda is not None:
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=gamma, lmbda=lmbda)
    elif gamma is not None:
        loss.make_value_estimator(ValueEstimators.TD0, gamma=gamma)
    set_targets(loss)
    return loss


def online_parameters(loss: WeightedProjectionLoss, name: str) -> dict[str, Tensor]:
    return dict(getattr(loss, f"{name}_params").flatten_keys(".").items())


def target_parameters(loss: WeightedProjectionLoss, name: str) -> dict[str, Tensor]:
    return dict(getattr(loss, f"target_{name}_params").flatten_keys(".").items())


def table_loss(
    weighting: Weighting | TensorDictModule,
    *,
    online: list[list[float]],
    target: list[list[float]],
    unrestricted: list[list[float]],
    unrestricted_target: list[list[float]],
    lmbda: float | None = None,
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
        **{"sequential": lmbda is not None, **options},
    )
    if lmbda is None:
        loss.make_value_estimator(ValueEstimators.TD0, gamma=0.5)
    else:
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=0.5, lmbda=lmbda)
    if loss.delay_value:
        for name, values in (
            ("local_value_network", target),
            ("unrestricted_value_network", unrestricted_target),
        ):
            weight = target_parameters(loss, name)["module.weight"]
            weight.data.copy_(torch.tensor(values).T)
    return loss


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
