"""Options that make other networks or other terms of an algorithm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from benchmarl.environments import VmasTask
from benchmarl.experiment import Callback, Experiment
from small_tasks import SmallTask, parameters
from tensordict import TensorDictBase
from tiny_experiments import (
    NETWORKS,
    Build,
    by_network,
    changed,
    check_run,
    experiment_builder,
    predator_prey,
    run,
)
from torchrl.modules import QMixer

from remix_plugin.algorithms.qatten import QattenConfig
from remix_plugin.algorithms.qplex import QplexConfig
from remix_plugin.algorithms.qtran import QtranConfig
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.algorithms.wqmix import CwqmixConfig, OwqmixConfig
from remix_plugin.modules.mixers import DeepQMixer
from remix_plugin.modules.qtran import FeatureJointValue, JointActionValue

pytestmark = pytest.mark.slow

build = pytest.fixture(experiment_builder)


def numbers(experiment: Experiment, network: str) -> int:
    """How many parameters a network of the loss has."""
    values = by_network(parameters(experiment.losses["agents"], target=False))
    return sum(value.numel() for value in values[network].values())


@pytest.mark.parametrize("model", ["mlp", "gru"])
@pytest.mark.parametrize("arch", ["features", "coma"])
def test_qtran_has_two_joint_values(arch: str, model: str, build: Build) -> None:
    experiment = build(
        VmasTask.SIMPLE_TAG.get_from_yaml(),
        changed(QtranConfig, arch=arch),
        model=model,
    )
    online, copied = NETWORKS["qtran"]
    left_out = {"feature_network"} if arch == "coma" else set()
    expected = FeatureJointValue if arch == "features" else JointActionValue
    for loss in experiment.losses.values():
        assert set(by_network(parameters(loss, target=False))) == online - left_out
        assert set(by_network(parameters(loss, target=True))) == copied - left_out
        assert type(loss.joint_value_network.module) is expected
    check_run(experiment, {"adversary", "agent"})


def test_weights_of_qtrans_conditions_reach_the_loss(build: Build) -> None:
    options = {"lambda_opt": 3.0, "lambda_nopt": 7.0}
    losses = run(build(SmallTask(), changed(QtranConfig, **options)))
    for updates in losses["agents"]:
        total = updates["loss_td"] + 3 * updates["loss_opt"] + 7 * updates["loss_nopt"]
        torch.testing.assert_close(updates["loss"], total)
        assert (updates["loss_opt"] > 0).all()


class Weights(Callback):
    """Keeps the weights of all updates by the frames of their iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, set[float]] = {}

    def on_train_step(self, batch: TensorDictBase, group: str) -> None:
        weights = self.seen.setdefault(self.experiment.total_frames, set())
        weights.update(batch["projection_weight"].flatten().tolist())


def test_weights_are_those_of_owqmix_while_it_warms_up(build: Build) -> None:
    weights = Weights()
    options = {"normalization": "clipped", "w_min": 0.25, "w_max": 2.0}
    algorithm = changed(RemixConfig, warm_up_frames=48, **options)
    run(build(SmallTask(), algorithm, callbacks=(weights,), max_n_frames=96))
    assert list(weights.seen) == [16, 32, 48, 64, 80, 96]
    seen = [(min(kinds), max(kinds)) for kinds in weights.seen.values()]
    assert seen == [(0.25, 1.0)] * 2 + [(0.25, 2.0)] * 4


@pytest.mark.parametrize("config", [RemixConfig, OwqmixConfig, CwqmixConfig])
def test_factor_of_the_unrestricted_loss_reaches_it(config: Any, build: Build) -> None:
    losses = run(build(SmallTask(), changed(config, unrestricted_coef=0.5)))
    for updates in losses["agents"]:
        total = updates["loss_projection"] + 0.5 * updates["loss_unrestricted"]
        torch.testing.assert_close(updates["loss"], total)


@pytest.mark.parametrize(
    ("option", "value", "key"),
    [
        ("unrestricted_value", "target", "unrestricted_target_value"),
        ("policy_support", "all", "unmasked_action_probability"),
    ],
)
def test_choices_of_the_weight_reach_it(
    option: str, value: str, key: str, build: Build
) -> None:
    experiment = build(predator_prey(), changed(RemixConfig, **{option: value}))
    assert key in experiment.losses["agents"].weighting.in_keys
    check_run(experiment, {"agents"})


def test_qatten_regularizes_attention_if_asked_to(build: Build) -> None:
    penalties = []
    for coefficient in (0.5, 1.0):
        algorithm = changed(QattenConfig, attend_reg_coef=coefficient)
        experiment = build(predator_prey(), algorithm)
        first = run(experiment)["agents"][0]["loss_penalty"][0]
        assert first > 0
        penalties.append(float(first))
    assert penalties[1] == pytest.approx(2 * penalties[0], rel=1e-5)
    experiment = build(predator_prey(), changed(QattenConfig, attend_reg_coef=0.5))
    check_run(experiment, {"agents"}, frozenset({"loss_penalty"}))


def test_heads_of_qatten_need_not_be_weighted(build: Build) -> None:
    plain = build(predator_prey(), changed(QattenConfig, weighted_heads=False))
    weighted = build(predator_prey(), QattenConfig.get_from_yaml())
    assert numbers(plain, "mixer_network") < numbers(weighted, "mixer_network")
    weighted.close()
    check_run(plain, {"agents"})


@pytest.mark.parametrize("config", [RemixConfig, TunedQmixConfig])
@pytest.mark.parametrize(("layers", "expected"), [(1, QMixer), (2, DeepQMixer)])
def test_hypernetworks_are_torchrls_or_deeper(
    config: Any, layers: int, expected: type[torch.nn.Module], build: Build
) -> None:
    experiment = build(predator_prey(), changed(config, hypernet_layers=layers))
    assert type(experiment.losses["agents"].mixer_network.module) is expected
    check_run(experiment, {"agents"})


@pytest.mark.parametrize(
    ("config", "network", "option", "value"),
    [
        (TunedQmixConfig, "mixer_network", "mixing_embed_dim", 64),
        (RemixConfig, "unrestricted_mixer_network", "unrestricted_embed_dim", 512),
        (QplexConfig, "mixer_network", "n_heads", 8),
        (QplexConfig, "mixer_network", "importance_layers", 3),
        (QplexConfig, "mixer_network", "hypernet_dim", 128),
        (QattenConfig, "mixer_network", "n_heads", 8),
        (QattenConfig, "mixer_network", "embed_dim", 64),
        (QattenConfig, "mixer_network", "query_dim", 128),
        (QattenConfig, "mixer_network", "head_dim", 128),
        (QattenConfig, "mixer_network", "constant_dim", 64),
        (QtranConfig, "joint_value_network", "embed_dim", 128),
        (QtranConfig, "state_value_network", "embed_dim", 128),
        (QtranConfig, "joint_value_network", "feature_dim", 128),
        (QtranConfig, "feature_network", "feature_dim", 128),
    ],
)
def test_sizes_reach_the_networks(
    config: Any, network: str, option: str, value: int, build: Build
) -> None:
    small = build(predator_prey(), config.get_from_yaml())
    large = build(predator_prey(), changed(config, **{option: value}))
    assert numbers(large, network) > numbers(small, network)
    small.close()
    large.close()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_importance_of_qplex_may_have_up_to_three_layers(
    layers: int, build: Build
) -> None:
    algorithm = changed(QplexConfig, importance_layers=layers, n_heads=1)
    check_run(build(SmallTask(), algorithm), {"agents"})
