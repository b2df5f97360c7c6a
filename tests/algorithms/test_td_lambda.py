"""With ``td_lambda`` replay holds rows of steps, and targets look further ahead."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from benchmarl.algorithms import EnsembleAlgorithmConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import VmasTask
from benchmarl.experiment import Callback
from small_tasks import SmallTask
from tensordict import TensorDictBase
from tiny_experiments import (
    Build,
    changed,
    check_run,
    experiment_builder,
    fitting,
    name_of,
    predator_prey,
    total_loss,
)
from torchrl.objectives import ValueEstimators

from remix_plugin.algorithms.dop import DopConfig
from remix_plugin.algorithms.qtran import QtranConfig
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.data.prioritized import PrioritizedSampler
from remix_plugin.data.samplers import RecentSampler
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

OFF_POLICY = [config for config in ALGORITHM_CONFIGS if not config.on_policy()]
# What else needs rows
ONE_STEP = {DopConfig: {"n_steps": 1}}
MODELS = ("gru", "gru_mlp", "fused_gru")
WITH_MODELS = [
    pytest.param(config, MODELS[i % 3], id=f"{name_of(config)}-{MODELS[i % 3]}")
    for i, config in enumerate(OFF_POLICY)
]
build = pytest.fixture(experiment_builder)


class Shapes(Callback):
    """Keeps the shapes of the batches that updates were made with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.Size] = set()

    def on_train_step(self, batch: TensorDictBase, group: str) -> None:
        self.seen.add(batch.batch_size)


def check_rows(rows: TensorDictBase) -> None:
    """Each step begins with what the step before observed last, unless it was done."""
    followed = rows["next", "agents", "position"][:, :-1]
    goes_on = ~rows["next", "done"][:, :-1, 0]
    assert goes_on.any()
    assert not goes_on.all()
    began = rows["agents", "position"][:, 1:]
    assert torch.equal(followed[goes_on], began[goes_on])
    assert not torch.equal(followed[~goes_on], began[~goes_on])


@pytest.mark.parametrize("config", OFF_POLICY)
def test_memoryless_models_learn_from_rows(
    config: type[AlgorithmConfig], build: Build
) -> None:
    # 18 frames in 4 environments are 5 steps of each: of 64 frames and of 16 remain
    # 13 and 4 rows, rounded up.
    shapes = Shapes()
    experiment = build(
        SmallTask(),
        changed(config, td_lambda=0.6),
        callbacks=(shapes,),
        off_policy_collected_frames_per_batch=18,
        max_n_frames=54,
    )
    loss = experiment.losses["agents"]
    assert loss.sequential
    assert loss.value_type is ValueEstimators.TDLambda
    assert float(loss.value_estimator.lmbda) == pytest.approx(0.6)
    assert float(loss.value_estimator.gamma) == pytest.approx(experiment.config.gamma)
    check_run(experiment, {"agents"})
    buffer = experiment.replay_buffers["agents"]
    assert buffer.storage.max_size == 13
    rows = buffer.storage[:]
    assert rows.batch_size == (12, 5)
    check_rows(rows)
    assert shapes.seen == {(4, 5)}


@pytest.mark.parametrize(("config", "model"), WITH_MODELS)
@pytest.mark.parametrize("task", ["small", "simple_tag"])
def test_recurrent_models_learn_from_longer_returns(
    config: type[AlgorithmConfig], model: str, task: str, build: Build
) -> None:
    tasks = {"small": SmallTask, "simple_tag": VmasTask.SIMPLE_TAG.get_from_yaml}
    burn_in = "stored" if model == "fused_gru" else "zero"
    experiment = build(
        tasks[task](),
        changed(config, td_lambda=0.6, burn_in=burn_in),
        model=fitting(config, model),
    )
    groups = set(experiment.group_map)
    check_run(experiment, groups)
    for group in groups:
        assert experiment.losses[group].value_type is ValueEstimators.TDLambda
        assert experiment.replay_buffers[group].storage[:].batch_size == (12, 4)


