"""Qatten."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarl.algorithms.common import Algorithm
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import Tensor

from remix_plugin.algorithms.base import STATE
from remix_plugin.algorithms.factorized_q import FactorizedQ, FactorizedQConfig
from remix_plugin.modules.mixers import AgentFeatures
from remix_plugin.modules.qatten import (
    QattenMixer,
    attention_entropy,
    attention_penalty,
)
from remix_plugin.validation import check_flag, check_number, check_size

FEATURES = "agent_features"
ENTROPY = "attention_entropy"


class Qatten(FactorizedQ):
    """Qatten (arXiv 2002.03939): utilities weighted by attention to the agents.

    The reference code takes an agent's features from its slice of the state; BenchMARL
    knows no such slices, so they are the agent's observation.

    Args:
        n_heads (int): heads of the attention, 1 to 16,384.
        embed_dim (int): size of queries and keys, 1 to 16,384.
        query_dim (int): hidden units of the queries, 1 to 16,384.
        head_dim (int): hidden units of the heads' weights, 1 to 16,384.
        constant_dim (int): hidden units of the constant, 1 to 16,384.
        weighted_heads (bool): whether the state weighs the heads, or all count 1.
        attend_reg_coef (float): coefficient of the attention's squared logits in the
            loss, at least 0.
        **kwargs: as :class:`~.factorized_q.FactorizedQ`.
    """

    metrics = (ENTROPY,)

    def __init__(
        self,
        n_heads: int,
        embed_dim: int,
        query_dim: int,
        head_dim: int,
        constant_dim: int,
        weighted_heads: bool,
        attend_reg_coef: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n_heads = n_heads
        self.embed_dim = embed_dim
        self.query_dim = query_dim
        self.head_dim = head_dim
        self.constant_dim = constant_dim
        self.weighted_heads = weighted_heads
        self.attend_reg_coef = attend_reg_coef

    def get_state_network(self, group: str) -> TensorDictModule:
        """Writes the state and each agent's features ``[*B, n, F]``."""
        specs = self.observation_specs(group)
        features = TensorDictModule(
            AgentFeatures(tuple(len(shape) - 1 for shape in specs.values())),
            in_keys=list(specs),
            out_keys=[FEATURES],
        )
        return TensorDictSequential(super().get_state_network(group), features)

    def get_mixer(self, group: str) -> TensorDictModule:
        """The attention mixer, with its penalty if it has one, and its entropy."""
        n_agents = len(self.group_map[group])
        sizes = [shape.numel() for shape in self.observation_specs(group).values()]
        mixer = QattenMixer(
            state_dim=self.state_size(group),
            n_features=sum(sizes) // n_agents,
            n_heads=self.n_heads,
            embed_dim=self.embed_dim,
            query_dim=self.query_dim,
            head_dim=self.head_dim,
            constant_dim=self.constant_dim,
            weighted_heads=self.weighted_heads,
            device=self.device,
        )

        modules = [
            TensorDictModule(
                mixer,
                in_keys=[(group, "chosen_action_value"), FEATURES, STATE],
                out_keys=["chosen_action_value", "attention", "attention_logits"],
            ),
            TensorDictModule(attention_entropy, ["attention"], [ENTROPY]),
        ]
        if self.attend_reg_coef > 0:
            penalty = partial(_penalty, self.attend_reg_coef)
            modules.append(
                TensorDictModule(penalty, ["attention_logits"], ["mixer_penalty"])
            )
        return TensorDictSequential(*modules)


def _penalty(coefficient: float, logits: Tensor) -> Tensor:
    return coefficient * attention_penalty(logits)


@dataclass
class QattenConfig(FactorizedQConfig):
    """Options of :class:`Qatten`; the defaults live in ``algorithm/qatten.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    n_heads: int
    embed_dim: int
    query_dim: int
    head_dim: int
    constant_dim: int
    weighted_heads: bool
    attend_reg_coef: float

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        for size in ("n_heads", "embed_dim", "query_dim", "head_dim", "constant_dim"):
            check_size(size, getattr(self, size))
        check_flag("weighted_heads", self.weighted_heads)
        check_number("attend_reg_coef", self.attend_reg_coef, low=0)

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return Qatten
