"""Whole experiments on policy: how often collected data is learned from."""

from __future__ import annotations

import re
import warnings

import pytest
from benchmarl.algorithms.common import AlgorithmConfig
from small_tasks import SmallTask
from tensordict import TensorDict
from tiny_experiments import Build, changed, experiment_builder, name_of

from remix_plugin.algorithms.coma import ComaConfig
from remix_plugin.algorithms.vdac import VdacConfig, VdacSumConfig

# Environments, passes over their 16 frames, frames of a minibatch, updates of a pass
SETTINGS = pytest.mark.parametrize(
    ("model", "environments", "passes", "minibatch", "updates"),
    [
        ("mlp", 4, 1, 16, 1),
        ("mlp", 4, 3, 16, 1),
        ("mlp", 4, 2, 6, 3),
        ("gru", 4, 3, 8, 2),
        # 18 frames are collected, of which the replay keeps 16.
        ("mlp", 3, 2, 16, 1),
    ],
)
build = pytest.fixture(experiment_builder)


@SETTINGS
def test_actors_of_coma_learn_in_the_first_pass(
    model: str,
    environments: int,
    passes: int,
    minibatch: int,
    updates: int,
    build: Build,
) -> None:
    experiment = build(
        SmallTask(),
        ComaConfig.get_from_yaml(),
        model=model,
        on_policy_n_envs_per_worker=environments,
        on_policy_n_minibatch_iters=passes,
        on_policy_minibatch_size=minibatch,
    )
    learnt: list[bool] = []

    def note(_: object, __: object, losses: TensorDict) -> None:
        learnt.append(bool(losses["loss_actor"] != 0))

    experiment.losses["agents"].register_forward_hook(note)
    experiment.run()
    each = [True] * updates + [False] * updates * (passes - 1)
    assert learnt == each * experiment.n_iters_performed


@pytest.mark.parametrize("config", [VdacConfig, VdacSumConfig, ComaConfig], ids=name_of)
@pytest.mark.parametrize(
    ("passes", "minibatch"), [(1, 16), (1, 20), (2, 16), (1, 8)], ids=str
)
def test_data_used_twice_or_in_parts_is_warned_of(
    config: type[AlgorithmConfig], passes: int, minibatch: int, build: Build
) -> None:
    wanted = (
        f"experiment.on_policy_n_minibatch_iters={passes} with on_policy_minibatch_size"
        f"={minibatch} and on_policy_collected_frames_per_batch=16: "
        f"{config.associated_class().__name__}'s policy gradient"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build(
            SmallTask(),
            changed(config),
            on_policy_n_minibatch_iters=passes,
            on_policy_minibatch_size=minibatch,
        )
    found = [w for w in caught if re.match(re.escape(wanted), str(w.message))]
    # Later passes are those of COMA's critic alone.
    reuses = minibatch < 16 or (passes > 1 and config is not ComaConfig)
    assert len(found) == reuses
