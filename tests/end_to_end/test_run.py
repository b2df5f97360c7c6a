"""BenchMARL's own commands know the plugin, each in a process of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import benchmarl
import pytest
import torch
import yaml
from commands import TINY_MLP, start, succeed
from cut_off_runs import differences, everything

from remix_plugin.experiment.loggers import torchvision_writes_videos

pytestmark = pytest.mark.slow


def seeds(results: list[Path], algorithm: str, task: str) -> set[str]:
    """Seeds of the result files of an algorithm on a Predator-Prey task."""
    found = set()
    for path in results:
        by_algorithm = json.loads(path.read_text())["predator_prey"][task]
        found |= set(by_algorithm.get(algorithm, {}))
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder ``benchmarl`` as in a checkout of BenchMARL's repository."""
    package = tmp_path_factory.mktemp("checkout") / "benchmarl"
    shutil.copytree(
        Path(benchmarl.__file__).parent,
        package,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return package


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a finished run, with a checkpoint."""
    folder = tmp_path_factory.mktemp("finished")
    output = succeed(
        folder,
        "-m",
        "benchmarl.run",
        "algorithm=remix",
        "task=predator_prey/punish_2",
        *TINY_MLP,
        "experiment.checkpoint_interval=16",
        "hydra.run.dir=out",
    )
    assert "Algorithm: remix, Task: predator_prey/punish_2" in output
    return folder / "out"


@pytest.fixture
def checkpoint(finished: Path, tmp_path: Path) -> Path:
    """The checkpoint of that run, in a copy of its folder."""
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (path,) = copy.rglob("checkpoint_32.pt")
    return path


def test_installed_run_writes_results_and_checkpoint(finished: Path) -> None:
    results = list(finished.rglob("*.json"))
    assert seeds(results, "remix", "punish_2") == {"seed_0"}
    names = {path.name for path in finished.glob("*/checkpoints/*.pt")}
    assert names == {"checkpoint_16.pt", "checkpoint_32.pt"}


def test_run_writes_a_video(tmp_path: Path) -> None:
    if not torchvision_writes_videos():
        pytest.skip("TorchRL's csv logger writes mp4 by torchvision; else we write GIF")
    succeed(
        tmp_path,
        "-m",
        "benchmarl.run",
        "algorithm=remix",
        "task=predator_prey/punish_2",
        *TINY_MLP,
        "experiment.render=True",
    )
    videos = list(tmp_path.rglob("videos/eval_video_*.mp4"))
    assert videos
    assert all(video.stat().st_size > 0 for video in videos)


def test_run_of_a_checkout_knows_the_plugin(checkout: Path, tmp_path: Path) -> None:
    output = succeed(
        checkout.parent,
        "benchmarl/run.py",
        "algorithm=remix",
        "task=predator_prey/punish_0_5",
        *TINY_MLP,
        f"hydra.run.dir={tmp_path}",
    )
    assert "Algorithm: remix, Task: predator_prey/punish_0_5" in output
    results = list(tmp_path.rglob("*.json"))
    assert seeds(results, "remix", "punish_0_5") == {"seed_0"}


def test_evaluate_knows_the_plugin_and_leaves_the_run_alone(
    checkpoint: Path, checkout: Path, tmp_path: Path
) -> None:
    run = checkpoint.parents[1]
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    output = succeed(tmp_path, str(checkout / "evaluate.py"), str(checkpoint))
    assert "Algorithm: remix, Task: predator_prey/punish_2" in output
    assert "Evaluation results logged" in output
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    episodes = run / "evaluations" / "frames_32.csv"
    assert len(after.pop(episodes).splitlines()) == 1 + 2
    assert after == before


def test_resume_continues_the_count_of_frames(checkpoint: Path, tmp_path: Path) -> None:
    config_file = checkpoint.parents[2] / ".hydra" / "config.yaml"
    config = yaml.safe_load(config_file.read_text())
    assert config["experiment"]["max_n_frames"] == 32
    config["experiment"]["max_n_frames"] = 64
    config_file.write_text(yaml.safe_dump(config))

    succeed(tmp_path, "-m", "benchmarl.resume", str(checkpoint))
    assert (checkpoint.parent / "checkpoint_64.pt").is_file()
    (counter,) = checkpoint.parents[1].rglob("scalars/counters_total_frames.csv")
    rows = [line.split(",") for line in counter.read_text().split()]
    assert [(int(step), float(frames)) for step, frames in rows] == [
        (0, 16.0),
        (1, 32.0),
        (2, 48.0),
        (3, 64.0),
    ]
    saved = torch.load(checkpoint.parent / "checkpoint_64.pt")
    assert saved["state"]["total_frames"] == 64
    assert saved["checkpoint_files"]["replay"]["agents"]["end"] == 64


def test_resume_ends_where_the_run_has_ended(
    checkpoint: Path, finished: Path, tmp_path: Path
) -> None:
    middle = checkpoint.with_name("checkpoint_16.pt")
    succeed(tmp_path, "-m", "benchmarl.resume", str(middle))
    (whole,) = (path.parent for path in finished.glob("*/checkpoints"))
    assert not differences(everything(checkpoint.parents[1]), everything(whole))


def test_bad_override_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    completed = start(
        tmp_path,
        "-m",
        "benchmarl.run",
        "algorithm=remix",
        "task=predator_prey/punish_2",
        *TINY_MLP,
        "experiment.gamma=1.5",
        "hydra.run.dir=out",
    )
    assert completed.returncode != 0
    message = "experiment.gamma=1.5 is not allowed: it must be a number >= 0 and <= 1."
    assert message in completed.stderr
    for trace in ("experiment.run()", "_setup_algorithm", "Experiment failed"):
        assert trace not in completed.stdout + completed.stderr
    # What Hydra itself writes, and no folder of a run.
    left = {path.name for path in tmp_path.glob("out/*")}
    assert left <= {".hydra", "run.log"}
