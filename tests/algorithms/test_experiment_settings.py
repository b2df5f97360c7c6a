"""Small whole experiments: parameters, actions, masks, states, options of the loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import VmasTask
from benchmarl.experiment import Experiment
from small_tasks import SmallTask, parameters
from tiny_experiments import (
    NETWORKS,
    STEPS,
    Build,
    by_network,
    changed,
    check_run,
    experiment_builder,
    fitting,
    frames_in_replay,
    name_of,
    predator_prey,
    total_loss,
)

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

# Networks that share parameters as policies do, and what they write if not utilities
POLICIES = {
    "local_value_network": "action_value",
    "unrestricted_value_network": "unrestricted_action_value",
    "feature_network": "feature",
    "actor_network": "logits",
}
OFF_POLICY = [config for config in ALGORITHM_CONFIGS if not config.on_policy()]
MODELS = ("mlp", "gru", "fused_gru")
# Every algorithm with one model, and every model with two algorithms or three.
WITH_MODELS = [
    pytest.param(config, MODELS[i % 3], id=f"{name_of(config)}-{MODELS[i % 3]}")
    for i, config in enumerate(ALGORITHM_CONFIGS)
]
build = pytest.fixture(experiment_builder)


def all_agents_agree(experiment: Experiment, group: str, network: str) -> bool:
    """Whether agents that observe the same are given the same."""
    data = experiment.replay_buffers[group].sample()
    seen = data[group, "observation"]
    data[group, "observation"] = seen[..., :1, :].expand_as(seen).clone()
    loss = experiment.losses[group]
    key = getattr(loss.tensor_keys, POLICIES[network])
    with torch.no_grad():
        output = loss._run(network, data)[key]
    return torch.allclose(output, output[..., :1, :].expand_as(output), atol=1e-5)


@pytest.mark.parametrize("share", [True, False], ids=["shared", "separate"])
@pytest.mark.parametrize(("config", "model"), WITH_MODELS)
def test_agents_need_not_share_parameters(
    config: type[AlgorithmConfig], model: str, share: bool, build: Build
) -> None:
    # Two groups, one of which is a single agent.
    experiment = build(
        VmasTask.SIMPLE_TAG.get_from_yaml(),
        config.get_from_yaml(),
        model=fitting(config, model),
        share_policy_params=share,
    )
    check_run(experiment, {"adversary", "agent"})
    networks, _ = NETWORKS[name_of(config)]
    is_actor_critic = "actor_network" in networks
    tested = {"actor_network"} if is_actor_critic else set(POLICIES) & networks
    for network in tested:
        assert all_agents_agree(experiment, "adversary", network) == share
        assert all_agents_agree(experiment, "agent", network)


@pytest.mark.parametrize(("config", "model"), WITH_MODELS)
def test_one_hot_actions_work(
    config: type[AlgorithmConfig], model: str, build: Build
) -> None:
    model = fitting(config, model)
    experiment = build(SmallTask(one_hot=True), config.get_from_yaml(), model=model)
    check_run(experiment, {"agents"})
    action = experiment.replay_buffers["agents"].storage[:]["agents", "action"]
    assert action.shape[-1] == 3
    assert (action.sum(-1) == 1).all()


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
@pytest.mark.parametrize("one_hot", [False, True], ids=["index", "one_hot"])
def test_unavailable_actions_are_never_taken(
    config: type[AlgorithmConfig], one_hot: bool, build: Build
) -> None:
    task = SmallTask(mask="real", one_hot=one_hot)
    experiment = build(task, config.get_from_yaml(), exploration_eps_end=1.0)
    assert experiment.losses["agents"].use_action_mask
    check_run(experiment, {"agents"})
    action = experiment.replay_buffers["agents"].storage[:]["agents", "action"]
    action = action.long().argmax(-1) if one_hot else action
    assert set(action[..., 0].flatten().tolist()) == {0, 1}
    assert set(action[..., 1].flatten().tolist()) == {0, 1, 2}


@pytest.mark.parametrize("config", OFF_POLICY)
def test_unavailable_actions_do_not_count_in_targets(
    config: type[AlgorithmConfig], build: Build
) -> None:
    experiment = build(SmallTask(mask="real"), config.get_from_yaml())
    experiment.run()
    data = experiment.replay_buffers["agents"].sample()
    loss = experiment.losses["agents"]
    errors = {"loss_td", "loss_unrestricted", "loss_critic", "loss_qvalue"}
    (error,) = errors & set(loss.out_keys)
    unmasked = data.clone()
    mask = ("next", "agents", "action_mask")
    unmasked[mask] = torch.ones_like(data[mask])
    # The bias of the three outputs: action 2 is best wherever it is allowed.
    policy = "actor" if "loss_actor" in loss.out_keys else "local_value"
    networks = [
        getattr(loss, f"{prefix}{policy}_network_params") for prefix in ("", "target_")
    ]
    with torch.no_grad():
        for network in networks:
            for value in network.flatten_keys().values():
                if value.shape == (3,):
                    value.data[2] += 10.0
        masked, other = (float(loss(batch)[error]) for batch in (data, unmasked))
    assert masked != pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_mixers_see_all_observations_where_there_is_no_state(
    config: type[AlgorithmConfig], build: Build
) -> None:
    experiment = build(SmallTask(), config.get_from_yaml())
    algorithm = experiment.algorithm
    assert experiment.state_spec is None
    assert algorithm.state_size("agents") == 2 * (2 + 3)
    experiment.run()
    data = experiment.replay_buffers["agents"].sample()
    state = algorithm.get_state_network("agents")(data)["mixer_state"]
    expected = torch.cat(
        [
            data["agents", "position"].flatten(-2),
            data["agents", "sensors", "range"].flatten(-2),
        ],
        dim=-1,
    )
    assert state.shape == expected.shape
    assert torch.equal(state.sort(-1).values, expected.sort(-1).values)


@pytest.mark.parametrize(("config", "model"), WITH_MODELS)
def test_environments_without_a_batch_work(
    config: type[AlgorithmConfig], model: str, build: Build
) -> None:
    experiment = build(
        SmallTask(batched=False),
        config.get_from_yaml(),
        model=fitting(config, model),
        evaluation=True,
        create_json=True,
    )
    check_run(experiment, {"agents"})
    steps = STEPS if experiment.algorithm.has_rnn else 1
    rows = frames_in_replay(experiment) // steps
    assert len(experiment.replay_buffers["agents"]) == rows


def test_random_frames_at_the_start_work(build: Build) -> None:
    experiment = build(
        SmallTask(), RemixConfig.get_from_yaml(), off_policy_init_random_frames=16
    )
    check_run(experiment, {"agents"})


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
@pytest.mark.parametrize(
    "options",
    [
        {"double_q": False, "loss_function": "l1"},
        {"delay_value": False, "loss_function": "smooth_l1"},
    ],
    ids=["single_q", "no_copies"],
)
def test_options_of_the_loss_work(
    options: dict[str, Any], config: type[AlgorithmConfig], build: Build
) -> None:
    own = {k: v for k, v in options.items() if k in vars(config.get_from_yaml())}
    experiment = build(predator_prey(), changed(config, **own))
    loss = experiment.losses["agents"]
    _, copied = NETWORKS[name_of(config)]
    if "delay_value" in options:
        assert experiment.target_updaters == {"agents": None}
        names = dict(loss.named_parameters())
        assert not any(name.startswith("target_") for name in names)
    elif "double_q" in own:
        # The copy chooses the next action, so it must be there.
        copied = copied | {"local_value_network"}
        assert set(by_network(parameters(loss, target=True))) == copied
    check_run(experiment, {"agents"})


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_loss_functions_differ(config: type[AlgorithmConfig], build: Build) -> None:
    experiment = build(predator_prey(), config.get_from_yaml())
    experiment.run()
    data = experiment.replay_buffers["agents"].sample()
    values = []
    for loss_function in ("l2", "l1", "smooth_l1"):
        other = build(predator_prey(), changed(config, loss_function=loss_function))
        other.losses["agents"].load_state_dict(experiment.losses["agents"].state_dict())
        values.append(total_loss(other.losses["agents"], data.clone()))
        other.close()
    assert len(set(values)) == 3
