"""A recurrent model for BenchMARL on PyTorch's fused GRU kernel.

Shapes: ``*B`` any batch, T steps, n agents, F features, L layers, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from benchmarl.models.common import Model, ModelConfig
from tensordict import TensorDictBase
from tensordict.utils import unravel_key_list
from torch import Tensor, nn
from torchrl.data import Composite, Unbounded
from torchrl.modules import MultiAgentMLP

from remix_plugin.configs import config_path
from remix_plugin.modules.gru import MultiAgentGRU
from remix_plugin.validation import check_flag, check_size

STATE_NAME = "_hidden_fused_gru_{}"


class FusedGru(Model):
    """BenchMARL's ``Gru`` on a fused kernel, for decentralized utilities and policies.

    All observations of an agent side by side go through an encoder, the GRU and a head.
    What differs from BenchMARL's model:

    - PyTorch's kernel loops over time, not Python; see ``remix_plugin.modules.gru``;
    - there may be an encoder before the GRU;
    - a sequence may begin with a memory other than zero, and then yields all memories;
    - there is no dropout between layers, no normalization and no centralized form, and
      no ``torch.vmap`` over the model, as losses of actor-critics put over critics.

    Reads the observations, ``"is_init"`` (``[*B, 1]``: whether a step begins an
    episode, whose memory is zeroed) and ``hidden_state_name``, the memory before a step
    (``[*B, n, L, H]``). Writes the output and ``("next", *hidden_state_name)``, the
    memory after the step. The batch tells what is asked for:

    - *a step*: observations ``[B, n, F]`` or ``[n, F]``, with the memory;
    - *a sequence*: observations ``[B, T, n, F]``. It begins with the memory's first
      entry, of the T, if there is a memory, else with zeros and without writing one.

    Args:
        encoder_num_cells (list of int): units of the layers before the GRU, each
            followed by the activation; may be empty.
        hidden_size (int): units of each layer of the GRU, H.
        n_layers (int): layers of the GRU, L.
        bias (bool): whether the GRU's gates have biases.
        mlp_num_cells (list of int): units of the hidden layers after the GRU, each
            followed by the activation; a linear layer follows them.
        activation_class: class of the activation of encoder and head.
        **kwargs: as BenchMARL passes them to any model.

    Raises:
        NotImplementedError: if the model is to be centralized.
        ValueError: if an observation is not a vector per agent.
    """

    def __init__(
        self,
        encoder_num_cells: Sequence[int],
        hidden_size: int,
        n_layers: int,
        bias: bool,
        mlp_num_cells: Sequence[int],
        activation_class: type[nn.Module],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.observation_keys = list(self.in_keys)
        self.hidden_state_name = (
            self.agent_group,
            STATE_NAME.format(self.model_index),
        )
        self.in_keys += unravel_key_list(["is_init", self.hidden_state_name])

        specs = self.input_spec.values(True, True)
        features = sum(spec.shape[-1] for spec in specs)
        self.encoder: nn.Module = nn.Identity()
        if encoder_num_cells:
            *hidden, last = encoder_num_cells
            self.encoder = self._mlp(
                features, last, hidden, activation_class, activate_last_layer=True
            )
            features = last
        self.gru = MultiAgentGRU(
            features,
            hidden_size,
            n_agents=self.n_agents,
            share_params=self.share_params,
            n_layers=n_layers,
            bias=bias,
            device=self.device,
        )
        self.head = self._mlp(
            hidden_size,
            self.output_leaf_spec.shape[-1],
            mlp_num_cells,
            activation_class,
        )

    @property
    def hidden_shape(self) -> tuple[int, int, int]:
        """Shape of the team's memory, without batch: ``(n, L, H)``."""
        return self.n_agents, self.n_layers, self.hidden_size

    def _mlp(
        self,
        inputs: int,
        outputs: int,
        cells: Sequence[int],
        activation_class: type[nn.Module],
        **kwargs: Any,
    ) -> nn.Module:
        return MultiAgentMLP(
            n_agent_inputs=inputs,
            n_agent_outputs=outputs,
            n_agents=self.n_agents,
            centralised=False,
            share_params=self.share_params,
            device=self.device,
            num_cells=list(cells),
            activation_class=activation_class,
            **kwargs,
        )

    def _perform_checks(self) -> None:
        super()._perform_checks()
        if self.centralised or not self.input_has_agent_dim:
            raise NotImplementedError(
                f"fused_gru cannot be the centralized model of group "
                f"{self.agent_group!r}: it is for decentralized utilities and "
                "policies. Choose another model there, as in "
                "model@critic_model=layers/gru."
            )
        for key, spec in self.input_spec.items(True, True):
            if len(spec.shape) != 2 or spec.shape[0] != self.n_agents:
                raise ValueError(
                    f"The input {key!r} of fused_gru has the shape "
                    f"{tuple(spec.shape)}; it must be a vector for each of the "
                    f"{self.n_agents} agents. For images put layers/cnn before it."
                )
        if self.output_leaf_spec.shape[-2] != self.n_agents:
            raise ValueError(
                f"The output {self.out_key!r} of fused_gru has the shape "
                f"{tuple(self.output_leaf_spec.shape)}; its second to last dimension "
                f"must be the {self.n_agents} agents."
            )

    def _forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        inputs = [tensordict.get(key) for key in self.observation_keys]
        observation = inputs[0] if len(inputs) == 1 else torch.cat(inputs, dim=-1)
        is_init = tensordict.get("is_init")
        hidden = tensordict.get(self.hidden_state_name, None)
        self._check_batch(observation, hidden)
        if observation.ndim == 4:
            output, states = self._sequence(observation, is_init, hidden)
        else:
            output, states = self._step(observation, is_init, hidden)
        tensordict.set(self.out_key, output)
        if hidden is not None:
            tensordict.set(("next", *self.hidden_state_name), states)
        return tensordict

    def _sequence(
        self, observation: Tensor, is_init: Tensor, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Output and memories ``[B, T, n, ...]`` over observations ``[B, T, n, F]``."""
        # Steps come first in memory from here to the output: what the kernel likes, at
        # the price of one copy that needs no gradient.
        features = self.encoder(observation.transpose(0, 1).contiguous())
        if hidden is None:
            start = features.new_zeros(len(observation), *self.hidden_shape)
        else:
            start = hidden[:, 0]
        states = self.gru(features.transpose(0, 1), is_init, start)
        output = self.head(self._top(states).transpose(0, 1))
        return output.transpose(0, 1), states

    def _step(
        self, observation: Tensor, is_init: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Output and memory ``[*B, n, ...]`` after observations ``[*B, n, F]``."""
        features = self.encoder(observation)
        # A sequence of length 1, in a batch of 1 perhaps.
        states = self.gru(
            features.reshape(-1, 1, *features.shape[-2:]),
            is_init.reshape(-1, 1, 1),
            hidden.reshape(-1, *self.hidden_shape),
        ).reshape(hidden.shape)
        return self.head(self._top(states)), states

    def _top(self, states: Tensor) -> Tensor:
        """Memory of the last layer: a view, whose derivative fills no zeros for one."""
        return states.squeeze(-2) if self.n_layers == 1 else states[..., -1, :]

    def _check_batch(self, observation: Tensor, hidden: Tensor | None) -> None:
        shape = tuple(observation.shape)
        if hidden is None and len(shape) != 4:
            raise ValueError(
                f"fused_gru got observations of the shape {shape} and no "
                f"{self.hidden_state_name}: single steps need the memory before them, "
                "and sequences have the shape (batch, steps, agents, features)."
            )
        if hidden is not None and (
            len(shape) > 4 or hidden.shape != (*shape[:-1], *self.hidden_shape[1:])
        ):
            raise ValueError(
                f"fused_gru got observations of the shape {shape} and "
                f"{self.hidden_state_name} of the shape {tuple(hidden.shape)}: the "
                "former must be (agents, features) after at most a batch and a time "
                f"dimension, the latter {(*shape[:-1], *self.hidden_shape[1:])}."
            )


@dataclass
class FusedGruConfig(ModelConfig):
    """Options of ``FusedGru``; defaults are in ``model/layers/fused_gru.yaml``.

    Attributes:
        encoder_num_cells: units of the layers before the GRU; may be empty.
        hidden_size: units of each layer of the GRU, 1 to 16,384, as all others here.
        n_layers: layers of the GRU, at least 1.
        bias: whether the GRU's gates have biases.
        mlp_num_cells: units of the hidden layers after the GRU; may be empty.
        activation_class: class of the activation of encoder and head.

    Raises:
        TypeError: if an option has the wrong type.
        ValueError: if a number is out of bounds.
    """

    registry_name: ClassVar[str] = "fused_gru"

    encoder_num_cells: Sequence[int]
    hidden_size: int
    n_layers: int
    bias: bool
    mlp_num_cells: Sequence[int]
    activation_class: type[nn.Module]

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse an option that makes no model, in the constructor or in a script."""
        if name in _CHECKS:
            _CHECKS[name](name, value)
        super().__setattr__(name, value)

    def get_model(self, *args: Any, **kwargs: Any) -> Model:
        """Make the model of what the lists of units hold by now."""
        for name, check in _CHECKS.items():
            check(name, getattr(self, name))
        return super().get_model(*args, **kwargs)

    @staticmethod
    def associated_class() -> type[FusedGru]:
        """The model."""
        return FusedGru

    @property
    def is_rnn(self) -> bool:
        """Always True: BenchMARL keeps sequences whole and carries the memory."""
        return True

    def get_model_state_spec(self, model_index: int = 0) -> Composite:
        """The memory of an agent ``[L, H]``, to which BenchMARL adds batch and agents.

        Args:
            model_index (int): index of the model in a sequence of models.
        """
        memory = Unbounded(shape=(self.n_layers, self.hidden_size))
        return Composite({STATE_NAME.format(model_index): memory})

    @classmethod
    def get_from_yaml(cls, path: str | None = None) -> FusedGruConfig:
        """Load from ``path``, or from the plugin's ``model/layers/fused_gru.yaml``."""
        if path is None:
            path = str(config_path("model", "layers", cls.registry_name))
        return super().get_from_yaml(path)


def _check_cells(field: str, value: Any) -> None:
    """Refuse what is not a list of whole numbers above 0."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(
            f"{field}={value!r} is not allowed: it must be a list of integers >= 1, "
            "which may be empty."
        )
    for index, units in enumerate(value):
        check_size(f"{field}[{index}]", units)


def _check_activation(field: str, value: Any) -> None:
    """Refuse what is not a class of modules."""
    if not (isinstance(value, type) and issubclass(value, nn.Module)):
        raise TypeError(
            f"{field}={value!r} is not allowed: it must be a class of torch modules, "
            "as torch.nn.ReLU."
        )


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "encoder_num_cells": _check_cells,
    "hidden_size": check_size,
    "n_layers": check_size,
    "bias": check_flag,
    "mlp_num_cells": _check_cells,
    "activation_class": _check_activation,
}
