"""``burn_in=stored``: rows begin with the hidden state of their collection."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import Callback, Experiment
from small_tasks import SmallTask
from tensordict import TensorDictBase, unravel_key
from tiny_experiments import (
    Build,
    changed,
    experiment_builder,
    fitting,
    name_of,
    predator_prey,
    total_loss,
)
from torch import Tensor

from remix_plugin.algorithms.coma import ComaConfig
from remix_plugin.algorithms.qtran import QtranConfig
from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.models.fused_gru import FusedGru
from remix_plugin.objectives.unroll import unpack_rows
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

# Rows of 4 steps and episodes of 3: with 4 environments and 4 iterations there are ends
# within rows, and the last rows begin an episode. Predator-Prey ends at 6 steps.
TASKS: dict[str, Callable[[], TaskClass]] = {
    "small": SmallTask,
    "predator_prey": predator_prey,
}
build = pytest.fixture(experiment_builder)


def stored(experiment: Experiment, rows: TensorDictBase, network: str) -> Tensor | None:
    """Hidden states ``[rows, n, L, H]`` in replay, if there are any."""
    loss = experiment.losses["agents"]
    packed = rows.get(loss._agent_networks()[network], None)
    if packed is None:
        return None
    return unpack_rows(packed, getattr(loss, network).hidden_shape)


def replayed(experiment: Experiment) -> TensorDictBase:
    """All rows in replay."""
    return experiment.replay_buffers["agents"].storage[:]


class Driver(Callback):
    """Runs networks of the loss through what was collected, step by step.

    Keeps the hidden state at the start of each row, where a new episode begins with 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.starts: dict[str, list[Tensor]] = {}
        self._states: dict[str, Tensor] = {}

    @torch.no_grad()
    def on_batch_collected(self, batch: TensorDictBase) -> None:
        loss = self.experiment.losses["agents"]
        for name in loss._agent_networks():
            network = getattr(loss, name)
            if not isinstance(network, FusedGru):
                continue
            zero = torch.zeros(len(batch), *network.hidden_shape)
            state = self._states.get(name, zero)
            for t in range(batch.shape[1]):
                begins = batch["is_init"][:, t]
                state = state * ~begins.view(-1, 1, 1, 1)
                if t == 0:
                    self.starts.setdefault(name, []).append(state)
                taken = batch[:, t].copy()
                taken["agents", "joint_action"] = taken["agents", "action"]
                # What critics read is computed of observations.
                inputs = loss.state_network(taken)
                step = inputs.select(*network.observation_keys)
                step["is_init"] = begins
                step[network.hidden_state_name] = state
                with getattr(loss, f"{name}_params").to_module(network):
                    result = network(step)
                state = result[unravel_key(("next", network.hidden_state_name))]
            self._states[name] = state


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("config", ALGORITHM_CONFIGS, ids=name_of)
def test_rows_hold_the_states_of_all_recurrent_networks(
    config: type[AlgorithmConfig], task: str, build: Build
) -> None:
    driver = Driver()
    experiment = build(
        TASKS[task](),
        changed(config, burn_in="stored"),
        model=fitting(config, "fused_gru"),
        callbacks=(driver,),
        max_n_frames=48 if config.on_policy() else 64,
        lr=0.01,
        evaluation=True,
    )
    experiment.run()
    rows = replayed(experiment)
    # On policy only the last ones are kept.
    n_rows = 4 if config.on_policy() else 16
    assert rows.batch_size == (n_rows, 4)
    begins = rows["is_init"][:, 0].view(-1, 1, 1, 1)
    assert not begins[-12:].all()
    names = set(experiment.losses["agents"]._agent_networks())
    assert set(driver.starts) == names
    for name in names:
        found = stored(experiment, rows, name)
        expected = torch.cat(driver.starts[name])[-n_rows:]
        if not config.on_policy():
            assert (found[:4] == 0).all()
        # What a row that begins an episode holds is not read.
        torch.testing.assert_close(found * ~begins, expected)
        assert (expected[~begins.flatten()].flatten(1).norm(dim=-1) > 1e-3).all()


