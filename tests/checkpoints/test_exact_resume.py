"""A run that is cut off at any moment goes on to the bits that it would have had."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarl.algorithms import (
    EnsembleAlgorithmConfig,
    MappoConfig,
    QmixConfig,
    VdnConfig,
)
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import Experiment
from cut_off_runs import (
    Build,
    CutOff,
    CutOffError,
    differences,
    everything,
    go_on,
    last,
    run_until_cut_off,
)
from small_tasks import SmallTask, parameters
from tiny_experiments import changed, experiment_builder, predator_prey

from remix_plugin import whole_files
from remix_plugin.algorithms.coma import ComaConfig
from remix_plugin.algorithms.discrete_maddpg import DiscreteMaddpgConfig
from remix_plugin.algorithms.dop import DopConfig
from remix_plugin.algorithms.fop import FopConfig
from remix_plugin.algorithms.qatten import QattenConfig
from remix_plugin.algorithms.qplex import QplexConfig
from remix_plugin.algorithms.qtran import QtranConfig
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.algorithms.vdac import VdacConfig
from remix_plugin.algorithms.wqmix import CwqmixConfig, OwqmixConfig
from remix_plugin.callbacks.attaching import attach
from remix_plugin.callbacks.evaluation import EvaluationRecorder
from remix_plugin.callbacks.exact_resume import ExactResume
from remix_plugin.checkpoints.checkpoint_files import checkpoints, remove_replay
from remix_plugin.environments.matrix_game.common import MatrixGameTask

pytestmark = pytest.mark.slow

# Six iterations of 16 frames; the replay is full after four.
KEPT = {
    "max_n_frames": 96,
    "evaluation": True,
    "evaluation_interval": 32,
    "loggers": ["csv"],
    "create_json": True,
    "checkpoint_interval": 16,
    "checkpoint_at_end": True,
    "keep_checkpoints_num": 2,
    "exclude_buffer_from_checkpoint": False,
}
HARD = {"soft_target_update": False, "hard_target_update_frequency": 3}
PRIORITIZED = {"off_policy_use_prioritized_replay_buffer": True}
build = pytest.fixture(experiment_builder)


def matrix_game() -> TaskClass:
    return MatrixGameTask.QTRAN.get_from_yaml()


def stored(**options: Any) -> dict[str, Any]:
    return {"burn_in": "stored", "td_lambda": 0.6, **options}


def all_kept(build: Build, task: TaskClass, algorithm: Any, **settings: Any) -> Any:
    """An experiment that keeps all that going on exactly needs."""
    return build(task, algorithm, **{**KEPT, **settings})


# Every algorithm, model, sampler, kind of target and moment, in few runs.
CASES = {
    # It goes on from 48 frames, before the warm-up has ended.
    "remix": (
        predator_prey,
        RemixConfig,
        {"normalization": "clipped", "warm_up_frames": 64},
        {},
        ("collected", 3),
    ),
    "remix-fused_gru": (
        predator_prey,
        RemixConfig,
        stored(recent_fraction=0.5, recent_size=16),
        {"model": "fused_gru"},
        ("updated", 5),
    ),
    "owqmix-gru": (
        predator_prey,
        OwqmixConfig,
        {},
        {"model": "gru", **HARD},
        ("trained", 2),
    ),
    "cwqmix-matrix": (
        matrix_game,
        CwqmixConfig,
        {},
        {**PRIORITIZED, "buffer_device": "disk"},
        ("evaluated", 3),
    ),
    "qplex": (
        predator_prey,
        QplexConfig,
        {},
        {**PRIORITIZED, **HARD, "share_policy_params": False},
        ("evaluated", 5),
    ),
    "qatten-fused_gru": (
        predator_prey,
        QattenConfig,
        stored(td_lambda=0.0),
        {"model": "fused_gru", "evaluation_interval": 48},
        ("collected", 5),
    ),
    "qtran-gru": (
        predator_prey,
        QtranConfig,
        {"td_lambda": 0.3},
        {"model": "gru", "checkpoint_interval": 48},
        ("trained", 4),
    ),
    "vdac-gru": (
        predator_prey,
        VdacConfig,
        {"epsilon": "everywhere"},
        {"model": "gru"},
        ("collected", 3),
    ),
    # Between two updates of the actors.
    "dop-fused_gru": (
        predator_prey,
        DopConfig,
        {
            "burn_in": "stored",
            "recent_size": 16,
            "critic_lr": 0.01,
            "actor_update_period": 5,
        },
        {"model": "fused_gru"},
        ("trained", 4),
    ),
    "fop": (
        predator_prey,
        FopConfig,
        {"alpha_anneal_frames": 80},
        {**PRIORITIZED},
        ("updated", 5),
    ),
    # The critic's second pass, in which actors rest.
    "coma-fused_gru": (
        predator_prey,
        ComaConfig,
        {"burn_in": "stored"},
        {"model": "fused_gru", "on_policy_n_minibatch_iters": 2, **HARD},
        ("updated", 4),
    ),
    "discretemaddpg": (
        predator_prey,
        DiscreteMaddpgConfig,
        {"td_lambda": 0.3},
        {"share_policy_params": False},
        ("trained", 2),
    ),
    "tunedqmix-matrix": (
        matrix_game,
        TunedQmixConfig,
        {},
        {"off_policy_init_random_frames": 32, "off_policy_memory_size": 1_000},
        ("collected", 1),
    ),
}


@pytest.mark.parametrize(
    ("task", "config", "options", "settings", "moment"),
    [*CASES.values()],
    ids=[*CASES],
)
def test_run_goes_on_to_the_same_bits(
    task: Any, config: Any, options: Any, settings: Any, moment: Any, build: Build
) -> None:
    algorithm = changed(config, **{"absolute_metric_factor": 2, **options})
    whole = all_kept(build, task(), algorithm, **settings)
    whole.run()
    again = cut_off_and_gone_on(
        all_kept(build, task(), algorithm, **settings), CutOff(*moment)
    )
    assert again.total_frames == 96
    assert not differences(everything(again.folder_name), everything(whole.folder_name))


def cut_off_and_gone_on(experiment: Experiment, cut_off: CutOff) -> Experiment:
    """The run at its end, after it has been cut off once."""
    attach(experiment, cut_off)
    run_until_cut_off(experiment)
    again = go_on(experiment.folder_name)
    again.run()
    return again


def test_everything_is_what_it_says(build: Build) -> None:
    experiment = all_kept(build, predator_prey(), RemixConfig.get_from_yaml())
    experiment.run()
    names = everything(experiment.folder_name)
    for kind in (
        "/learners/optimizers/agents/loss/state/0/exp_avg",
        "/collection/carrier/steps/agents/observation",
        "/collection/episodes/world/predators",
        "/collection/test_episodes/generator",
        "/collection/random_states/python/1/623",
        "/checkpoint_files/replay/agents/end",
        "/evaluation_data/best_policy",
        "NAME.json",
        "evaluation_episodes.csv",
        "projection_weights.csv",
        "train_agents_loss.csv",
        "replay/agents/rows_80_96.pt.gz",
    ):
        assert any(kind in name for name in names), kind


@pytest.mark.parametrize("config", [QmixConfig, VdnConfig, MappoConfig])
def test_algorithms_of_benchmarl_go_on_too(config: Any, build: Build) -> None:
    # As in suites: given the callbacks, which config.pkl then holds.
    on_policy = {
        "on_policy_collected_frames_per_batch": 16,
        "on_policy_n_envs_per_worker": 4,
        "on_policy_n_minibatch_iters": 2,
        "on_policy_minibatch_size": 8,
    }

    def experiment() -> Experiment:
        return all_kept(
            build,
            predator_prey(),
            config.get_from_yaml(),
            callbacks=(EvaluationRecorder(2), ExactResume()),
            **on_policy,
        )

    whole = experiment()
    whole.run()
    again = cut_off_and_gone_on(experiment(), CutOff("trained", 3))
    assert not differences(everything(again.folder_name), everything(whole.folder_name))


def test_two_algorithms_of_an_ensemble_go_on(build: Build) -> None:
    ensemble = EnsembleAlgorithmConfig(
        {
            "adversary": changed(OwqmixConfig, **stored(td_lambda=0.0)),
            "agent": changed(QplexConfig, **stored(td_lambda=0.0)),
        }
    )
    task = VmasTask.SIMPLE_TAG.get_from_yaml()
    task.config["max_steps"] = 5
    experiment = all_kept(build, task, ensemble, model="fused_gru")
    attach(experiment, CutOff("collected", 3))
    run_until_cut_off(experiment)
    again = go_on(experiment.folder_name)
    # VMAS does not tell the state of its episodes.
    message = "does not tell its state, so episodes begin anew"
    with pytest.warns(UserWarning, match=message) as warned:
        again.run()
    assert sum(message in str(one.message) for one in warned) == 1
    assert again.total_frames == 96
    assert len(again.replay_buffers["agent"]) == 64 // 4


@pytest.mark.parametrize("lost", ["checkpoint", "json"])
def test_files_that_are_being_written_stay_whole(
    lost: str, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = all_kept(build, predator_prey(), RemixConfig.get_from_yaml())
    whole.run()
    cut = all_kept(build, predator_prey(), RemixConfig.get_from_yaml())
    real = os.replace
    ending = {"checkpoint": "checkpoint_64.pt", "json": f"{cut.name}.json"}[lost]

    def replace(source: Path, target: Path) -> None:
        # The file is written, but has not got its name.
        if Path(target).name == ending and cut.total_frames == 64:
            raise CutOffError
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(whole_files.os, "replace", replace)
        run_until_cut_off(cut)
    assert last(cut.folder_name).name == "checkpoint_48.pt"
    json.loads((cut.folder_name / f"{cut.name}.json").read_text())
    assert len(list(cut.folder_name.rglob("*.part"))) == 1
    again = go_on(cut.folder_name)
    again.run()
    assert not differences(everything(again.folder_name), everything(whole.folder_name))


def test_changed_options_hold_from_there_on(build: Build) -> None:
    cut = all_kept(build, SmallTask(), RemixConfig.get_from_yaml())
    attach(cut, CutOff("collected", 3))
    run_until_cut_off(cut)
    decay = {"weight_decay": 0.125}
    changes = {"lr": 0.5, "adam_eps": 0.25, "adam_extra_kwargs": decay}
    again = go_on(cut.folder_name, **changes, max_n_frames=80)
    (group,) = again.optimizers["agents"]["loss"].param_groups
    assert (group["lr"], group["eps"]) == (0.5, 0.25)
    assert group["weight_decay"] == 0.125
    with pytest.warns(UserWarning, match=r"lr was 0\.001, now it is 0\.5") as warned:
        again.run()
    assert not any("max_n_frames" in str(one.message) for one in warned)


def kept(experiment: Experiment) -> list[int]:
    """Frames of the checkpoints in a run's folder."""
    return [
        int(path.stem.rpartition("_")[2])
        for path in checkpoints(experiment.folder_name)
    ]


