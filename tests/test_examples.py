"""The examples run, as they are, in seconds."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"
# How many frames show that it runs, of those that train
FRAMES = {
    "train_and_read": 2_000,
    "custom_weighting": 640,
    "own_mixer": 640,
    "own_task": 2_000,
    "benchmark_algorithms": 640,
}


def run(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    path = str(EXAMPLES / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
    runpy.run_path(path, run_name="__main__")


@pytest.mark.parametrize("name", FRAMES)
def test_example_trains_and_leaves_results(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(name, monkeypatch, "--frames", FRAMES[name], "--results", tmp_path)
    folders = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(folders) == (4 if name == "benchmark_algorithms" else 1)
    for folder in folders:
        (content,) = json.loads((folder / f"{folder.name}.json").read_text()).values()
        assert content
    if name == "train_and_read":
        assert "2,000 frames: mean return" in capsys.readouterr().out


def test_own_task_pays_those_who_meet() -> None:
    task = runpy.run_path(str(EXAMPLES / "own_task.py"))
    options = task["MeetingConfig"](n_agents=2, n_cells=4, max_steps=3)
    env = task["MeetingEnv"](options, num_envs=2, seed=0)
    start = env.reset()
    env.cells[:] = env.cells.new_tensor([[0, 1], [0, 2]])
    # In the first ring one stays and one steps back onto it; in the second none meet.
    start["agents", "action"] = env.cells.new_tensor([[1, 0], [1, 1]])
    after = env.step(start)["next"]
    assert after["reward"].flatten().tolist() == [1.0, 0.0]
    assert after["terminated"].flatten().tolist() == [True, False]
    # Seen from its own cell on, the other one stands two cells further.
    assert after["agents", "observation"][1, 0].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_own_figure_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tmp_path / "picture.png"
    run("figures_from_results", monkeypatch, "--picture", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_every_example_is_run_and_shown() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    # Held to the library's loss by a test of its own.
    assert names - {"remix_single_file"} == {*FRAMES, "figures_from_results"}
    shown = (EXAMPLES.parent / "docs" / "examples.md").read_text()
    assert not [name for name in names if f"examples/{name}.py" not in shown]
