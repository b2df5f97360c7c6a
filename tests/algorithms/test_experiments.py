"""Whole experiments, small enough to run by the dozen."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarl.algorithms import EnsembleAlgorithmConfig, QmixConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.benchmark import Benchmark
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models import GruConfig, MlpConfig
from benchmarl.models.common import ModelConfig
from small_tasks import ParameterHistory, Recorder, SmallTask, parameters
from torchrl.data.replay_buffers import RandomSampler

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.data.samplers import RecentSampler
from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.registration import ALGORITHM_CONFIGS

LOGGED = {
    "loss",
    "loss_projection",
    "loss_unrestricted",
    "projection_weight_mean",
    "underestimated_fraction",
    "mixer_gradient_mean",
}
STEPS = 4  # of each of the 4 environments in an iteration


def predator_prey(**options: Any) -> TaskClass:
    """Three predators and two prey on a grid of 4 x 4."""
    task = PredatorPreyTask.PUNISH_2.get_from_yaml()
    size = {"grid_height": 4, "grid_width": 4, "n_predators": 3, "n_prey": 2}
    task.config.update(size, window_size=3, max_steps=6, **options)
    return task


TASKS: dict[str, Callable[[], TaskClass]] = {
    "predator_prey": predator_prey,
    "matrix_game": MatrixGameTask.QTRAN.get_from_yaml,
    "balance": VmasTask.BALANCE.get_from_yaml,
    "simple_tag": VmasTask.SIMPLE_TAG.get_from_yaml,
    "small": SmallTask,
}
MODELS = ("mlp", "gru_mlp", "gru")
# Every algorithm with an MLP on Predator-Prey, and a third of all other pairs each.
CASES = [
    pytest.param(config, task, model, id=f"{config.__name__[:-6]}-{task}-{model}")
    for i, config in enumerate(ALGORITHM_CONFIGS)
    for j, (model, task) in enumerate((m, t) for m in MODELS for t in TASKS)
    if (i + j) % len(ALGORITHM_CONFIGS) == 0
    or (task == "predator_prey" and model == "mlp")
]

Build = Callable[..., Experiment]


@pytest.fixture
def build(
    tiny_experiment: ExperimentConfig, tiny_model: MlpConfig, tiny_gru: GruConfig
) -> Build:
    """Make an experiment: its task, algorithm, model, changed settings, callbacks."""

    def build_experiment(
        task: TaskClass,
        algorithm: AlgorithmConfig,
        *,
        model: str = "mlp",
        seed: int = 0,
        callbacks: tuple[Any, ...] = (),
        **settings: Any,
    ) -> Experiment:
        models: dict[str, tuple[ModelConfig, ModelConfig]] = {
            "mlp": (tiny_model, copy.deepcopy(tiny_model)),
            "gru_mlp": (tiny_gru, tiny_model),
            "gru": (tiny_gru, copy.deepcopy(tiny_gru)),
        }
        config = copy.deepcopy(tiny_experiment)
        for field, value in settings.items():
            assert hasattr(config, field)
            setattr(config, field, value)
        policy, critic = models[model]
        return Experiment(
            task=task,
            algorithm_config=algorithm,
            model_config=policy,
            critic_model_config=critic,
            seed=seed,
            config=config,
            callbacks=list(callbacks),
        )

    return build_experiment


def changed(config: type[AlgorithmConfig], **options: Any) -> AlgorithmConfig:
    """The plugin's settings of an algorithm but for some options."""
    return config(**{**vars(config.get_from_yaml()), **options})


def run(experiment: Experiment) -> dict[str, list[Any]]:
    """Run to the end; the losses of every iteration by group."""
    recorder = Recorder()
    recorder.experiment = experiment
    experiment.callbacks = [*experiment.callbacks, recorder]
    experiment.run()
    return recorder.losses


def results(experiment: Experiment) -> dict[str, Any]:
    """The results json of an experiment's run."""
    path = experiment.folder_name / f"{experiment.name}.json"
    return json.loads(path.read_text())


def epsilons(experiment: Experiment) -> list[float]:
    """Exploration of each group."""
    return [float(policy[-1].eps) for policy in experiment.group_policies.values()]


def _check_losses(losses: dict[str, list[Any]], groups: set[str]) -> None:
    assert set(losses) == groups
    for iterations in losses.values():
        assert len(iterations) == 3
        for update in iterations:
            assert update.batch_size == (2,)
            assert set(update.keys()) == LOGGED | {"grad_norm_loss"}
            assert all(torch.isfinite(value).all() for value in update.values())
            assert (update["projection_weight_mean"] > 0).all()
            assert (update["underestimated_fraction"] <= 1).all()
            assert (update["mixer_gradient_mean"] >= 0).all()