@pytest.mark.parametrize("config", OFF_POLICY)
def test_short_returns_make_rows_the_same_as_transitions(
    config: type[AlgorithmConfig], build: Build
) -> None:
    def loss_with(td_lambda: float, state: Any, batch: TensorDictBase) -> float:
        experiment = build(
            SmallTask(), changed(config, td_lambda=td_lambda, **one_step)
        )
        loss = experiment.losses["agents"]
        loss.load_state_dict(state, strict=False)
        experiment.close()
        return total_loss(loss, batch)

    one_step = ONE_STEP.get(config, {})
    trained = build(SmallTask(), changed(config, td_lambda=0.6, **one_step))
    trained.run()
    rows = trained.replay_buffers["agents"].sample()
    # The parameters, without lambda itself.
    state = trained.losses["agents"].state_dict()
    learnt = ("_params.", "alpha")
    state = {k: v for k, v in state.items() if any(name in k for name in learnt)}
    short = loss_with(0.0, state, rows.reshape(-1))
    assert loss_with(1e-6, state, rows.clone()) == pytest.approx(short, rel=1e-5)
    longer = loss_with(0.6, state, rows.clone())
    assert longer != pytest.approx(short, rel=1e-4)
    assert longer == pytest.approx(total_loss(trained.losses["agents"], rows))


@pytest.mark.parametrize("config", OFF_POLICY)
def test_one_step_targets_keep_transitions(
    config: type[AlgorithmConfig], build: Build
) -> None:
    one_step = ONE_STEP.get(config, {})
    experiment = build(SmallTask(), changed(config, td_lambda=0.0, **one_step))
    assert not experiment.losses["agents"].sequential
    assert experiment.losses["agents"].value_type is ValueEstimators.TD0
    check_run(experiment, {"agents"})
    assert experiment.replay_buffers["agents"].storage[:].batch_size == (48,)


@pytest.mark.parametrize("config", [TunedQmixConfig, QtranConfig])
def test_recurrent_critic_that_is_not_used_changes_nothing(
    config: type[AlgorithmConfig], build: Build
) -> None:
    # BenchMARL alone would keep rows, of a task that marks no starts.
    options = {"arch": "coma"} if config is QtranConfig else {}
    experiment = build(SmallTask(), changed(config, **options), model="mlp_gru")
    assert not experiment.losses["agents"].sequential
    check_run(experiment, {"agents"})
    assert experiment.replay_buffers["agents"].storage[:].batch_size == (48,)


def test_recent_data_is_counted_in_rows(build: Build) -> None:
    # 20 frames are more than one collected batch of 16, so two count as recent.
    algorithm = changed(RemixConfig, td_lambda=0.6, recent_fraction=1.0, recent_size=20)
    experiment = build(predator_prey(), algorithm, max_n_frames=80)
    sampler = experiment.replay_buffers["agents"].sampler
    assert isinstance(sampler, RecentSampler)
    assert sampler.recent_size == 8
    experiment.run()
    # Five batches in a buffer for four: the last lies at its start.
    buffer = experiment.replay_buffers["agents"]
    assert len(buffer) == 16
    drawn = torch.cat([buffer.sample()["index"].flatten() for _ in range(40)])
    assert set(drawn.unique().tolist()) == {0, 1, 2, 3, 12, 13, 14, 15}


@pytest.mark.parametrize("config", [OwqmixConfig, QtranConfig])
def test_rows_are_replayed_by_priority(
    config: type[AlgorithmConfig], build: Build
) -> None:
    experiment = build(
        SmallTask(),
        changed(config, td_lambda=0.6),
        off_policy_use_prioritized_replay_buffer=True,
    )
    check_run(experiment, {"agents"})
    buffer = experiment.replay_buffers["agents"]
    assert isinstance(buffer.sampler, PrioritizedSampler)
    tree = buffer.sampler._sum_tree
    assert len({round(float(tree[i]), 6) for i in range(12)}) > 3


def test_ensemble_of_recurrent_models_may_have_longer_returns(build: Build) -> None:
    algorithm = EnsembleAlgorithmConfig(
        {
            "adversary": changed(TunedQmixConfig, td_lambda=0.6, burn_in="stored"),
            "agent": changed(OwqmixConfig, td_lambda=0.0),
        }
    )
    experiment = build(
        VmasTask.SIMPLE_TAG.get_from_yaml(), algorithm, model="fused_gru"
    )
    check_run(experiment, {"adversary", "agent"})
    types = {group: loss.value_type for group, loss in experiment.losses.items()}
    assert types["adversary"] is ValueEstimators.TDLambda
    assert types["agent"] is ValueEstimators.TD0
