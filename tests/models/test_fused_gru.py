"""The fused GRU as a model of BenchMARL: equal to BenchMARL's own, and in its runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarl.algorithms import QmixConfig
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.hydra_config import load_experiment_from_hydra
from benchmarl.models import GruConfig, MlpConfig
from benchmarl.models.common import Model, ModelConfig, SequenceModelConfig
from omegaconf import DictConfig
from tensordict import TensorDict
from torch import Tensor, nn
from torchrl.data import Composite, Unbounded

from remix_plugin.configs import config_path
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.models.fused_gru import FusedGru, FusedGruConfig

pytestmark = pytest.mark.slow

AGENTS, OUTPUTS, BATCH, STEPS = 3, 5, 4, 6
OBSERVATIONS = {"near": 4, "far": 2}
HIDDEN = ("agents", "_hidden_fused_gru_0")
OPTIONS: dict[str, Any] = {
    "encoder_num_cells": [7],
    "hidden_size": 8,
    "n_layers": 2,
    "bias": True,
    "mlp_num_cells": [6],
    "activation_class": nn.Tanh,
}
BUILD: dict[str, Any] = {
    "agent_group": "agents",
    "input_has_agent_dim": True,
    "n_agents": AGENTS,
    "centralised": False,
    "share_params": True,
    "device": "cpu",
    "action_spec": Composite(),
}


def group_spec(**shapes: tuple[int, ...]) -> Composite:
    leaves = {key: Unbounded(shape=shape) for key, shape in shapes.items()}
    return Composite({"agents": Composite(leaves, shape=(AGENTS,))})


def build(config: ModelConfig, **changes: Any) -> Model:
    torch.manual_seed(0)
    shapes = {key: (AGENTS, size) for key, size in OBSERVATIONS.items()}
    specs = {
        "input_spec": group_spec(**shapes),
        "output_spec": group_spec(action_value=(AGENTS, OUTPUTS)),
    }
    return config.get_model(**{**BUILD, **specs, **changes})


def fused(**options: Any) -> FusedGruConfig:
    return FusedGruConfig(**{**OPTIONS, **options})


def sequence(dtype: torch.dtype = torch.float32) -> TensorDict:
    """Observations of BATCH rows, some with episode ends inside."""
    torch.manual_seed(1)
    is_init = torch.zeros(BATCH, STEPS, 1, dtype=torch.bool)
    is_init[0, [0, 2, 3]] = True
    is_init[1, 5] = True
    observations = {
        key: torch.randn(BATCH, STEPS, AGENTS, size, dtype=dtype)
        for key, size in OBSERVATIONS.items()
    }
    agents = TensorDict(observations, (BATCH, STEPS, AGENTS))
    return TensorDict({"agents": agents, "is_init": is_init}, (BATCH, STEPS))


def step_by_step(model: Model, data: TensorDict, memory: Tensor) -> TensorDict:
    """What the model writes if it is called once a step."""
    name = model.hidden_state_name
    steps = []
    for step in data.unbind(1):
        step = model(step.clone().set(name, memory))
        memory = step[("next", *name)]
        steps.append(step)
    return torch.stack(steps, dim=1)


@pytest.mark.parametrize("share_params", [True, False])
@pytest.mark.parametrize("n_layers, bias", [(1, True), (2, True), (2, False)])
def test_equals_the_gru_of_benchmarl(
    n_layers: int, bias: bool, share_params: bool
) -> None:
    theirs_config = GruConfig(
        hidden_size=8,
        n_layers=n_layers,
        bias=bias,
        dropout=0,
        compile=False,
        mlp_num_cells=[6],
        mlp_layer_class=nn.Linear,
        mlp_activation_class=nn.Tanh,
    )
    theirs = build(theirs_config, share_params=share_params)
    config = fused(encoder_num_cells=[], n_layers=n_layers, bias=bias)
    ours = build(config, share_params=share_params)
    ours.head.load_state_dict(theirs.mlp.state_dict())
    params = theirs.gru.params.data
    with torch.no_grad():
        for agent, net in enumerate(ours.gru.nets):
            own = params if share_params else params[agent]
            for (layer, name), value in own["grus"].items(True, True):
                getattr(net, f"{name}_l{layer}").copy_(value)
    data = sequence()
    outputs = [m(data.clone())["agents", "action_value"] for m in (ours, theirs)]
    torch.testing.assert_close(*outputs, atol=1e-6, rtol=1e-5)
    # In collection, one step after the other.
    memory = torch.randn(BATCH, *ours.hidden_shape)
    single = [step_by_step(m, data, memory) for m in (ours, theirs)]
    outputs = [steps["agents", "action_value"] for steps in single]
    torch.testing.assert_close(*outputs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("share_params", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_sequence_equals_its_steps(share_params: bool, dtype: torch.dtype) -> None:
    model = build(fused(), share_params=share_params).to(dtype)
    data = sequence(dtype)
    memory = torch.randn(BATCH, *model.hidden_shape, dtype=dtype)
    expected = step_by_step(model, data, memory)
    # The first entry alone counts; the others are what a replay buffer may hold.
    start = memory.unsqueeze(1).expand(BATCH, STEPS, *model.hidden_shape)
    actual = model(data.clone().set(HIDDEN, start))
    for key in [("agents", "action_value"), ("next", *HIDDEN)]:
        assert actual[key].dtype == dtype
        torch.testing.assert_close(actual[key], expected[key])
    other = start.clone()
    other[:, 1:] = torch.nan
    again = model(data.clone().set(HIDDEN, other))
    assert torch.equal(again[("next", *HIDDEN)], actual[("next", *HIDDEN)])


def test_sequence_without_a_memory_begins_with_zeros() -> None:
    model = build(fused()).double()
    data = sequence(torch.float64)
    out = model(data.clone())
    assert "next" not in out.keys()
    expected = step_by_step(
        model, data, torch.zeros(BATCH, *model.hidden_shape).double()
    )
    key = ("agents", "action_value")
    assert out[key].shape == (BATCH, STEPS, AGENTS, OUTPUTS)
    torch.testing.assert_close(out[key], expected[key])


def test_a_step_without_batch() -> None:
    model = build(fused())
    data = sequence()[:, 0].set(HIDDEN, torch.randn(BATCH, *model.hidden_shape))
    batched = model(data.clone())
    alone = model(data[2].clone())
    for key in [("agents", "action_value"), ("next", *HIDDEN)]:
        assert alone[key].shape == batched[key][2].shape
        torch.testing.assert_close(alone[key], batched[key][2])


def test_layers_and_keys() -> None:
    model = build(fused())
    assert isinstance(model, FusedGru)
    keys = [("agents", "near"), ("agents", "far"), "is_init", HIDDEN]
    assert sorted(map(str, model.in_keys)) == sorted(map(str, keys))
    assert model.out_keys == [("agents", "action_value")]
    assert model.hidden_state_name == HIDDEN
    assert model.hidden_shape == (AGENTS, 2, 8)
    encoder = [type(m) for m in model.encoder.get_stateful_net()]
    head = [type(m) for m in model.head.get_stateful_net()]
    assert encoder == [nn.Linear, nn.Tanh]
    assert head == [nn.Linear, nn.Tanh, nn.Linear]
    assert build(fused(), model_index=2).hidden_state_name[1] == "_hidden_fused_gru_2"
    spec = fused().get_model_state_spec(2)["_hidden_fused_gru_2"]
    assert spec.shape == (2, 8)
    assert fused().is_rnn


def test_the_agent_of_pymarl() -> None:
    path = config_path("model", "layers", "gru_64")
    config = FusedGruConfig.get_from_yaml(str(path))
    model = build(config)
    inputs = sum(OBSERVATIONS.values())
    expected = (inputs + 1) * 64 + 3 * 64 * (64 + 64 + 2) + 65 * OUTPUTS
    assert sum(p.numel() for p in model.parameters()) == expected
    assert [type(m) for m in model.encoder.get_stateful_net()] == [nn.Linear, nn.ReLU]
    assert [type(m) for m in model.head.get_stateful_net()] == [nn.Linear]


@pytest.mark.parametrize("share_params", [True, False])
def test_parameters_can_be_swapped(share_params: bool) -> None:
    model = build(fused(), share_params=share_params)
    other = build(fused(), share_params=share_params)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    key = ("agents", "action_value")
    before, expected = model(sequence())[key], other(sequence())[key]
    params = TensorDict.from_module(other).data.clone().requires_grad_()
    with params.to_module(model):
        actual = model(sequence())[key]
    assert torch.equal(actual, expected)
    assert torch.equal(model(sequence())[key], before)
    actual.sum().backward()
    assert all(p.grad is not None for p in params.flatten_keys().values())
    assert all(p.grad is None for p in model.parameters())


def test_in_a_sequence_of_models() -> None:
    mlp = MlpConfig(num_cells=[6], layer_class=nn.Linear, activation_class=nn.ReLU)
    config = SequenceModelConfig([mlp, fused()], intermediate_sizes=[9])
    model = build(config)
    assert config.is_rnn
    (name,) = config.get_model_state_spec().keys()
    assert name == "_hidden_fused_gru_1"
    out = model(sequence())
    assert out["agents", "action_value"].shape == (BATCH, STEPS, AGENTS, OUTPUTS)
    step = sequence()[:, 0].set(("agents", name), torch.zeros(BATCH, AGENTS, 2, 8))
    assert model(step)["next", "agents", name].shape == (BATCH, AGENTS, 2, 8)


@pytest.mark.parametrize(
    "changes",
    [
        {"centralised": True},
        {
            "centralised": True,
            "input_has_agent_dim": False,
            "input_spec": Composite({"state": Unbounded(shape=(4,))}),
        },
    ],
    ids=["pooled agents", "global state"],
)
def test_centralized_model_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError, match="critic_model=layers/gru"):
        build(fused(), **changes)


@pytest.mark.parametrize("shape", [(AGENTS, 3, 5, 5), (AGENTS,)])
def test_observation_that_is_no_vector_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"'near'.* must be a vector"):
        build(fused(), input_spec=group_spec(near=shape))


def test_output_without_agents_is_refused() -> None:
    spec = Composite({"value": Unbounded(shape=(AGENTS + 1, 2))})
    with pytest.raises(ValueError, match=r"output 'value' .*must be the 3 agents"):
        build(fused(), output_spec=spec)


def test_step_without_a_memory_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no .*_hidden_fused_gru_0.*need the memory"):
        build(fused())(sequence()[:, 0])


def test_memory_of_another_shape_is_refused() -> None:
    memory = torch.zeros(BATCH, STEPS, AGENTS, 2, 9)
    with pytest.raises(ValueError, match=r"the latter \(4, 6, 3, 2, 8\)"):
        build(fused())(sequence().set(HIDDEN, memory))


@pytest.mark.parametrize(
    "error, field, value, allowed",
    [
        (TypeError, "encoder_num_cells", 64, "a list of integers >= 1"),
        (TypeError, "mlp_num_cells", "64", "a list of integers >= 1"),
        (TypeError, "mlp_num_cells", [64.0], "an integer >= 1"),
        (ValueError, "encoder_num_cells", [8, 0], "an integer >= 1"),
        (ValueError, "hidden_size", 0, "an integer >= 1"),
        (ValueError, "hidden_size", 10**9, "an integer >= 1 and <= 16384"),
        (TypeError, "hidden_size", 1.5, "an integer >= 1"),
        (ValueError, "n_layers", 0, "an integer >= 1"),
        (TypeError, "n_layers", True, "an integer >= 1"),
        (TypeError, "bias", 1, "true or false"),
        (TypeError, "activation_class", "torch.nn.ReLU", "a class of torch modules"),
        (TypeError, "activation_class", torch.relu, "a class of torch modules"),
    ],
)
def test_bad_option_is_refused(
    error: type[Exception], field: str, value: Any, allowed: str
) -> None:
    with pytest.raises(error, match=rf"^{field}\S*=.* not allowed.*{allowed}"):
        fused(**{field: value})
    # As a script may change it later.
    config = fused()
    with pytest.raises(error, match=rf"^{field}\S*=.* not allowed.*{allowed}"):
        setattr(config, field, value)
    assert config == fused()


def test_list_of_units_that_a_script_changes_is_refused(
    tiny_experiment: ExperimentConfig, save_folder: Path
) -> None:
    model = fused()
    model.mlp_num_cells.append(0)
    with pytest.raises(ValueError, match=r"^mlp_num_cells\[1\]=0 is not allowed"):
        Experiment(
            task=PredatorPreyTask.PUNISH_2.get_from_yaml(),
            algorithm_config=QmixConfig.get_from_yaml(),
            model_config=model,
            seed=0,
            config=tiny_experiment,
        )


Build = Callable[..., Experiment]

SMALL_TASK = (
    "task=predator_prey/punish_2",
    "task.grid_height=4",
    "task.grid_width=4",
    "task.n_predators=3",
    "task.n_prey=2",
    "task.window_size=3",
    "task.max_steps=6",
)
SMALL_MODEL = ("model.hidden_size=8", "model.mlp_num_cells=[8]")


@pytest.fixture
def experiment(
    compose_benchmarl: Callable[..., DictConfig], tiny_experiment: ExperimentConfig
) -> Build:
    """A tiny experiment with the fused GRU, as BenchMARL's ``run.py`` builds it."""

    def build_experiment(*overrides: str, **settings: Any) -> Experiment:
        model = "model=layers/fused_gru"
        cfg = compose_benchmarl(model, *SMALL_TASK, *SMALL_MODEL, *overrides)
        cfg.experiment = dataclasses.replace(tiny_experiment, **settings)
        return load_experiment_from_hydra(cfg, cfg.hydra.runtime.choices.task)

    return build_experiment