@pytest.mark.parametrize(("config", "task", "model"), CASES)
def test_experiment_trains(
    config: type[AlgorithmConfig], task: str, model: str, build: Build
) -> None:
    experiment = build(TASKS[task](), config.get_from_yaml(), model=model)
    groups = set(experiment.group_map)
    assert len(groups) == (2 if task == "simple_tag" else 1)
    before = {
        group: (parameters(loss, target=False), parameters(loss, target=True))
        for group, loss in experiment.losses.items()
    }
    _check_losses(run(experiment), groups)
    for group in groups:
        rows = 48 if model == "mlp" else 48 // STEPS
        assert len(experiment.replay_buffers[group]) == rows
        loss = experiment.losses[group]
        for target, old in zip((False, True), before[group], strict=True):
            new = parameters(loss, target=target)
            assert len(old) == len(new) > 8
            # Every one of the four networks is trained, and its copy follows.
            for network in (
                "local_value_network_params",
                "mixer_network_params",
                "unrestricted_value_network_params",
                "unrestricted_mixer_network_params",
            ):
                names = [name for name in old if name.startswith(network)]
                assert any(not torch.equal(old[name], new[name]) for name in names)
    assert epsilons(experiment) == pytest.approx([0.05] * len(groups))
    assert experiment.total_frames == 48


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_csv_logger_writes_all_losses(
    config: type[AlgorithmConfig], build: Build
) -> None:
    experiment = build(predator_prey(), config.get_from_yaml(), loggers=["csv"])
    experiment.run()
    written = {path.stem for path in experiment.folder_name.rglob("scalars/*.csv")}
    assert {f"train_agents_{key}" for key in LOGGED} <= written
    assert "collection_info_prey_caught_at_end" in written


def test_results_have_the_keys_of_benchmarl(build: Build) -> None:
    experiment = build(
        predator_prey(), RemixConfig.get_from_yaml(), evaluation=True, create_json=True
    )
    experiment.run()
    run_data = results(experiment)["predator_prey"]["punish_2"]["remix"]["seed_0"]
    assert set(run_data) == {f"step_{i}" for i in (1, 2, 3)} | {"absolute_metrics"}
    for step in (1, 2, 3):
        assert run_data[f"step_{step}"]["step_count"] == 16 * step
        assert len(run_data[f"step_{step}"]["return"]) == 2
        assert len(run_data[f"step_{step}"]["agents_return"]) == 2


def test_rendering_writes_a_video(build: Build) -> None:
    experiment = build(
        predator_prey(),
        RemixConfig.get_from_yaml(),
        evaluation=True,
        render=True,
        loggers=["csv"],
    )
    # mp4, BenchMARL's choice, needs an older torchvision than many have.
    experiment.logger.loggers[0].experiment.video_format = "pt"
    experiment.run()
    paths = sorted(experiment.folder_name.rglob("videos/eval_video_*.pt"))
    assert len(paths) == 3
    video = torch.load(paths[0])
    assert video.dtype == torch.uint8
    assert video.shape[0] == 1
    assert 1 <= video.shape[1] <= 6
    assert video.shape[2] == 3
    assert video.float().std() > 0


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
@pytest.mark.parametrize("model", ["mlp", "gru"])
def test_same_seed_gives_the_same_results(
    config: type[AlgorithmConfig], model: str, build: Build
) -> None:
    def outcome(seed: int) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        experiment = build(
            predator_prey(),
            config.get_from_yaml(),
            model=model,
            seed=seed,
            evaluation=True,
            create_json=True,
        )
        experiment.run()
        loss = experiment.losses["agents"]
        return results(experiment), parameters(loss, target=False)

    (first, weights), (second, same_weights) = outcome(3), outcome(3)
    assert first == second
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    _, other_weights = outcome(4)
    assert any(not torch.equal(weights[name], other_weights[name]) for name in weights)


def test_agents_need_not_share_parameters(build: Build) -> None:
    experiment = build(
        predator_prey(), RemixConfig.get_from_yaml(), share_policy_params=False
    )
    _check_losses(run(experiment), {"agents"})
    shared = build(predator_prey(), RemixConfig.get_from_yaml())
    for network in ("local_value_network", "unrestricted_value_network"):
        own, common = (
            [
                value
                for name, value in parameters(e.losses["agents"], target=False).items()
                if name.startswith(f"{network}_params")
            ]
            for e in (experiment, shared)
        )
        for separate, one in zip(own, common, strict=True):
            assert separate.shape == (3, *one.shape)
            assert not torch.equal(separate[0], separate[1])