def test_checkpoints_of_before_count_among_those_that_are_kept(build: Build) -> None:
    cut = all_kept(
        build, SmallTask(), RemixConfig.get_from_yaml(), keep_checkpoints_num=3
    )
    attach(cut, CutOff("collected", 4))
    run_until_cut_off(cut)
    assert kept(cut) == [32, 48, 64]
    again = go_on(cut.folder_name)
    attach(again, CutOff("evaluated", 5))
    run_until_cut_off(again)
    assert kept(again) == [48, 64, 80]
    once_more = go_on(cut.folder_name)
    once_more.run()
    assert kept(once_more) == [64, 80, 96]


def test_going_on_from_an_earlier_checkpoint_removes_the_later(build: Build) -> None:
    whole = all_kept(
        build, predator_prey(), RemixConfig.get_from_yaml(), keep_checkpoints_num=None
    )
    whole.run()
    before = everything(whole.folder_name)
    path = whole.folder_name / "checkpoints" / "checkpoint_32.pt"
    again = Experiment.reload_from_file(str(path))
    assert not differences(everything(whole.folder_name), before)
    attach(again, CutOff("collected", 2))
    run_until_cut_off(again)
    assert kept(again) == [16, 32]
    frames = whole.folder_name / whole.name / "scalars/counters_total_frames.csv"
    assert frames.read_text() == "0,16.0\n1,32.0\n"
    again = go_on(whole.folder_name)
    again.run()
    assert not differences(everything(again.folder_name), before)


