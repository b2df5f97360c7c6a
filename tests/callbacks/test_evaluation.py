"""What evaluated runs write of their episodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from evaluated_runs import (
    FACTOR,
    FRAMES,
    Director,
    Keeper,
    VaryingTask,
    absolute,
    episode_rows,
    evaluations,
    files,
    json_path,
    kept,
    measured,
    numbers,
    run_data,
    scalars,
    steps,
    steps_taken,
    tag,
)
from small_tasks import MAX_STEPS, SmallTask
from tiny_experiments import Build, predator_prey

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.callbacks.evaluation import EPISODES_FILE
from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE

pytestmark = pytest.mark.slow

N_PREY = 2
OUTCOMES = ["success_rate", "prey_caught"]
METRICS = ["agents_return", "return", "episode_length", *OUTCOMES]


@pytest.fixture(scope="module")
def hunt(build: Build) -> Keeper:
    """A finished run of ReMIX on Predator-Prey, three evaluations of five episodes."""
    # Many who explore catch prey more often than few who have hardly learned.
    task = predator_prey()
    task.config.update(n_predators=5, n_prey=N_PREY, max_steps=12)
    return kept(
        build(
            task,
            measured(),
            evaluation_episodes=5,
            evaluation_deterministic_actions=False,
            exploration_eps_end=1.0,
        )
    )


def test_csv_has_each_episode_of_each_evaluation(hunt: Keeper) -> None:
    episodes = evaluations(hunt.experiment)
    for one, rollouts in zip(episodes, hunt.rollouts, strict=True):
        assert list(one) == METRICS
        lengths = [steps_taken(rollout) for rollout in rollouts]
        assert one["episode_length"] == lengths
        caught = [
            rollout["next", "info", "prey_caught"][length - 1].item()
            for rollout, length in zip(rollouts, lengths, strict=True)
        ]
        assert one["prey_caught"] == caught
        assert one["success_rate"] == [float(n == N_PREY) for n in caught]
        assert one["return"] == pytest.approx(
            [
                sum(rollout["next", "reward"].flatten().tolist()[:length])
                for rollout, length in zip(rollouts, lengths, strict=True)
            ]
        )
    everything = [n for one in episodes for n in one["prey_caught"]]
    assert 0 < sum(everything) < len(everything)


def test_csv_has_a_row_per_episode(hunt: Keeper) -> None:
    experiment = hunt.experiment
    rows = episode_rows(experiment, "evaluation")
    assert list(rows[0]) == ["phase", "frames", "episode", *METRICS]
    assert numbers(rows, "frames") == [16.0] * 5 + [32.0] * 5 + [48.0] * 5
    assert numbers(rows, "episode") == [*range(5)] * 3
    lines = (experiment.folder_name / EPISODES_FILE).read_text().splitlines()
    phases = [line.split(",")[0] for line in lines]
    assert phases == ["phase"] + ["evaluation"] * 15 + ["absolute"] * 5 * FACTOR


def test_returns_are_those_of_the_json_to_the_last_bit(hunt: Keeper) -> None:
    data = run_data(hunt.experiment)
    assert list(data) == ["absolute_metrics", "step_1", "step_2", "step_3"]
    episodes = evaluations(hunt.experiment)
    for number, (step, one) in enumerate(
        zip(steps(hunt.experiment), episodes, strict=True), 1
    ):
        assert step == {
            "step_count": number * FRAMES,
            "agents_return": one["agents_return"],
            "return": one["return"],
        }


def test_outcomes_are_logged_and_what_benchmarl_logs_is_not(hunt: Keeper) -> None:
    experiment = hunt.experiment
    for name in OUTCOMES:
        means = [sum(one[name]) / 5 for one in evaluations(experiment)]
        assert scalars(experiment, f"eval_info_{name}") == [
            (number, pytest.approx(mean)) for number, mean in enumerate(means)
        ]
    folder = experiment.folder_name / experiment.name / "scalars"
    ours = {path.stem for path in folder.glob("eval_info_*.csv")}
    assert ours == {f"eval_info_{name}" for name in OUTCOMES}


def test_absolute_metric_is_the_last_evaluation_of_all(hunt: Keeper) -> None:
    experiment = hunt.experiment
    measures = absolute(experiment)
    assert list(measures) == METRICS
    rows = episode_rows(experiment, "absolute")
    assert numbers(rows, "episode") == [*range(5 * FACTOR)]
    for name, values in measures.items():
        assert len(values) == 5 * FACTOR
        mean = sum(values) / len(values)
        assert scalars(experiment, f"absolute_{name}") == [(2, pytest.approx(mean))]
    # Episodes differ from each other.
    assert len(set(measures["return"])) > 1


@pytest.mark.parametrize("interval", [16, 32])
def test_groups_have_returns_of_their_own(interval: int, build: Build) -> None:
    experiment = build(tag(), measured(), evaluation_interval=interval)
    keeper = kept(experiment)
    returns = ["adversary_return", "agent_return", "return"]
    episodes = evaluations(experiment)
    for step, one in zip(steps(experiment), episodes, strict=True):
        assert list(one) == [*returns, "episode_length"]
        assert {name: step[name] for name in returns} == {
            name: one[name] for name in returns
        }
    assert all(any(value for one in episodes for value in one[n]) for n in returns)
    for one, rollouts in zip(episodes, keeper.rollouts, strict=True):
        assert one["episode_length"] == [steps_taken(rollout) for rollout in rollouts]
    # The run is finished once, not for each group.
    assert len(episode_rows(experiment, "absolute")) == 2 * FACTOR
    for name in returns:
        assert len(scalars(experiment, f"absolute_{name}")) == 1


def test_environments_that_are_not_batched_play_one_by_one(build: Build) -> None:
    experiment = build(VaryingTask(batched=False), measured(), evaluation_episodes=4)
    keeper = kept(experiment)
    for one, rollouts in zip(evaluations(experiment), keeper.rollouts, strict=True):
        lengths = [len(rollout) for rollout in rollouts]
        assert one["episode_length"] == lengths
        assert sorted(lengths) in ([1, 1, 2, 3], [1, 2, 2, 3], [1, 2, 3, 3])
    measured_lengths = absolute(experiment)["episode_length"]
    assert len(measured_lengths) == 4 * FACTOR
    turns = [1.0, 2.0, 3.0] * 2 * FACTOR
    first = int(measured_lengths[0]) - 1
    assert measured_lengths == turns[first : first + 4 * FACTOR]


def test_what_an_episode_does_not_tell_is_left_out(build: Build) -> None:
    # BenchMARL stops before the task does: nobody knows how episodes would have ended.
    experiment = build(predator_prey(), measured())
    experiment.max_steps = 4
    experiment.run()
    for one in (*evaluations(experiment), absolute(experiment)):
        assert set(one["episode_length"]) == {4.0}
        assert len(one["return"]) == len(one["episode_length"])
        assert [one[name] for name in OUTCOMES] == [[], []]
    assert scalars(experiment, "absolute_return")
    for name in OUTCOMES:
        assert not scalars(experiment, f"eval_info_{name}")
        assert not scalars(experiment, f"absolute_{name}")


def test_environments_of_a_batch_end_one_by_one(build: Build) -> None:
    experiment = build(VaryingTask(), measured(), evaluation_episodes=3)
    experiment.run()
    lengths = [one["episode_length"] for one in evaluations(experiment)]
    assert lengths == [[1.0, 2.0, 3.0]] * 3
    assert absolute(experiment)["episode_length"] == [1.0, 2.0, 3.0] * FACTOR


WRITTEN = {
    "csv_and_json": (["csv"], True, True),
    "csv": (["csv"], False, True),
    "json": ([], True, True),
    "nothing": ([], False, True),
    "not_evaluated": (["csv"], True, False),
}


@pytest.mark.parametrize(
    ("loggers", "create_json", "evaluation"), [*WRITTEN.values()], ids=[*WRITTEN]
)
def test_nothing_is_written_that_was_not_asked_for(
    loggers: list[str], create_json: bool, evaluation: bool, build: Build
) -> None:
    experiment = build(
        SmallTask(),
        measured(),
        loggers=loggers,
        create_json=create_json,
        evaluation=evaluation,
    )
    experiment.run()
    expected = {"config.pkl"}
    if loggers or create_json:
        expected.add(WEIGHTS_FILE)
    if (loggers or create_json) and evaluation:
        expected.add(EPISODES_FILE)
        assert len(evaluations(experiment)) == 3
        assert len(absolute(experiment)["return"]) == 2 * FACTOR
    if create_json and evaluation:
        expected.add(f"{experiment.name}.json")
    assert files(experiment) == expected
    assert len(scalars(experiment, "absolute_return")) == (
        1 if loggers and evaluation else 0
    )


def test_one_iteration_is_a_run(build: Build) -> None:
    experiment = build(SmallTask(), measured(), max_n_frames=FRAMES)
    experiment.run()
    assert list(run_data(experiment)) == ["absolute_metrics", "step_1"]
    assert len(evaluations(experiment)) == 1
    assert len(absolute(experiment)["return"]) == 2 * FACTOR


def test_json_is_replaced_whole(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    # It used to be opened to be written anew: cut off then, half of it was left.
    experiment = build(SmallTask(), RemixConfig.get_from_yaml())
    real, written = json.dump, []

    def cut_off(content: Any, file: Any, **options: Any) -> None:
        written.append(Path(file.name))
        if len(written) == 2:
            file.write("{")
            raise OSError("cut off")
        real(content, file, **options)

    monkeypatch.setattr(json, "dump", cut_off)
    with pytest.raises(OSError, match="cut off"):
        experiment.run()
    assert len(steps(experiment)) == 1
    path = json_path(experiment)
    assert written == [path.with_name(f"{path.name}.part")] * 2


def test_run_that_keeps_nothing_does_not_look_for_the_best(build: Build) -> None:
    experiment = build(
        SmallTask(),
        measured(),
        share_policy_params=False,
        evaluation_interval=32,
        loggers=[],
        create_json=False,
    )
    director = Director(0, 0, 0)
    director.direct(experiment)
    experiment.evaluate()
    experiment.run()
    assert len(director.acted) == MAX_STEPS