@pytest.mark.parametrize("task", TASKS)
def test_states_are_those_of_the_policy_that_collected(
    task: str, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = build(
        TASKS[task](),
        changed(OwqmixConfig, burn_in="stored"),
        model="fused_gru",
        max_n_frames=64,
        lr=0.01,
    )
    given: list[Tensor] = []
    forward = FusedGru._forward

    def spy(model: FusedGru, tensordict: TensorDictBase) -> TensorDictBase:
        # Single steps, not the sequences of the loss: the collector's.
        if tensordict.get(model.observation_keys[0]).ndim == 3:
            given.append(tensordict.get(model.hidden_state_name).clone())
        return forward(model, tensordict)

    monkeypatch.setattr(FusedGru, "_forward", spy)
    experiment.run()
    assert len(given) == 16
    rows = replayed(experiment)
    begins = rows["is_init"][:, 0].view(-1, 1, 1, 1)
    found = stored(experiment, rows, "local_value_network") * ~begins
    torch.testing.assert_close(found, torch.cat(given[::4]) * ~begins)
    assert found[4:].abs().max() > 1e-3


def test_states_take_little_memory(build: Build) -> None:
    experiment = build(
        SmallTask(), changed(OwqmixConfig, burn_in="stored"), model="fused_gru"
    )
    experiment.run()
    rows, keys = replayed(experiment), experiment.losses["agents"].tensor_keys
    for key in (keys.initial_state, keys.unrestricted_initial_state):
        # 2 agents, 2 layers, 3 units: 12 numbers in 4 steps.
        assert rows[key].shape == (12, 4, 3)
        assert unravel_key(("next", key)) not in rows.keys(True, True)


@pytest.mark.parametrize(
    ("config", "options", "model", "expected"),
    [
        (
            OwqmixConfig,
            {},
            "fused_gru",
            {"local_value_network", "unrestricted_value_network"},
        ),
        (OwqmixConfig, {}, "fused_gru_mlp", {"local_value_network"}),
        (QtranConfig, {}, "fused_gru_mlp", {"local_value_network"}),
        (QtranConfig, {"arch": "coma"}, "fused_gru", {"local_value_network"}),
        (TunedQmixConfig, {}, "fused_gru", {"local_value_network"}),
    ],
)
def test_networks_without_a_hidden_state_get_none(
    config: type[AlgorithmConfig],
    options: dict[str, str],
    model: str,
    expected: set[str],
    build: Build,
) -> None:
    algorithm = changed(config, burn_in="stored", **options)
    experiment = build(SmallTask(), algorithm, model=model)
    experiment.run()
    rows = replayed(experiment)
    names = experiment.losses["agents"]._agent_networks()
    assert {n for n in names if stored(experiment, rows, n) is not None} == expected
    written = [key for key in rows.keys(True, True) if "initial_state" in str(key)]
    assert len(written) == len(expected)


@pytest.mark.parametrize("model", ["fused_gru", "gru"])
def test_rows_that_start_from_zero_hold_no_state(model: str, build: Build) -> None:
    experiment = build(SmallTask(), changed(OwqmixConfig, burn_in="zero"), model=model)
    experiment.run()
    keys = replayed(experiment).keys(True, True)
    assert not [key for key in keys if "initial_state" in str(key)]


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS, ids=name_of)
def test_the_loss_reads_the_states(config: type[AlgorithmConfig], build: Build) -> None:
    experiment = build(
        SmallTask(),
        changed(config, burn_in="stored"),
        model=fitting(config, "fused_gru"),
    )
    experiment.run()
    loss = experiment.losses["agents"]
    rows = replayed(experiment)[-8:]
    assert not rows["is_init"][:, 0].any()
    if config is ComaConfig:
        loss.learn_for(3)
    value = total_loss(loss, rows.clone())
    for key in filter(None, loss._agent_networks().values()):
        forgetful = rows.clone()
        forgetful[key] = torch.zeros_like(rows[key])
        assert total_loss(loss, forgetful) != pytest.approx(value, rel=1e-6)


def test_each_group_has_states_of_its_own(build: Build) -> None:
    experiment = build(
        VmasTask.SIMPLE_TAG.get_from_yaml(),
        changed(OwqmixConfig, burn_in="stored"),
        model="fused_gru",
    )
    experiment.run()
    for group, n_agents in (("adversary", 3), ("agent", 1)):
        rows = experiment.replay_buffers[group].storage[:]
        written = [key for key in rows.keys(True, True) if "initial_state" in str(key)]
        keys = experiment.losses[group].tensor_keys
        assert set(written) == {keys.initial_state, keys.unrestricted_initial_state}
        for key in written:
            states = unpack_rows(rows[key], (n_agents, 2, 3))
            assert (states[:4] == 0).all()
            assert (states[4:].flatten(1).norm(dim=-1) > 0).all()