def test_run_goes_on_in_another_folder(build: Build, tmp_path: Path) -> None:
    whole = all_kept(build, predator_prey(), RemixConfig.get_from_yaml())
    whole.run()
    cut = all_kept(build, predator_prey(), RemixConfig.get_from_yaml())
    attach(cut, CutOff("trained", 3))
    run_until_cut_off(cut)
    before = everything(cut.folder_name)
    again = go_on(cut.folder_name, save_folder=str(tmp_path))
    again.run()
    assert again.folder_name == tmp_path / cut.name
    assert not differences(everything(cut.folder_name), before)
    one, other = (parameters(e.losses["agents"], target=True) for e in (again, whole))
    assert all(torch.equal(one[name], other[name]) for name in one)
    # The new folder stands alone.
    shutil.rmtree(cut.folder_name)
    rows = sorted((again.folder_name / "checkpoints/replay/agents").iterdir())
    assert [path.name for path in rows] == [
        "rows_0_64.pt.gz",
        *(f"rows_{n}_{n + 16}.pt.gz" for n in (64, 80)),
    ]
    go_on(again.folder_name).close()


def test_finished_run_that_goes_on_stays_as_it_is(build: Build) -> None:
    whole = all_kept(build, predator_prey(), RemixConfig.get_from_yaml())
    whole.run()
    before = everything(whole.folder_name)
    go_on(whole.folder_name).run()
    assert not differences(everything(whole.folder_name), before)