def test_hard_updates_copy_the_networks_now_and_then(build: Build) -> None:
    history = ParameterHistory()
    experiment = build(
        predator_prey(),
        OwqmixConfig.get_from_yaml(),
        callbacks=(history,),
        soft_target_update=False,
        hard_target_update_frequency=2,
    )
    first = parameters(experiment.losses["agents"], target=True)
    experiment.run()
    assert len(history.target) == 6
    # TorchRL counts from zero: every third update copies.
    source = first
    for i, (online, target) in enumerate(
        zip(history.online, history.target, strict=True), start=1
    ):
        assert set(online) == set(target)
        if i % 3 == 0:
            source = online
        assert all(torch.equal(target[name], source[name]) for name in target)
        assert (i % 3 == 0) == all(
            torch.equal(target[name], online[name]) for name in target
        )


def test_soft_updates_move_the_copies_by_a_share(build: Build) -> None:
    history = ParameterHistory()
    experiment = build(
        predator_prey(),
        OwqmixConfig.get_from_yaml(),
        callbacks=(history,),
        polyak_tau=0.25,
    )
    before = parameters(experiment.losses["agents"], target=True)
    experiment.run()
    for online, target in zip(history.online, history.target, strict=True):
        for name in target:
            expected = 0.75 * before[name] + 0.25 * online[name]
            torch.testing.assert_close(target[name], expected)
        before = target


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_targets_need_no_copies(config: type[AlgorithmConfig], build: Build) -> None:
    experiment = build(predator_prey(), changed(config, delay_value=False))
    assert experiment.target_updaters == {"agents": None}
    names = dict(experiment.losses["agents"].named_parameters())
    assert not any(name.startswith("target_") for name in names)
    _check_losses(run(experiment), {"agents"})


@pytest.mark.parametrize("options", [{"hypernet_layers": 1}, {"double_q": False}])
@pytest.mark.parametrize("loss_function", ["l1", "smooth_l1"])
def test_options_of_the_loss_work(
    options: dict[str, Any], loss_function: str, build: Build
) -> None:
    algorithm = changed(RemixConfig, loss_function=loss_function, **options)
    _check_losses(run(build(predator_prey(), algorithm)), {"agents"})


PRIORITISED = [
    pytest.param(OwqmixConfig, {}, "mlp", id="Owqmix-mlp"),
    pytest.param(OwqmixConfig, {}, "gru", id="Owqmix-gru"),
    pytest.param(RemixConfig, {"recent_fraction": 0.0}, "mlp", id="Remix-mlp"),
]


@pytest.mark.parametrize(("config", "options", "model"), PRIORITISED)
def test_prioritised_replay_follows_the_td_error(
    config: type[AlgorithmConfig], options: dict[str, Any], model: str, build: Build
) -> None:
    experiment = build(
        predator_prey(),
        changed(config, **options),
        model=model,
        off_policy_use_prioritized_replay_buffer=True,
        off_policy_prb_alpha=1.0,
    )
    _check_losses(run(experiment), {"agents"})
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
    stored = torch.tensor([float(tree[int(i)]) for i in index])
    # A row drawn twice keeps one of two equal errors.
    torch.testing.assert_close(stored, error, rtol=1e-4, atol=1e-5)


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


def test_importance_weights_reach_the_loss(build: Build) -> None:
    experiment = build(
        predator_prey(),
        OwqmixConfig.get_from_yaml(),
        off_policy_use_prioritized_replay_buffer=True,
    )
    experiment.run()
    data = experiment.replay_buffers["agents"].sample()
    loss = experiment.losses["agents"]
    assert not torch.equal(data["priority_weight"], torch.ones(16))
    weighted = loss(data.clone())["loss_unrestricted"]
    plain = loss(data.exclude("priority_weight"))["loss_unrestricted"]
    assert not torch.isclose(weighted, plain)


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


def test_mixers_see_all_observations_where_there_is_no_state(build: Build) -> None:
    experiment = build(SmallTask(), RemixConfig.get_from_yaml())
    algorithm = experiment.algorithm
    assert experiment.state_spec is None
    assert algorithm.state_size("agents") == 2 * (2 + 3)
    experiment.run()
    data = experiment.replay_buffers["agents"].sample()
    state = algorithm.get_state_network("agents")(data)["mixer_state"]
    expected = torch.cat(
        [
            data["agents", "position"].flatten(1),
            data["agents", "sensors", "range"].flatten(1),
        ],
        dim=-1,
    )
    assert state.shape == expected.shape
    assert torch.equal(state.sort(-1).values, expected.sort(-1).values)


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
@pytest.mark.parametrize("model", ["mlp", "gru"])
def test_one_hot_actions_work(
    config: type[AlgorithmConfig], model: str, build: Build
) -> None:
    experiment = build(SmallTask(one_hot=True), config.get_from_yaml(), model=model)
    _check_losses(run(experiment), {"agents"})
    action = experiment.replay_buffers["agents"].storage[:]["agents", "action"]
    assert action.shape[-1] == 3
    assert (action.sum(-1) == 1).all()


