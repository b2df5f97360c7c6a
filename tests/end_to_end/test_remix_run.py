"""``remix run`` is BenchMARL's run, which says how it went and returns a score."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import start, succeed
from hydra.core.hydra_config import HydraConfig

from remix_plugin.commands.run import run_experiment

pytestmark = pytest.mark.slow

MAIN = ("-m", "remix_plugin.commands.main", "run")
GAME = [
    "task=matrix_game/qtran",
    "experiment=matrix_game",
    "experiment.max_n_frames=256",
    "experiment.evaluation_interval=128",
    "experiment.checkpoint_interval=0",
    "experiment.checkpoint_at_end=False",
]


def test_it_ends_with_folder_returns_and_what_is_next(tmp_path: Path) -> None:
    done = start(tmp_path, *MAIN, "algorithm=vdn", *GAME, "hydra.run.dir=out")
    assert done.returncode == 0, done.stderr
    last, best, results, following = done.stdout.rstrip().splitlines()[-4:]
    assert re.fullmatch(r"last evaluation return: (8|0|-12)\.00", last)
    assert re.search(r"^best evaluation return: .*of \d evaluations of 1 ep", best)
    folder = Path(results.partition(":")[2].strip())
    assert folder.is_relative_to(tmp_path / "out")
    assert list(folder.glob("*.json"))
    assert following.endswith(f"remix curves {folder}")


def test_sweeps_work(tmp_path: Path) -> None:
    words = ["-m", "algorithm=vdn,remix", *GAME, "hydra.sweep.dir=sweep"]
    output = succeed(tmp_path, *MAIN, *words)
    assert output.count("last evaluation return: ") == 2
    assert (tmp_path / "sweep" / "0").is_dir()


def test_the_score_is_that_of_the_last_evaluation(
    compose_benchmarl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = compose_benchmarl(
        "algorithm=vdn", *GAME, f"experiment.save_folder={tmp_path}", "seed=1"
    )
    HydraConfig.instance().set_config(cfg)
    del cfg.hydra
    score = run_experiment(cfg)
    assert f"last evaluation return: {score:.2f}\n" in capsys.readouterr().out


@pytest.mark.parametrize("program", [("-m", "benchmarl.run"), MAIN])
def test_a_logger_that_is_missing_is_said_before_all_else(
    program: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "wandb").write_text("not a package\n")
    done = start(tmp_path, *program, "algorithm=remix", "task=matrix_game/qtran")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("experiment.loggers=['csv', 'wandb'] needs the pack")
    assert done.stderr.rstrip().endswith(
        "This works: python -m benchmarl.run algorithm=remix task=matrix_game/qtran "
        "'experiment.loggers=[csv]'"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["wandb"]
