"""An evaluation that is not part of a run changes nothing of the run."""

from __future__ import annotations

import pytest
from benchmarl.experiment import Experiment
from evaluated_runs import (
    FRAMES,
    Keeper,
    absolute,
    by_metric,
    csv_rows,
    evaluation_data,
    evaluations,
    json_path,
    measured,
)
from small_tasks import SmallTask
from tiny_experiments import Build, predator_prey

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.callbacks.evaluation import OTHER_EVALUATIONS

pytestmark = pytest.mark.slow


def content(experiment: Experiment) -> dict[str, bytes]:
    """All files of a run, those of other evaluations left out."""
    folder = experiment.folder_name
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return {name: data for name, data in files.items() if OTHER_EVALUATIONS not in name}


def other_evaluations(experiment: Experiment) -> dict[str, bytes]:
    """The files of evaluations that are not part of the run."""
    folder = experiment.folder_name / OTHER_EVALUATIONS
    return {path.name: path.read_bytes() for path in folder.glob("*")}


def evaluated(experiment: Experiment) -> Keeper:
    """Evaluate it, and keep the rollouts."""
    keeper = Keeper()
    keeper.experiment = experiment
    experiment.callbacks = [*experiment.callbacks, keeper]
    experiment.evaluate()
    return keeper


def finished(build: Build) -> Experiment:
    """A run of three iterations with all their checkpoints and its replay on disk."""
    experiment = build(
        predator_prey(), measured(), checkpoint_interval=FRAMES, buffer_device="disk"
    )
    experiment.run()
    return experiment


def checkpoint(experiment: Experiment, frames: int) -> str:
    """One of its checkpoints."""
    return str(experiment.folder_name / "checkpoints" / f"checkpoint_{frames}.pt")


def check_what_it_leaves(experiment: Experiment, frames: int, keeper: Keeper) -> None:
    """The csv holds the episodes of the only evaluation that was kept."""
    path = experiment.folder_name / OTHER_EVALUATIONS / f"frames_{frames}.csv"
    rows = csv_rows(path)
    assert [(r["phase"], r["frames"], r["episode"]) for r in rows] == [
        ("evaluation", str(frames), "0"),
        ("evaluation", str(frames), "1"),
    ]
    (rollouts,) = keeper.rollouts
    episodes = by_metric(rows)
    assert list(episodes) == list(evaluations(experiment)[0])
    assert episodes["episode_length"] == [len(rollout) for rollout in rollouts]
    assert episodes["return"] == pytest.approx(
        [rollout["next", "reward"].sum().item() for rollout in rollouts]
    )


def test_evaluation_after_a_run_leaves_its_results(build: Build) -> None:
    # BenchMARL would add a best episode to the json, and rows to the logs.
    experiment = finished(build)
    before = content(experiment)
    assert json_path(experiment).name in before
    assert "evaluation_episodes.csv" in before
    keeper = evaluated(experiment)
    assert content(experiment) == before
    assert list(other_evaluations(experiment)) == ["frames_48.csv"]
    check_what_it_leaves(experiment, 48, keeper)


def test_evaluation_of_a_checkpoint_leaves_all_of_its_run(build: Build) -> None:
    # To load it writes the options anew, and used to begin the json anew.
    experiment = finished(build)
    before = content(experiment)
    found = []
    for frames in (16, 16, 48):
        again = Experiment.reload_from_file(checkpoint(experiment, frames))
        assert again.folder_name == experiment.folder_name
        assert content(again) == before
        keeper = evaluated(again)
        assert content(again) == before
        check_what_it_leaves(again, frames, keeper)
        found.append(other_evaluations(again))
    # Twice is once, and another checkpoint is evaluated apart.
    first, second, third = found
    assert first == second == {"frames_16.csv": first["frames_16.csv"]}
    assert third == {**first, "frames_48.csv": third["frames_48.csv"]}


def test_run_goes_on_after_an_evaluation_as_without(build: Build) -> None:
    experiment = finished(build)
    before = content(experiment)
    again = Experiment.reload_from_file(checkpoint(experiment, 32))
    again.evaluate()
    (callback,) = evaluation_data(again)
    again.run()
    assert evaluation_data(again) == [callback]
    for name in (json_path(experiment).name, "evaluation_episodes.csv"):
        assert content(again)[name] == before[name]
    again.evaluate()
    assert set(other_evaluations(again)) == {"frames_32.csv", "frames_48.csv"}


@pytest.mark.parametrize("interval", [16, 32])
def test_evaluation_before_a_run_does_not_end_it(interval: int, build: Build) -> None:
    # The iteration to come is the last, and is evaluated as the first always is.
    experiment = build(
        SmallTask(), measured(), max_n_frames=FRAMES, evaluation_interval=interval
    )
    experiment.evaluate()
    assert not (experiment.folder_name / "evaluation_episodes.csv").exists()
    assert list(other_evaluations(experiment)) == ["frames_0.csv"]
    experiment.run()
    assert len(evaluations(experiment)) == 1
    assert len(absolute(experiment)["return"]) == 2 * 10


@pytest.mark.parametrize("loggers", [["csv"], []], ids=["csv", "nothing"])
def test_nothing_is_kept_where_results_are_not(
    loggers: list[str], build: Build
) -> None:
    experiment = build(
        SmallTask(), RemixConfig.get_from_yaml(), loggers=loggers, create_json=False
    )
    experiment.run()
    before = content(experiment)
    experiment.evaluate()
    assert content(experiment) == before
    assert len(other_evaluations(experiment)) == len(loggers)
