"""What evaluated runs write of their episodes."""

from __future__ import annotations

import os
from typing import Any

import pytest
from evaluated_runs import (
    FACTOR,
    FRAMES,
    Director,
    Keeper,
    VaryingTask,
    episode_rows,
    evaluation_data,
    files,
    kept,
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
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.callbacks.evaluation import EPISODES_FILE, EvaluationData
from remix_plugin.callbacks.projection_weights import WEIGHTS_FILE

N_PREY = 2
OUTCOMES = ["success_rate", "prey_caught"]


@pytest.fixture(scope="module")
def hunt(build: Build) -> Keeper:
    """A finished run of ReMIX on Predator-Prey, three evaluations of five episodes."""
    # Many who explore catch prey more often than few who have hardly learned.
    task = predator_prey()
    task.config.update(n_predators=5, n_prey=N_PREY, max_steps=12)
    return kept(
        build(
            task,
            RemixConfig.get_from_yaml(),
            evaluation_episodes=5,
            evaluation_deterministic_actions=False,
            exploration_eps_end=1.0,
        )
    )


def test_json_has_each_episode_of_each_evaluation(hunt: Keeper) -> None:
    data = run_data(hunt.experiment)
    assert list(data) == ["absolute_metrics", "step_1", "step_2", "step_3"]
    for number, rollouts in enumerate(hunt.rollouts, 1):
        step = data[f"step_{number}"]
        returns = ["agents_return", "return"]
        assert list(step) == ["step_count", *returns, "episode_length", *OUTCOMES]
        assert step["step_count"] == number * FRAMES
        lengths = [steps_taken(rollout) for rollout in rollouts]
        assert step["episode_length"] == lengths
        caught = [
            rollout["next", "info", "prey_caught"][length - 1].item()
            for rollout, length in zip(rollouts, lengths, strict=True)
        ]
        assert step["prey_caught"] == caught
        assert step["success_rate"] == [float(n == N_PREY) for n in caught]
        assert step["return"] == pytest.approx(
            [
                sum(rollout["next", "reward"].flatten().tolist()[:length])
                for rollout, length in zip(rollouts, lengths, strict=True)
            ]
        )
    everything = [n for step in steps(hunt.experiment) for n in step["prey_caught"]]
    assert 0 < sum(everything) < len(everything)


def test_csv_has_a_row_per_episode(hunt: Keeper) -> None:
    experiment = hunt.experiment
    rows = episode_rows(experiment, "evaluation")
    assert list(rows[0]) == [
        *("phase", "frames", "episode", "agents_return", "return"),
        *("episode_length", *OUTCOMES),
    ]
    assert numbers(rows, "frames") == [16.0] * 5 + [32.0] * 5 + [48.0] * 5
    assert numbers(rows, "episode") == [*range(5)] * 3
    for name in ("agents_return", "return", "episode_length", *OUTCOMES):
        in_json = [value for step in steps(experiment) for value in step[name]]
        assert numbers(rows, name) == in_json
    lines = (experiment.folder_name / EPISODES_FILE).read_text().splitlines()
    phases = [line.split(",")[0] for line in lines]
    assert phases == ["phase"] + ["evaluation"] * 15 + ["absolute"] * 5 * FACTOR


def test_outcomes_are_logged_and_what_benchmarl_logs_is_not(hunt: Keeper) -> None:
    experiment = hunt.experiment
    for name in OUTCOMES:
        means = [sum(step[name]) / 5 for step in steps(experiment)]
        assert scalars(experiment, f"eval_info_{name}") == [
            (number, pytest.approx(mean)) for number, mean in enumerate(means)
        ]
    folder = experiment.folder_name / experiment.name / "scalars"
    ours = {path.stem for path in folder.glob("eval_info_*.csv")}
    assert ours == {f"eval_info_{name}" for name in OUTCOMES}


def test_absolute_metrics_are_the_last_evaluation_of_all(hunt: Keeper) -> None:
    experiment = hunt.experiment
    absolute = run_data(experiment)["absolute_metrics"]
    assert list(absolute) == ["agents_return", "return", "episode_length", *OUTCOMES]
    rows = episode_rows(experiment, "absolute")
    assert numbers(rows, "episode") == [*range(5 * FACTOR)]
    for name, values in absolute.items():
        assert len(values) == 5 * FACTOR
        assert numbers(rows, name) == values
        mean = sum(values) / len(values)
        assert scalars(experiment, f"absolute_{name}") == [(2, pytest.approx(mean))]
    # Episodes differ from each other.
    assert len(set(absolute["return"])) > 1


@pytest.mark.parametrize("interval", [16, 32])
def test_absolute_metrics_are_empty_until_the_end(interval: int, build: Build) -> None:
    # The callback of the test comes last: it reads what is left after an evaluation.
    algorithm = OwqmixConfig.get_from_yaml()
    keeper = kept(build(SmallTask(), algorithm, evaluation_interval=interval))
    *before, last = keeper.absolute
    assert before == [{}] * (2 if interval == 16 else 1)
    absolute = run_data(keeper.experiment)["absolute_metrics"]
    assert len(absolute["return"]) == 2 * FACTOR
    assert last == (absolute if interval == 16 else {})
    assert not list(keeper.experiment.folder_name.glob("*.part"))


@pytest.mark.parametrize("interval", [16, 32])
def test_groups_have_returns_of_their_own(interval: int, build: Build) -> None:
    algorithm = RemixConfig.get_from_yaml()
    experiment = build(tag(), algorithm, evaluation_interval=interval)
    keeper = kept(experiment)
    returns = ["adversary_return", "agent_return", "return"]
    rows = episode_rows(experiment, "evaluation")
    assert list(rows[0])[3:] == [*returns, "episode_length"]
    for name in returns:
        in_json = [value for step in steps(experiment) for value in step[name]]
        assert numbers(rows, name) == in_json
        assert any(in_json)
    for step, rollouts in zip(steps(experiment), keeper.rollouts, strict=True):
        assert list(step) == ["step_count", *returns, "episode_length"]
        assert step["episode_length"] == [steps_taken(one) for one in rollouts]
    # The run is finished once, not for each group.
    assert len(episode_rows(experiment, "absolute")) == 2 * FACTOR
    for name in returns:
        assert len(scalars(experiment, f"absolute_{name}")) == 1


def test_environments_that_are_not_batched_play_one_by_one(build: Build) -> None:
    experiment = build(
        VaryingTask(batched=False), RemixConfig.get_from_yaml(), evaluation_episodes=4
    )
    keeper = kept(experiment)
    for step, rollouts in zip(steps(experiment), keeper.rollouts, strict=True):
        lengths = [len(rollout) for rollout in rollouts]
        assert step["episode_length"] == lengths
        assert sorted(lengths) in ([1, 1, 2, 3], [1, 2, 2, 3], [1, 2, 3, 3])
    lengths = run_data(experiment)["absolute_metrics"]["episode_length"]
    assert len(lengths) == 4 * FACTOR
    turns = [1.0, 2.0, 3.0] * 2 * FACTOR
    first = int(lengths[0]) - 1
    assert lengths == turns[first : first + 4 * FACTOR]


def test_what_an_episode_does_not_tell_is_left_out(build: Build) -> None:
    # BenchMARL stops before the task does: nobody knows how episodes would have ended.
    experiment = build(predator_prey(), RemixConfig.get_from_yaml())
    experiment.max_steps = 4
    experiment.run()
    data = run_data(experiment)
    for evaluation in (*steps(experiment), data["absolute_metrics"]):
        assert set(evaluation["episode_length"]) == {4.0}
        assert len(evaluation["return"]) == len(evaluation["episode_length"])
        assert [evaluation[name] for name in OUTCOMES] == [[], []]
    for phase in ("evaluation", "absolute"):
        for row in episode_rows(experiment, phase):
            assert [row[name] for name in OUTCOMES] == ["", ""]
            assert row["return"]
    assert scalars(experiment, "absolute_return")
    for name in OUTCOMES:
        assert not scalars(experiment, f"eval_info_{name}")
        assert not scalars(experiment, f"absolute_{name}")


def test_environments_of_a_batch_end_one_by_one(build: Build) -> None:
    experiment = build(
        VaryingTask(), RemixConfig.get_from_yaml(), evaluation_episodes=3
    )
    experiment.run()
    for step in steps(experiment):
        assert step["episode_length"] == [1.0, 2.0, 3.0]
    absolute = run_data(experiment)["absolute_metrics"]
    assert absolute["episode_length"] == [1.0, 2.0, 3.0] * FACTOR


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
        RemixConfig.get_from_yaml(),
        loggers=loggers,
        create_json=create_json,
        evaluation=evaluation,
    )
    experiment.run()
    expected = {"config.pkl"}
    if loggers or create_json:
        expected.add(WEIGHTS_FILE)
    if loggers and evaluation:
        expected.add(EPISODES_FILE)
    if create_json and evaluation:
        expected.add(f"{experiment.name}.json")
        assert len(run_data(experiment)["absolute_metrics"]["return"]) == 2 * FACTOR
    assert files(experiment) == expected
    assert len(scalars(experiment, "absolute_return")) == (
        1 if loggers and evaluation else 0
    )


