"""Small whole experiments: checkpoints hold all of a run, and runs go on from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import Callback, Experiment
from small_tasks import SmallTask, parameters
from tensordict import TensorDictBase
from tiny_experiments import (
    NETWORKS,
    STEPS,
    Build,
    by_network,
    changed,
    epsilons,
    experiment_builder,
    fitting,
    frames_in_replay,
    name_of,
    predator_prey,
)

from remix_plugin.algorithms.burn_in import STATE_KEY, StoredStates
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.objectives.unroll import pack_rows
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

MODELS = ("mlp", "gru", "fused_gru")
# Every algorithm with one model, and every model with two algorithms or three.
WITH_MODELS = [
    pytest.param(config, MODELS[i % 3], id=f"{name_of(config)}-{MODELS[i % 3]}")
    for i, config in enumerate(ALGORITHM_CONFIGS)
]
build = pytest.fixture(experiment_builder)


def reload(experiment: Experiment, frames: int, **patch: Any) -> Experiment:
    """The experiment again, from its checkpoint after so many frames."""
    path = experiment.folder_name / "checkpoints" / f"checkpoint_{frames}.pt"
    return Experiment.reload_from_file(
        str(path), experiment_patch={"restore_map_location": "cpu", **patch}
    )


def check_same_networks(experiment: Experiment, again: Experiment) -> None:
    """All parameters are equal, those of copies included."""
    for group, loss in experiment.losses.items():
        for is_target in (False, True):
            old = parameters(loss, target=is_target)
            new = parameters(again.losses[group], target=is_target)
            assert (
                set(by_network(old)) == NETWORKS[experiment.algorithm_name][is_target]
            )
            assert set(old) == set(new)
            assert all(torch.equal(old[name], new[name]) for name in old)


class Keeper(Callback):
    """Keeps the episodes of an evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.rollouts: list[TensorDictBase] = []

    def on_evaluation_end(self, rollouts: list[TensorDictBase]) -> None:
        self.rollouts = rollouts


def evaluated(experiment: Experiment) -> list[TensorDictBase]:
    """The episodes of one evaluation, which ``evaluation_static`` seeds."""
    keeper = Keeper()
    keeper.experiment = experiment
    experiment.callbacks = [*experiment.callbacks, keeper]
    experiment.evaluate()
    return keeper.rollouts


@pytest.mark.parametrize(("config", "model"), WITH_MODELS)
def test_run_is_saved_evaluated_and_resumed(
    config: type[AlgorithmConfig], model: str, build: Build
) -> None:
    # No state, two groups, one of which is a single agent.
    task = VmasTask.SIMPLE_TAG.get_from_yaml()
    task.config["max_steps"] = 5
    experiment = build(
        task,
        config.get_from_yaml(),
        model=fitting(config, model),
        max_n_frames=32,
        checkpoint_at_end=True,
        evaluation_static=True,
        share_policy_params=False,
    )
    experiment.run()
    again = reload(experiment, 32, max_n_frames=64)
    check_same_networks(experiment, again)
    for one, same in zip(evaluated(experiment), evaluated(again), strict=True):
        for group in experiment.group_map:
            assert torch.equal(one[group, "action"], same[group, "action"])
            reward = ("next", group, "reward")
            torch.testing.assert_close(one[reward], same[reward])
    for group, buffer in experiment.replay_buffers.items():
        restored = again.replay_buffers[group]
        assert len(restored) == len(buffer)
        assert (restored.storage[:] == buffer.storage[:]).all()
    again.run()
    assert (again.total_frames, again.n_iters_performed) == (64, 4)
    for group, loss in again.losses.items():
        steps = STEPS if again.algorithm.has_rnn else 1
        assert len(again.replay_buffers[group]) == frames_in_replay(again) // steps
        new = by_network(parameters(loss, target=False))
        old = by_network(parameters(experiment.losses[group], target=False))
        for network, values in old.items():
            assert any(
                not torch.equal(value, new[network][name])
                for name, value in values.items()
            )


