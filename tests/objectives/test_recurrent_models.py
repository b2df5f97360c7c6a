"""The losses with BenchMARL's and this plugin's recurrent models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from benchmarl.models import GruConfig
from benchmarl.models.common import Model, ModelConfig
from loss_batches import (
    GAMMA,
    N_ACTIONS,
    N_FEATURES,
    OBSERVATION,
    make_batch,
    set_targets,
    state_network,
    state_size,
)
from tensordict import NestedKey, TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.data import Composite, Unbounded
from torchrl.modules import VDNMixer
from torchrl.objectives import ValueEstimators

from remix_plugin.models.fused_gru import FusedGruConfig
from remix_plugin.modules.mixers import UnrestrictedMixer
from remix_plugin.objectives.unroll import pack_rows
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss
from remix_plugin.weighting.wqmix import CentralWeighting

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

AGENTS, HIDDEN = 2, 4
SHARED: dict[str, Any] = {"hidden_size": HIDDEN, "n_layers": 2, "bias": True}
CONFIGS: dict[str, ModelConfig] = {
    "gru": GruConfig(
        **SHARED,
        dropout=0.0,
        compile=False,
        mlp_num_cells=[5],
        mlp_activation_class=nn.Tanh,
        mlp_layer_class=nn.Linear,
        mlp_norm_class=None,
        mlp_norm_kwargs=None,
    ),
    "fused_gru": FusedGruConfig(
        **SHARED,
        encoder_num_cells=[5],
        mlp_num_cells=[5],
        activation_class=nn.Tanh,
    ),
}
NAMES = ("local_value_network", "unrestricted_value_network")
KEYS: dict[str, NestedKey] = {
    "local_value_network": ("agents", "action_value"),
    "unrestricted_value_network": ("agents", "unrestricted_action_value"),
}


def build(config: ModelConfig, name: str, share_params: bool) -> Model:
    def spec(name: str, size: int) -> Composite:
        leaf = Composite({name: Unbounded((AGENTS, size))}, shape=(AGENTS,))
        return Composite({"agents": leaf})

    return config.get_model(
        input_spec=spec("observation", N_FEATURES),
        output_spec=spec(name, N_ACTIONS),
        agent_group="agents",
        input_has_agent_dim=True,
        n_agents=AGENTS,
        centralised=False,
        share_params=share_params,
        device="cpu",
        action_spec=Composite(),
    )


def make_loss(model: str, share_params: bool = True) -> WeightedProjectionLoss:
    torch.manual_seed(0)
    config = CONFIGS[model]
    unrestricted_mixer = UnrestrictedMixer(
        state_shape=torch.Size((state_size(AGENTS),)),
        embed_dim=3,
        n_agents=AGENTS,
        device="cpu",
    )
    loss = WeightedProjectionLoss(
        build(config, "action_value", share_params),
        TensorDictModule(
            VDNMixer(n_agents=AGENTS, device="cpu"),
            [("agents", "chosen_action_value")],
            ["chosen_action_value"],
        ),
        build(config, "unrestricted_action_value", share_params),
        TensorDictModule(
            unrestricted_mixer,
            [("agents", "unrestricted_chosen_value"), "mixer_state"],
            ["unrestricted_chosen_value"],
        ),
        CentralWeighting(0.1),
        state_network=state_network(),
        sequential=True,
        double_q=False,
    )
    loss.make_value_estimator(ValueEstimators.TDLambda, gamma=GAMMA, lmbda=0.5)
    set_targets(loss)
    return loss


def rows(*, stored: bool = False, n_rows: int = 3, steps: int = 6) -> TensorDict:
    td = make_batch(n_rows, steps, n_agents=AGENTS, recurrent=True, seed=7)
    assert td["next", "done"][:, :-1].any()
    if stored:
        for key in ("initial_state", "unrestricted_initial_state"):
            state = torch.randn(n_rows, AGENTS, SHARED["n_layers"], HIDDEN)
            td[key] = pack_rows(state, steps)
    return td


def step_by_step(
    loss: WeightedProjectionLoss, name: str, target: bool, td: TensorDict
) -> tuple[Tensor, Tensor]:
    """Values at and after each step, the model called as in collection."""
    network, hidden = getattr(loss, name), getattr(loss, name).hidden_state_name
    key = "initial_state" if name == NAMES[0] else "unrestricted_initial_state"
    now, after = [], []
    for row in td.unbind(0):
        memory = torch.zeros(AGENTS, SHARED["n_layers"], HIDDEN)
        if key in row.keys():
            memory = row[key].flatten()[: memory.numel()].view(memory.shape)
        for step in row.unbind(0):
            value, memory = call(loss, name, target, step, memory, step["is_init"])
            now.append(value)
            following = step["next"]
            stays = torch.zeros(1, dtype=torch.bool)
            value, _ = call(loss, name, target, following, memory, stays)
            after.append(value)
        assert hidden in network.in_keys
    shape = (*td.shape, AGENTS, N_ACTIONS)
    return torch.stack(now).view(shape), torch.stack(after).view(shape)


@torch.no_grad()
def call(
    loss: WeightedProjectionLoss,
    name: str,
    target: bool,
    seen: TensorDict,
    memory: Tensor,
    is_init: Tensor,
) -> tuple[Tensor, Tensor]:
    """One step of the model: its values, and its memory."""
    hidden = getattr(loss, name).hidden_state_name
    inputs = TensorDict({}, batch_size=[1])
    inputs[OBSERVATION] = seen[OBSERVATION].unsqueeze(0)
    inputs[hidden] = memory.unsqueeze(0)
    inputs["is_init"] = is_init.unsqueeze(0)
    result = loss._run(name, inputs, target)
    return result[KEYS[name]][0], result[("next", *hidden)][0]


@pytest.mark.parametrize("model", CONFIGS)
@pytest.mark.parametrize("share_params", [True, False])
@pytest.mark.parametrize("stored", [False, True])
def test_values_equal_those_of_single_steps(
    model: str, share_params: bool, stored: bool
) -> None:
    if stored and model == "gru":
        pytest.skip("BenchMARL's model starts sequences from zero")
    loss, td = make_loss(model, share_params), rows(stored=stored)
    passes = loss._passes(td)
    for name, key in KEYS.items():
        for target in (False, True):
            now, after = step_by_step(loss, name, target, td)
            actual = passes.now(name, key, target=target)
            torch.testing.assert_close(actual, now, rtol=0, atol=1e-5)
            actual = passes.after(name, key, target=target)
            torch.testing.assert_close(actual, after, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", CONFIGS)
@pytest.mark.parametrize("share_params", [True, False])
def test_a_loss_trains_every_parameter(model: str, share_params: bool) -> None:
    loss, td = make_loss(model, share_params), rows()
    before = td.clone()
    loss(td)["loss"].backward()
    for parameter in loss.parameters():
        assert parameter.grad.isfinite().all()
    for name in NAMES:
        entries = getattr(loss, f"{name}_params").values(True, True)
        assert all((parameter.grad != 0).any() for parameter in entries)
    left = td.exclude("projection_weight", ("agents", "td_error"))
    assert (left == before).all()


@pytest.mark.parametrize("model", CONFIGS)
def test_transitions_in_any_order_are_refused(model: str) -> None:
    loss = make_loss(model)
    loss.sequential = False
    with pytest.raises(ValueError, match="recurrent networks need rows of steps"):
        loss(rows())


def test_chained_rows_equal_one_long_row() -> None:
    loss, td = make_loss("fused_gru"), rows(steps=6)
    first, second = td[:, :2], td[:, 2:].clone()
    _, after = loss.hidden_states(first, {})
    starts, _ = loss.hidden_states(second, after)
    for key, state in starts.items():
        second[key] = pack_rows(state, second.shape[1])
    for name, key in KEYS.items():
        expected = loss._passes(td).after(name, key)[:, 2:]
        actual = loss._passes(second).after(name, key)
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)


def test_a_model_that_starts_from_zero_has_no_states_to_store() -> None:
    # It has a hidden_state_name, but no hidden_shape.
    assert make_loss("gru").hidden_states(rows(), {}) == ({}, {})