def test_one_iteration_is_a_run(build: Build) -> None:
    experiment = build(SmallTask(), RemixConfig.get_from_yaml(), max_n_frames=FRAMES)
    experiment.run()
    data = run_data(experiment)
    assert list(data) == ["absolute_metrics", "step_1"]
    assert len(data["absolute_metrics"]["return"]) == 2 * FACTOR
    assert len(episode_rows(experiment, "absolute")) == 2 * FACTOR


def test_factor_is_the_user_s(build: Build) -> None:
    callbacks = (EvaluationData(episodes_factor=1),)
    experiment = build(SmallTask(), RemixConfig.get_from_yaml(), callbacks=callbacks)
    experiment.run()
    assert len(run_data(experiment)["absolute_metrics"]["return"]) == 2
    for factor in (0, -1):
        with pytest.raises(ValueError, match=f"episodes_factor={factor} is not"):
            EvaluationData(episodes_factor=factor)


def test_evaluation_after_a_run_leaves_its_absolute_metrics(build: Build) -> None:
    # BenchMARL would put the best episode into them, and ours used to empty them.
    experiment = build(SmallTask(), RemixConfig.get_from_yaml())
    experiment.run()
    before = run_data(experiment)["absolute_metrics"]
    experiment.evaluate()
    assert run_data(experiment)["absolute_metrics"] == before
    assert len(episode_rows(experiment, "absolute")) == 2 * FACTOR


