"""Losses of factorized values with every mixer, tiny, for their tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from loss_batches import (
    GAMMA,
    N_ACTIONS,
    N_FEATURES,
    OBSERVATION,
    agent_network,
    set_targets,
    state_network,
    state_size,
)
from tensordict import NestedKey
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import Tensor
from torchrl.modules import QMixer, VDNMixer
from torchrl.objectives import ValueEstimators

from remix_plugin.modules.duplex_dueling import DuplexDuelingMixer
from remix_plugin.modules.qatten import (
    QattenMixer,
    attention_entropy,
    attention_penalty,
)
from remix_plugin.objectives.factorized_q import FactorizedQLoss

MIXERS = ("qmix", "vdn", "qplex", "qatten")
METRICS = {"qplex": ["importance"], "qatten": ["entropy"]}
HEADS, EMBED, PENALTY = 2, 3, 0.25
Keys = FactorizedQLoss._AcceptedKeys


def make_mixer(name: str, n_agents: int, keys: Any) -> TensorDictModule:
    size = state_size(n_agents)
    if name == "vdn":
        module = VDNMixer(n_agents=n_agents, device="cpu")
        return TensorDictModule(module, [keys.local_value], [keys.global_value])
    if name == "qmix":
        module = QMixer(
            state_shape=(size,), mixing_embed_dim=EMBED, n_agents=n_agents, device="cpu"
        )
        read = [keys.local_value, "mixer_state"]
        return TensorDictModule(module, read, [keys.global_value])
    if name == "qplex":
        module = DuplexDuelingMixer(
            state_dim=size,
            n_agents=n_agents,
            n_actions=N_ACTIONS,
            n_heads=HEADS,
            importance_layers=2,
            hypernet_dim=EMBED,
        )
        read = [keys.local_value, keys.greedy_local_value, keys.joint_action]
        written = [keys.global_value, "importance"]
        return TensorDictModule(module, [*read, "mixer_state"], written)
    return attention_mixer(size, keys)


def attention_mixer(size: int, keys: Any) -> TensorDictSequential:
    def penalty(logits: Tensor) -> Tensor:
        return PENALTY * attention_penalty(logits)

    module = QattenMixer(
        state_dim=size,
        n_features=N_FEATURES,
        n_heads=HEADS,
        embed_dim=EMBED,
        query_dim=4,
        head_dim=4,
        constant_dim=4,
    )
    return TensorDictSequential(
        TensorDictModule(
            module,
            [keys.local_value, OBSERVATION, "mixer_state"],
            [keys.global_value, "attention", "logits"],
        ),
        TensorDictModule(attention_entropy, ["attention"], ["entropy"]),
        TensorDictModule(penalty, ["logits"], [keys.penalty]),
    )


def make_factorized(
    mixer: str = "qmix",
    *,
    n_agents: int = 3,
    recurrent: bool = False,
    renamed: dict[str, NestedKey] | None = None,
    lmbda: float | None = None,
    **options: Any,
) -> FactorizedQLoss:
    """A loss whose target networks differ from its online ones."""
    torch.manual_seed(0)
    renamed = renamed or {}
    keys = replace(Keys(), **renamed)
    utilities = agent_network(
        keys.action_value,
        recurrent=recurrent,
        n_agents=n_agents,
        is_init=keys.is_init,
    )
    loss = FactorizedQLoss(
        utilities,
        make_mixer(mixer, n_agents, keys),
        metrics=METRICS.get(mixer, ()),
        state_network=state_network(),
        **{"sequential": recurrent or lmbda is not None, **options},
    )
    loss.set_keys(**renamed)
    if lmbda is None:
        loss.make_value_estimator(ValueEstimators.TD0, gamma=GAMMA)
    else:
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA, lmbda=lmbda)
    set_targets(loss)
    return loss