@pytest.mark.parametrize(
    ("task", "episodes_go_on"),
    [(SmallTask, False), (predator_prey, True)],
    ids=["small", "predator_prey"],
)
def test_stored_states_go_on_after_a_reload(
    task: Callable[[], TaskClass], episodes_go_on: bool, build: Build
) -> None:
    # They used to begin with zero, and episodes anew. Where an environment does not
    # tell its state they still do, and the state is for is_init to reset.
    experiment = build(
        task(),
        changed(OwqmixConfig, burn_in="stored"),
        model="fused_gru",
        max_n_frames=32,
        checkpoint_at_end=True,
    )
    experiment.run()
    before = stored_states(experiment)
    again = reload(experiment, 32, max_n_frames=64)
    after = stored_states(again)
    assert list(before) == ["local_value_network", "unrestricted_value_network"]
    assert all(torch.equal(before[name], after[name]) for name in before)
    again.run()
    rows = again.replay_buffers["agents"].storage[:]
    begins = rows["is_init"][8:12, 0, 0]
    assert begins.tolist() == [not episodes_go_on] * 4
    keys = again.losses["agents"].tensor_keys
    for key, state in zip(
        (keys.initial_state, keys.unrestricted_initial_state),
        before.values(),
        strict=True,
    ):
        packed = rows[key].reshape(16, -1)
        assert torch.equal(packed[8:12], pack_rows(state, STEPS).reshape(4, -1))
        is_zero = (packed == 0).all(1).view(4, 4).all(1)
        assert is_zero.tolist() == [True, False, False, False]


def stored_states(experiment: Experiment) -> dict[str, torch.Tensor]:
    """Hidden states at the ends of the last rows, by network."""
    (callback,) = [c for c in experiment.callbacks if isinstance(c, StoredStates)]
    kept: dict[str, Any] = {}
    callback.on_state_dict(kept)
    return kept[STATE_KEY]["agents"]


@pytest.mark.parametrize("model", ["mlp", "gru"])
@pytest.mark.parametrize("with_buffer", [True, False], ids=["buffer", "no_buffer"])
def test_checkpoint_is_reloaded_and_continued(
    with_buffer: bool, model: str, build: Build
) -> None:
    algorithm = changed(RemixConfig, recent_fraction=0.5, recent_size=16)
    experiment = build(
        predator_prey(),
        algorithm,
        model=model,
        max_n_frames=32,
        exploration_anneal_frames=64,
        checkpoint_at_end=True,
        exclude_buffer_from_checkpoint=not with_buffer,
    )
    experiment.run()
    again = reload(experiment, 32, max_n_frames=64)
    assert again.folder_name == experiment.folder_name
    assert again.total_frames == 32
    assert again.n_iters_performed == 2
    assert again.algorithm_config == algorithm
    check_same_networks(experiment, again)
    buffer, old_buffer = (e.replay_buffers["agents"] for e in (again, experiment))
    if with_buffer:
        assert len(buffer) == len(old_buffer)
        assert (buffer.storage[:] == old_buffer.storage[:]).all()
        assert buffer.sampler.state_dict() == old_buffer.sampler.state_dict()
        assert buffer.sampler.state_dict()["last_written"] == len(buffer) - 1
    else:
        assert len(buffer) == 0
    again.run()
    assert again.total_frames == 64
    assert again.n_iters_performed == 4
    rows = (64 if with_buffer else 32) // (1 if model == "mlp" else STEPS)
    assert len(buffer) == rows


def test_exploration_continues_after_a_reload(build: Build) -> None:
    experiment = build(
        predator_prey(),
        RemixConfig.get_from_yaml(),
        max_n_frames=32,
        exploration_anneal_frames=64,
        checkpoint_at_end=True,
    )
    experiment.run()
    (half,) = epsilons(experiment)
    assert half == pytest.approx(1.0 - 0.95 / 2, rel=1e-4)
    again = reload(experiment, 32, max_n_frames=48)
    assert epsilons(again) == pytest.approx([half])
    again.run()
    assert epsilons(again) == pytest.approx([1.0 - 0.95 * 3 / 4], rel=1e-4)
