"""What a file says twice must agree, in each of its ways to say it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from logged_runs import FRAMES, RETURNS, TASK, WEIGHTS, write_log, write_two_groups
from written_runs import write_csv, write_json

from remix_plugin.damaged import DamagedFileError
from remix_plugin.results.benchmarl_json import read_json_runs
from remix_plugin.results.csv_log import seconds_of
from remix_plugin.results.episodes_csv import read_episodes_table
from remix_plugin.results.reading import read_results
from remix_plugin.results.weights_csv import read_weights

RUN = (*TASK, "remix", 3)


def changed(path: Path, old: str, new: str) -> Path:
    """A file with the first place of a text changed, line ends as they are."""
    content = path.read_bytes().decode()
    assert old in content
    path.write_bytes(content.replace(old, new, 1).encode())
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-2.25", "-2.5", "of evaluation 0 is not the mean of agents_return"),
        # The nearest number that a float32 does not hold
        (
            "0.10000000149011612",
            "0.10000000149011613",
            "of evaluation 1 is not the mean",
        ),
        (
            '"absolute_metrics": {',
            '"absolute_metrics": {"b_return": [1],',
            "best episodes",
        ),
        ("40.0", "41.0", "absolute_metrics are .* the best episodes"),
        ('"step_count": 32', '"step_count": 33', "step_count 33 does not fit step_2"),
        ('"step_count": 48', '"step_count": 8', "step_count 8 comes after 32"),
        ('"step_count": 16', '"step_count": 16.0', "step_1 is .* without a whole"),
        ('"step_count": 16', '"step_count": true', "step_1 is .* without a whole"),
        ('"step_count": 16', '"step_count": -16', "step_1 is .* without a whole"),
        ('"step_1"', '"step_0"', "step_count 16 does not fit step_0"),
        ('"step_1"', '"step_2"', "the key 'step_2' is there twice"),
        ('"step_1"', '"step_01"', "'step_01' of a run is no step"),
        ('"seed_3"', '"seed_03"', "'seed_03' is no seed"),
        ('"agents_return"', '"a_return"', "absolute_metrics are .* the best episodes"),
        (
            '48,\n                        "agents',
            '48, "a',
            "other metrics than the first",
        ),
        ("38.5", "38.5, 1.0", "other evaluations have other episodes"),
        ("38.5", "1e39", "it must be a list of numbers"),
        ("38.5", "1e999", "the number '1e999' is not finite"),
        ("38.5", "NaN", "the number 'NaN' is not finite"),
        ("38.5", "true", "it must be a list of numbers"),
        ('"absolute_metrics"', '"absolute"', "without absolute_metrics"),
    ],
)
def test_json_that_contradicts_itself_is_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "run.json"
    write_json(path, RUN, FRAMES, RETURNS)
    (run,) = read_json_runs(path)
    assert run.returns == {"agents_return": RETURNS, "return": RETURNS}
    changed(path, old, new)
    with pytest.raises(DamagedFileError, match=message) as error:
        read_json_runs(path)
    assert str(error.value).startswith(f"{path} cannot be read: ")


@pytest.mark.parametrize(
    ("old", "new"), [("-1.0", "-1.0000001"), ("0.5", "0.5000001"), ("-3.0", "-3.5")]
)
def test_mean_of_several_groups_is_held_to_the_last_digit(
    tmp_path: Path, old: str, new: str
) -> None:
    path = write_two_groups(tmp_path)
    (run,) = read_json_runs(path)
    assert run.returns["return"] == ((-1.0, 2.25), (1.0, 0.5))
    changed(path, old, new)
    with pytest.raises(DamagedFileError, match="is not the mean of bad_return, good_"):
        read_json_runs(path)


def test_first_evaluation_comes_after_the_first_iteration(tmp_path: Path) -> None:
    # Whatever the interval: of 100 here, with iterations of 20 frames
    path = tmp_path / "run.json"
    write_json(path, RUN, (20, 100, 200), RETURNS)
    for old, new in (('"step_1"', '"step_0"'), ('"step_5"', '"step_1"')):
        changed(path, old, new)
    changed(path, '"step_10"', '"step_2"')
    (run,) = read_json_runs(path)
    assert (run.steps, run.frames) == ((0, 1, 2), (20, 100, 200))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "evaluation,16,1",
            "evaluation,16,2",
            "episodes at 16 frames are not numbered",
        ),
        ("evaluation,16,0", "evaluation,17,0", "at 17|are not numbered"),
        ("phase", "phases", r"its columns are \['phases'"),
        ("success_rate", "return", "its columns are"),
        ("absolute,48,0", "abs,48,0", "'abs' at 48 frames"),
        ("absolute,48,1", "absolute,32,0", "the absolute metric is of"),
        ("-2.25,-2.25", "-2.25,-2.5", "of evaluation 0 is not the mean"),
        ("absolute,48,0,40.0", "absolute,48,0,41.0", "is not the mean"),
        ("40.0,40.0", "4e1,40.0", "agents_return is '4e1', it must be a number"),
        ("40.0,40.0", "4_0.0,40.0", "it must be a number"),
        ("40.0,40.0", ",40.0", "agents_return is '', it must be a number"),
        ("40.0,40.0", "nan,40.0", "it must be a number"),
        ("evaluation,32,", "evaluation,032,", "frames is '032'"),
        ("evaluation,48,1,38.5,38.5,1.0\r\n", "", "other episodes|have .* episodes"),
        ("38.5,38.5,\r\n", "38.5,38.5,", "its last line is cut off"),
        ("38.5,38.5,\r\n", "38.5,38.5\r\n", "has 5 cells, the first has 6"),
    ],
)
def test_csv_of_episodes_that_contradicts_itself_is_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "episodes.csv"
    rates = ((0.0,), (1.0, 0.0), (1.0, 1.0))
    metrics = {"return": RETURNS, "success_rate": rates}
    absolute = {"return": RETURNS[2], "success_rate": (1.0,)}
    write_csv(path, FRAMES, metrics, absolute)
    assert read_episodes_table(path).frames == FRAMES
    changed(path, old, new)
    with pytest.raises(DamagedFileError, match=message):
        read_episodes_table(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("agents,32,0", "agents,32,", "agents has other bins at 32 frames"),
        ("agents,32", "agents,16", "frames do not ascend"),
        ("90", "-90", "bin 0.02 is '-90', it must be a whole number"),
        ("90", "90.0", "it must be a whole number"),
        ("0.02", "0.020", "'0.020' is no bin"),
        ("0.02", "nan", "'nan' is no bin"),
        ("0.02", "1", "its columns are"),
        ("beyond", "behind", "its columns are"),
    ],
)
def test_csv_of_weights_that_contradicts_itself_is_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "weights.csv"
    path.write_bytes(WEIGHTS.encode())
    assert read_weights(path)["agents"].counts == ((5, 90, 8, 0), (0, 70, 33, 1))
    changed(path, old, new)
    with pytest.raises(DamagedFileError, match=message):
        read_weights(path)


def logged(root: Path) -> Path:
    """A run with a log and its csv of episodes; its json."""
    inner = root / "hydra" / "run"
    inner.mkdir(parents=True)
    path = inner / "run.json"
    write_json(path, RUN, FRAMES, RETURNS)
    write_csv(inner / "evaluation_episodes.csv", FRAMES, {"return": RETURNS}, {})
    write_log(inner, RUN)
    return path


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("evaluation_episodes.csv", "1.5,1.5", "2.5,2.5", "one of the two is damaged"),
        (
            "run/texts/hparams0.txt",
            "interval': 16",
            "interval': 8",
            "step_1 at 16 frames",
        ),
        ("run/texts/hparams0.txt", "seed: 3", "sed: 3", "has not one line like"),
        (
            "run/scalars/counters_total_frames.csv",
            "32.0",
            "31.0",
            "no iteration ended at",
        ),
        ("run/scalars/timers_total_time.csv", "0.1", "0.2", "are not the sum"),
        ("run/scalars/timers_total_time.csv", "2,2.1\n", "", "it has 2 lines, but"),
        (
            "run/scalars/timers_total_time.csv",
            "2,2.1\n",
            "2,2.1",
            "last line is cut off",
        ),
        ("run/scalars/timers_iteration_time.csv", "1.7", "1.8", "are not the sum"),
    ],
)
def test_files_of_a_run_that_contradict_each_other_are_named(
    tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    path = logged(tmp_path)

    (run,) = read_results(path)
    assert run.record["seconds"] == pytest.approx(2.1)
    beside = changed(path.parent / name, old, new)
    with pytest.raises(DamagedFileError, match=message) as error:
        read_results(path)
    assert str(beside) in str(error.value)


def cut_json(path: Path) -> None:
    write_json(path, RUN, FRAMES[:2], RETURNS[:2])


def cut_csv(path: Path) -> None:
    beside = path.with_name("evaluation_episodes.csv")
    write_csv(beside, FRAMES[:2], {"return": RETURNS[:2]}, {})


@pytest.mark.parametrize("cut", [cut_json, cut_csv])
def test_run_in_flight_may_have_written_one_file_first(
    tmp_path: Path, cut: Callable[[Path], None]
) -> None:
    path = logged(tmp_path)
    cut(path)
    (run,) = read_results(path)
    assert run.frames == FRAMES[:2]
    assert len(run.episodes["return"]) == 2


def test_iterations_may_be_logged_again_by_a_run_that_was_continued(
    tmp_path: Path,
) -> None:
    # BenchMARL's resume.py goes on from the second iteration, which took 0.3 s.
    path = logged(tmp_path)
    scalars = path.parent / "run" / "scalars"
    for name, row in (
        ("counters_total_frames", "2,48.0\n"),
        ("timers_iteration_time", "2,0.25\n"),
        ("timers_total_time", "2,0.65\n"),
    ):
        with (scalars / f"{name}.csv").open("a") as file:
            file.write(row)
    assert seconds_of(path) == 0.65