def parameters(experiment: Experiment) -> dict[str, Tensor]:
    policy = experiment.group_policies["agents"]
    return {name: p.detach().clone() for name, p in policy.named_parameters()}


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("algorithm", ["qmix", "vdn", "iql"])
def test_trains_off_policy(experiment: Build, algorithm: str, share: bool) -> None:
    run = experiment(f"algorithm={algorithm}", share_policy_params=share)
    before = parameters(run)
    run.run()
    after = parameters(run)
    assert len(before) > 4
    for name, value in after.items():
        assert value.isfinite().all()
        assert not torch.equal(value, before[name]), name


def test_trains_on_policy_with_another_critic(experiment: Build) -> None:
    run = experiment(
        "algorithm=ippo",
        "model@critic_model=layers/mlp",
        on_policy_collected_frames_per_batch=16,
        on_policy_n_envs_per_worker=4,
        on_policy_n_minibatch_iters=1,
        on_policy_minibatch_size=8,
    )
    before = parameters(run)
    run.run()
    after = parameters(run)
    assert all(value.isfinite().all() for value in after.values())
    assert any(not torch.equal(after[name], before[name]) for name in before)


def test_checkpoint_is_reloaded(experiment: Build) -> None:
    settings = {"checkpoint_at_end": True, "evaluation": True, "create_json": True}
    run = experiment("algorithm=qmix", **settings)
    run.run()
    (path,) = Path(run.folder_name, "checkpoints").glob("*.pt")
    again = Experiment.reload_from_file(str(path))
    for name, value in parameters(run).items():
        assert torch.equal(parameters(again)[name], value)
    assert isinstance(again.model_config, FusedGruConfig)
    again.close()
