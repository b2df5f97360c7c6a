"""Small whole experiments: what they replay."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from benchmarl.algorithms.common import AlgorithmConfig
from tiny_experiments import (
    Build,
    changed,
    check_run,
    experiment_builder,
    name_of,
    predator_prey,
)
from torchrl.data.replay_buffers import RandomSampler

from remix_plugin.algorithms.qtran import QtranConfig
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.data.samplers import RecentSampler
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

# Every algorithm with transitions, and one with rows.
PRIORITIZED = [
    *(
        pytest.param(config, "mlp", id=name_of(config))
        for config in ALGORITHM_CONFIGS
        if not config.on_policy()
    ),
    pytest.param(OwqmixConfig, "gru", id="owqmix-gru"),
]


build = pytest.fixture(experiment_builder)


@pytest.mark.parametrize(("config", "model"), PRIORITIZED)
def test_prioritized_replay_follows_the_td_error(
    config: type[AlgorithmConfig], model: str, build: Build
) -> None:
    options = {"recent_fraction": 0.0, "n_steps": 1, "td_lambda": 0.0}
    own = {k: v for k, v in options.items() if k in vars(config.get_from_yaml())}
    experiment = build(
        predator_prey(),
        changed(config, **own),
        model=model,
        off_policy_use_prioritized_replay_buffer=True,
        off_policy_prb_alpha=1.0,
    )
    check_run(experiment, {"agents"})
    buffer = experiment.replay_buffers["agents"]
    tree = buffer.sampler._sum_tree
    priorities = torch.tensor([float(tree[i]) for i in range(len(buffer))])
    assert priorities.unique().numel() > 3

    # The priority is the error that the loss wrote: of a sequence, its largest.
    data = buffer.sample(8)
    experiment.losses["agents"](data)
    buffer.update_tensordict_priority(data)
    index = data["index"] if model == "mlp" else data["index"][:, 0]
    error = data["agents", "td_error"].flatten(1).amax(-1)
    for i in index.unique().tolist():
        # A row drawn twice keeps one of its errors, which differ if targets are drawn.
        written = error[index == i]
        stored = torch.full_like(written, float(tree[i]))
        assert torch.isclose(stored, written, rtol=1e-4, atol=1e-5).any()


@pytest.mark.parametrize("model", ["mlp", "gru"])
def test_a_large_error_is_drawn_far_more_often(model: str, build: Build) -> None:
    experiment = build(
        predator_prey(),
        OwqmixConfig.get_from_yaml(),
        model=model,
        off_policy_use_prioritized_replay_buffer=True,
    )
    experiment.run()
    buffer = experiment.replay_buffers["agents"]
    buffer.update_priority(torch.arange(len(buffer)), torch.full((len(buffer),), 0.1))
    data = buffer.sample(1)
    chosen = int(data["index"].flatten()[0])
    data["agents", "td_error"] = torch.full((*data["agents"].shape, 1), 1000.0)
    buffer.update_tensordict_priority(data)
    drawn = torch.cat([buffer.sample()["index"].flatten() for _ in range(20)])
    share = (drawn == chosen).float().mean()
    # Uniform draws would give one in 48 transitions, or one in 12 rows.
    assert share > 0.6


@pytest.mark.parametrize("config", [OwqmixConfig, TunedQmixConfig, QtranConfig])
def test_importance_weights_reach_the_loss(
    config: type[AlgorithmConfig], build: Build
) -> None:
    experiment = build(
        predator_prey(),
        config.get_from_yaml(),
        off_policy_use_prioritized_replay_buffer=True,
    )
    experiment.run()
    data = experiment.replay_buffers["agents"].sample()
    loss = experiment.losses["agents"]
    assert not torch.equal(data["priority_weight"], torch.ones(16))
    weighted, plain = loss(data.clone()), loss(data.exclude("priority_weight"))
    parts = {"loss_unrestricted", "loss_td", "loss_opt"} & set(weighted.keys())
    assert parts
    for part in parts:
        assert not torch.isclose(weighted[part], plain[part])


def test_replay_keeps_grids_in_bytes(build: Build) -> None:
    experiment = build(predator_prey(), RemixConfig.get_from_yaml())
    experiment.run()
    buffer = experiment.replay_buffers["agents"]
    stored, sampled = buffer.storage[:], buffer.sample()
    for key in [("agents", "observation"), "state"]:
        key = key if isinstance(key, tuple) else (key,)
        for where in (key, ("next", *key)):
            assert stored[where].dtype == torch.uint8
            assert set(stored[where].unique().tolist()) == {0, 1}
            assert sampled[where].dtype == torch.float32
            index = sampled["index"]
            assert torch.equal(sampled[where], stored[where][index].float())
    keys = set(stored.keys(True, True))
    assert ("agents", "action_value") not in keys
    assert ("next", "info", "prey_caught") not in keys


@pytest.mark.parametrize(("model", "rows"), [("mlp", 32), ("gru", 8)])
def test_recent_data_is_counted_in_whole_collected_batches(
    model: str, rows: int, build: Build
) -> None:
    # 20 frames are more than one collected batch of 16, so two count as recent.
    algorithm = changed(RemixConfig, recent_fraction=0.5, recent_size=20)
    experiment = build(predator_prey(), algorithm, model=model)
    sampler = experiment.replay_buffers["agents"].sampler
    assert isinstance(sampler, RecentSampler)
    assert sampler.recent_fraction == 0.5
    assert sampler.recent_size == rows
    experiment.close()


def test_batches_that_do_not_divide_evenly_are_rounded_up(build: Build) -> None:
    # 18 frames in 4 environments are 5 steps of each, 20 frames in all.
    algorithm = changed(RemixConfig, recent_fraction=0.5, recent_size=20)
    experiment = build(
        predator_prey(),
        algorithm,
        off_policy_collected_frames_per_batch=18,
        max_n_frames=18,
    )
    assert experiment.replay_buffers["agents"].sampler.recent_size == 20
    experiment.run()
    assert len(experiment.replay_buffers["agents"]) == 20


@pytest.mark.parametrize(("model", "newest"), [("mlp", 16), ("gru", 4)])
def test_recent_draws_come_from_the_last_collected_batch(
    model: str, newest: int, build: Build
) -> None:
    # Five batches in a buffer for four: the last lies at its start.
    algorithm = changed(RemixConfig, recent_fraction=1.0, recent_size=16)
    experiment = build(predator_prey(), algorithm, model=model, max_n_frames=80)
    experiment.run()
    buffer = experiment.replay_buffers["agents"]
    assert len(buffer) == 4 * newest
    drawn = torch.cat([buffer.sample()["index"].flatten() for _ in range(20)])
    assert set(drawn.unique().tolist()) == set(range(newest))


@pytest.mark.parametrize(
    "options",
    [{"recent_fraction": 0.0}, {"terms": ["bellman_error", "mixer_gradient"]}],
    ids=["no_fraction", "no_term"],
)
def test_recent_data_is_not_drawn_unless_asked_for(
    options: dict[str, Any], build: Build
) -> None:
    experiment = build(predator_prey(), changed(RemixConfig, **options))
    assert type(experiment.replay_buffers["agents"].sampler) is RandomSampler
    experiment.close()


def test_recent_data_that_fills_the_buffer_is_warned_of(build: Build) -> None:
    algorithm = changed(RemixConfig, recent_size=64)
    with pytest.warns(UserWarning, match=r"recent_size=64 reaches .*memory_size=64"):
        build(predator_prey(), algorithm).close()


def test_replay_on_disk_works(build: Build) -> None:
    experiment = build(
        predator_prey(), RemixConfig.get_from_yaml(), buffer_device="disk"
    )
    check_run(experiment, {"agents"})