@pytest.mark.parametrize("interval", [16, 32])
def test_evaluation_before_a_run_does_not_end_it(interval: int, build: Build) -> None:
    # The iteration to come is the last, and is evaluated as the first always is.
    experiment = build(
        SmallTask(),
        RemixConfig.get_from_yaml(),
        max_n_frames=FRAMES,
        evaluation_interval=interval,
    )
    experiment.evaluate()
    assert run_data(experiment)["absolute_metrics"] == {}
    experiment.run()
    assert len(run_data(experiment)["absolute_metrics"]["return"]) == 2 * FACTOR
    assert len(episode_rows(experiment, "absolute")) == 2 * FACTOR


def test_step_that_is_evaluated_again_has_the_new_episodes(build: Build) -> None:
    experiment = build(VaryingTask(batched=False), RemixConfig.get_from_yaml())
    experiment.run()
    first = steps(experiment)[-1]
    experiment.evaluate()
    again = steps(experiment)[-1]
    rows = episode_rows(experiment, "evaluation")[-2:]
    for name in ("return", "episode_length"):
        assert numbers(rows, name) == again[name]
    assert first["episode_length"] != again["episode_length"]


def test_json_is_replaced_whole(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = build(VaryingTask(batched=False), RemixConfig.get_from_yaml())
    keeper = kept(experiment)
    path = experiment.folder_name / f"{experiment.name}.json"
    before = path.read_bytes()
    (callback,) = evaluation_data(experiment)

    def fail(*_: Any) -> None:
        raise OSError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="cut off"):
            callback.on_evaluation_end(keeper.rollouts[0])
    assert path.read_bytes() == before
    callback.on_evaluation_end(keeper.rollouts[0])
    assert path.read_bytes() != before
    lengths = [len(rollout) for rollout in keeper.rollouts[0]]
    assert steps(experiment)[-1]["episode_length"] == lengths
    assert not list(experiment.folder_name.glob("*.part"))


def test_run_that_keeps_nothing_does_not_look_for_the_best(build: Build) -> None:
    experiment = build(
        SmallTask(),
        RemixConfig.get_from_yaml(),
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