@pytest.mark.parametrize("one_hot", [False, True], ids=["index", "one_hot"])
def test_unavailable_actions_are_never_taken(one_hot: bool, build: Build) -> None:
    task = SmallTask(mask="real", one_hot=one_hot)
    experiment = build(task, RemixConfig.get_from_yaml(), exploration_eps_end=1.0)
    _check_losses(run(experiment), {"agents"})
    action = experiment.replay_buffers["agents"].storage[:]["agents", "action"]
    action = action.long().argmax(-1) if one_hot else action
    assert set(action[:, 0].tolist()) == {0, 1}
    assert set(action[:, 1].tolist()) == {0, 1, 2}


def test_environments_without_a_batch_work(build: Build) -> None:
    experiment = build(
        SmallTask(batched=False),
        RemixConfig.get_from_yaml(),
        evaluation=True,
        create_json=True,
    )
    _check_losses(run(experiment), {"agents"})
    assert len(experiment.replay_buffers["agents"]) == 48


def test_random_frames_at_the_start_work(build: Build) -> None:
    experiment = build(
        SmallTask(), RemixConfig.get_from_yaml(), off_policy_init_random_frames=16
    )
    _check_losses(run(experiment), {"agents"})


def test_replay_on_disk_works(build: Build) -> None:
    experiment = build(
        predator_prey(), RemixConfig.get_from_yaml(), buffer_device="disk"
    )
    _check_losses(run(experiment), {"agents"})


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
    path = experiment.folder_name / "checkpoints" / "checkpoint_32.pt"
    again = Experiment.reload_from_file(
        str(path),
        experiment_patch={"max_n_frames": 64, "restore_map_location": "cpu"},
    )
    assert again.folder_name == experiment.folder_name
    assert again.total_frames == 32
    assert again.n_iters_performed == 2
    assert again.algorithm_config == algorithm
    for target in (False, True):
        old, new = (
            parameters(e.losses["agents"], target=target) for e in (experiment, again)
        )
        assert set(old) == set(new)
        assert all(torch.equal(old[name], new[name]) for name in old)
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
    path = experiment.folder_name / "checkpoints" / "checkpoint_32.pt"
    again = Experiment.reload_from_file(
        str(path), experiment_patch={"max_n_frames": 48}
    )
    assert epsilons(again) == pytest.approx([half])
    again.run()
    assert epsilons(again) == pytest.approx([1.0 - 0.95 * 3 / 4], rel=1e-4)


def test_benchmark_compares_remix_with_qmix(
    tiny_experiment: ExperimentConfig, tiny_model: MlpConfig, save_folder: Path
) -> None:
    tiny_experiment.evaluation = tiny_experiment.create_json = True
    benchmark = Benchmark(
        algorithm_configs=[RemixConfig.get_from_yaml(), QmixConfig.get_from_yaml()],
        model_config=tiny_model,
        tasks=[MatrixGameTask.QTRAN.get_from_yaml()],
        seeds={0, 1},
        experiment_config=tiny_experiment,
    )
    benchmark.run_sequential()
    found = set()
    for path in save_folder.rglob("*.json"):
        by_algorithm = json.loads(path.read_text())["matrix_game"]["qtran"]
        ((algorithm, by_seed),) = by_algorithm.items()
        ((seed, run_data),) = by_seed.items()
        found.add((algorithm, seed))
        assert set(run_data["step_3"]["return"]) <= {8.0, -12.0, 0.0}
    assert found == {(a, f"seed_{s}") for a in ("remix", "qmix") for s in (0, 1)}


@pytest.mark.parametrize("model", ["mlp", "gru"])
def test_ensemble_trains_each_group_its_own_way(model: str, build: Build) -> None:
    algorithm = EnsembleAlgorithmConfig(
        {
            "adversary": changed(RemixConfig, recent_fraction=0.0),
            "agent": OwqmixConfig.get_from_yaml(),
        }
    )
    experiment = build(TASKS["simple_tag"](), algorithm, model=model)
    _check_losses(run(experiment), {"adversary", "agent"})
    weightings = {
        group: type(loss.weighting).__name__
        for group, loss in experiment.losses.items()
    }
    assert weightings == {
        "adversary": "RemixWeighting",
        "agent": "OptimisticWeighting",
    }
