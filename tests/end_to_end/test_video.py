"""A trained team as a GIF: from BenchMARL's run to the file."""

from __future__ import annotations

import pickle
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import TINY_MLP, succeed
from damages import damages, outcome
from PIL import Image

from remix_plugin.results.checkpoint import check_checkpoint

pytestmark = pytest.mark.slow

RunScript = Callable[..., str]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    words = ["algorithm=remix", "task=predator_prey/punish_2", "hydra.run.dir=out"]
    succeed(folder, "-m", "benchmarl.run", *words, *TINY_MLP)
    (path,) = folder.rglob("checkpoint_32.pt")
    return path


def pictures(path: Path) -> tuple[list[bytes], int]:
    """The pictures, of which a GIF joins equal ones, and how many there would be."""
    with Image.open(path) as gif:
        shown, milliseconds = [], 0
        for number in range(gif.n_frames):
            gif.seek(number)
            shown.append(gif.convert("RGB").tobytes())
            milliseconds += gif.info["duration"]
    # Of 8 a second, in the hundredths that a GIF counts in, the last for two seconds
    return shown, (milliseconds - 2_000) // 120 + 1


def contents(folder: Path) -> dict[Path, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in sorted(files)}


def test_episode_becomes_a_gif(
    checkpoint: Path, tmp_path: Path, run_remix: RunScript
) -> None:
    out = tmp_path / "hunt.gif"
    said = run_remix("video", checkpoint, "--out", out, "--best")
    shown, n_frames = pictures(out)
    # The start, then a picture per step of an episode of at most 6
    assert f"{out}: {n_frames} frames" in said
    assert 2 <= n_frames <= 7
    assert f"episode_length {n_frames - 1}" in said
    assert len(shown) > 1
    assert shown[0] != shown[-1]


def test_default_place_is_beside_the_checkpoint(
    checkpoint: Path, run_remix: RunScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(checkpoint.parents[2])
    monkeypatch.chdir(checkpoint.parent)
    run_remix("video", checkpoint.name)
    assert pictures(checkpoint.with_suffix(".gif"))[0]
    # The run's own results are left alone.
    checkpoint.with_suffix(".gif").unlink()
    assert contents(checkpoint.parents[2]) == before


def test_damaged_checkpoints_are_named_and_harmless_ones_are_the_same(
    checkpoint: Path,
) -> None:
    content, before = checkpoint.read_bytes(), check_checkpoint(checkpoint)
    found = Counter()
    try:
        for _, damaged in damages(content, 5, 24):
            checkpoint.write_bytes(damaged)

            def read() -> bool:
                return same(check_checkpoint(checkpoint), before)

            found[outcome(checkpoint, read, True)] += 1
    finally:
        checkpoint.write_bytes(content)
    assert found["other numbers"] == 0
    assert found["named"] > 10 * found["harmless"]


@pytest.mark.parametrize("name", ["config.pkl", "checkpoint_32.pt"])
@pytest.mark.parametrize("damage", ["cut", "foreign", "folder", "missing"])
def test_script_names_what_is_damaged(
    checkpoint: Path,
    tmp_path: Path,
    run_remix: RunScript,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: str,
) -> None:
    inner = tmp_path / "run"
    (inner / "checkpoints").mkdir(parents=True)
    copy = inner / "checkpoints" / checkpoint.name
    shutil.copy(checkpoint, copy)
    shutil.copy(checkpoint.parents[1] / "config.pkl", inner)
    damaged = next(inner.rglob(name))
    content = damaged.read_bytes()
    damaged.unlink()
    if damage == "folder":
        damaged.mkdir()
    elif damage == "foreign":
        torch.save({"a": 1}, damaged)
    elif damage == "cut":
        damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(SystemExit, match="2"):
        run_remix("video", copy, "--best")
    *_, line = capsys.readouterr().err.splitlines()
    assert str(damaged) in line


def test_config_of_another_task_is_named(
    checkpoint: Path, run_remix: RunScript, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkpoint.parents[1] / "config.pkl"
    content = path.read_bytes()
    with path.open("rb") as file:
        parts = [pickle.load(file) for _ in range(8)]
    parts[1] = {**parts[1], "punishment": -1.0}
    try:
        path.write_bytes(b"".join(map(pickle.dumps, parts)))
        with pytest.raises(SystemExit, match="2"):
            run_remix("video", checkpoint)
    finally:
        path.write_bytes(content)
    error = capsys.readouterr().err
    assert f"{path} cannot be read: its task_config is not that of" in error


def same(one: Any, other: Any) -> bool:
    """Whether two contents of checkpoints are the same numbers."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or one != one


def test_what_does_not_fit_is_refused(
    checkpoint: Path,
    tmp_path: Path,
    run_remix: RunScript,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        (["none.pt"], "'none.pt' is not allowed: it must be a file, but it is missing"),
        ([checkpoint, "--out", "hunt.mp4"], "must end in .gif"),
    ):
        with pytest.raises(SystemExit, match="2"):
            run_remix("video", *arguments)
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