def test_replay_that_was_left_out_or_removed_is_told_of(build: Build) -> None:
    for excluded, message in (
        (True, "exclude_buffer_from_checkpoint=True has left out its replay"),
        (False, "replay/agents is missing: it held the replay buffer"),
    ):
        cut = all_kept(
            build,
            SmallTask(),
            RemixConfig.get_from_yaml(),
            exclude_buffer_from_checkpoint=excluded,
        )
        attach(cut, CutOff("collected", 2))
        run_until_cut_off(cut)
        if not excluded:
            remove_replay(cut.folder_name)
        again = go_on(cut.folder_name)
        if excluded:
            with pytest.warns(UserWarning, match=message):
                again.run()
        else:
            again.evaluate()
            with pytest.raises(FileNotFoundError, match=message):
                again.run()


def test_what_numbers_depend_on_is_told_of(build: Build) -> None:
    cut = all_kept(build, predator_prey(), RemixConfig.get_from_yaml())
    attach(cut, CutOff("collected", 2))
    run_until_cut_off(cut)
    state = torch.load(last(cut.folder_name), weights_only=True)
    state["exact_resume"]["conditions"]["threads"] = 64
    torch.save(state, last(cut.folder_name))
    with pytest.warns(UserWarning, match="threads was 64, now it is 1"):
        go_on(cut.folder_name).run()


@pytest.mark.parametrize("left", ["0,0.0\n", None])
def test_lost_rows_of_a_log_are_told_of_and_nothing_changes(
    left: str | None, build: Build
) -> None:
    cut = all_kept(
        build, predator_prey(), RemixConfig.get_from_yaml(), keep_checkpoints_num=None
    )
    attach(cut, CutOff("collected", 3))
    run_until_cut_off(cut)
    path = cut.folder_name / cut.name / "scalars/counters_iter.csv"
    path.unlink()
    if left is not None:
        path.write_text(left)
    before = everything(cut.folder_name)
    first = cut.folder_name / "checkpoints/checkpoint_32.pt"
    again = Experiment.reload_from_file(str(first))
    n_bytes = 0 if left is None else 6
    message = rf"counters_iter.csv has {n_bytes} bytes, at the checkpoint it had 12: "
    with pytest.raises(ValueError, match=message):
        again.run()
    assert not differences(everything(cut.folder_name), before)


def test_another_size_of_the_replay_is_refused(build: Build) -> None:
    cut = all_kept(build, predator_prey(), RemixConfig.get_from_yaml())
    attach(cut, CutOff("collected", 2))
    run_until_cut_off(cut)
    with pytest.raises(ValueError, match=r"room for 48 rows, .* checkpoint had 64"):
        go_on(cut.folder_name, off_policy_memory_size=48)


def test_another_number_of_environments_is_refused(build: Build) -> None:
    cut = all_kept(build, predator_prey(), RemixConfig.get_from_yaml())
    attach(cut, CutOff("collected", 2))
    run_until_cut_off(cut)
    again = go_on(cut.folder_name, off_policy_n_envs_per_worker=8)
    message = "collects from 8 environments, that of the checkpoint from 4"
    with pytest.raises(ValueError, match=message):
        again.run()
