"""BenchMARL's command on SMAC, in processes of their own, over the double."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from double_package import double_environment, read_log
from fabricated_installation import make_game, make_packages

pytestmark = pytest.mark.slow

TINY = [
    "experiment.max_n_frames=60",
    "experiment.off_policy_collected_frames_per_batch=30",
    "experiment.checkpoint_interval=30",
    "experiment.off_policy_n_envs_per_worker=2",
    "experiment.off_policy_n_optimizer_steps=2",
    "experiment.off_policy_train_batch_size=16",
    "experiment.off_policy_memory_size=100",
    "experiment.evaluation_interval=30",
    "experiment.evaluation_episodes=1",
    "experiment.loggers=[csv]",
    "experiment.render=False",
    "hydra.run.dir=out",
]
TINY_MLP = [*TINY, "model.num_cells=[16]", "critic_model.num_cells=[16]"]
GRU = [
    "algorithm=paper/remix",
    "experiment=paper_smac",
    "model=layers/gru_64",
    "model@critic_model=layers/gru_64",
    "model.hidden_size=8",
    "critic_model.hidden_size=8",
]

Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start BenchMARL in a process that finds the double and a StarCraft folder."""
    game = make_game(tmp_path / "StarCraftII", maps=["3m", "MMM2"])
    packages = make_packages(tmp_path / "site", "pysc2")

    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = double_environment(log=tmp_path / "log")
        paths = [environment["PYTHONPATH"], str(packages)]
        environment |= {"PYTHONPATH": os.pathsep.join(paths), "SC2PATH": str(game)}
        return subprocess.run(
            [sys.executable, "-m", "benchmarl.run", *arguments],
            cwd=tmp_path,
            env={**environment, **changes},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def check_games(folder: Path, seeds: list[int], map_name: str = "3m") -> None:
    """Each game that was launched has been closed, and no seed came twice in training.

    Those are: one for evaluation, one for the specs, and one for each environment.
    """
    log = read_log(folder / "log")
    launched = [event for event in log if event["event"] == "launch"]
    assert sorted(event["seed"] for event in launched) == seeds
    assert {event["map_name"] for event in launched} == {map_name}
    games = {(event["pid"], event["game"]) for event in launched}
    closed = {(e["pid"], e["game"]) for e in log if e["event"] == "close"}
    assert closed == games
    assert len(games) == len(seeds)
    assert any(event["event"] == "episode" for event in log)


def read_results(folder: Path, task: str, algorithm: str) -> dict:
    (results,) = (folder / "out").rglob("*.json")
    return json.loads(results.read_text())["smac"][task][algorithm]["seed_0"]


@pytest.mark.parametrize(
    ("algorithm", "task", "more"),
    [
        ("remix", "3m", []),
        ("qmix", "mmm2", ["experiment.parallel_collection=True"]),
    ],
    ids=["remix", "parallel_qmix"],
)
def test_training(
    start: Start, tmp_path: Path, algorithm: str, task: str, more: list[str]
) -> None:
    run = [f"algorithm={algorithm}", f"task=smac/{task}", *TINY_MLP, *more]
    completed = start(*run)
    output = completed.stdout + completed.stderr
    assert completed.returncode == 0, output
    assert "TaskConfig python dataclass not found" not in output
    check_games(tmp_path, [0, 0, 1, 2], {"3m": "3m", "mmm2": "MMM2"}[task])
    results = read_results(tmp_path, task, algorithm)
    assert 0 <= results["step_1"]["return"][0] <= 20.5
    if algorithm == "remix":
        (path,) = tmp_path.rglob("eval_info_win_rate.csv")
        rates = [float(row[1]) for row in csv.reader(path.open())]
        assert len(rates) == 2
        assert set(rates) <= {0.0, 1.0}


def test_training_recurrent_agents(start: Start, tmp_path: Path) -> None:
    completed = start("task=smac/3m", *GRU, *TINY)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    check_games(tmp_path, [0, 0, 1, 2])
    results = read_results(tmp_path, "3m", "remix")
    assert {"step_1", "step_2"} <= results.keys()
    assert list(tmp_path.rglob("eval_info_win_rate.csv"))


def test_what_is_missing_is_told_before_training(start: Start, tmp_path: Path) -> None:
    completed = start(
        "algorithm=remix",
        "task=smac/3m",
        *TINY_MLP,
        PYTHONPATH=str(tmp_path / "site"),
        SC2PATH=str(tmp_path / "nowhere"),
    )
    assert completed.returncode == 1
    error = completed.stderr
    assert "StarCraftError: StarCraft II is not ready for the map" in error
    if find_spec("smacv2") is None:
        assert "The Python package 'smacv2'" in error
    assert f"there is no folder {tmp_path / 'nowhere'}" in error
    assert "task=smax/<map>" in error
    assert not read_log(tmp_path / "log")
    assert not list((tmp_path / "out").glob("remix_*"))
