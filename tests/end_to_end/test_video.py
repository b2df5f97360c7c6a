"""A trained team as a GIF: from BenchMARL's run to the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from commands import TINY_MLP, succeed
from PIL import Image

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
    checkpoint: Path, tmp_path: Path, run_script: RunScript
) -> None:
    out = tmp_path / "hunt.gif"
    said = run_script("video.py", checkpoint, "--out", out, "--best")
    shown, n_frames = pictures(out)
    # The start, then a picture per step of an episode of at most 6
    assert f"{out}: {n_frames} frames" in said
    assert 2 <= n_frames <= 7
    assert f"episode_length {n_frames - 1}" in said
    assert len(shown) > 1
    assert shown[0] != shown[-1]


def test_default_place_is_beside_the_checkpoint(
    checkpoint: Path, run_script: RunScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(checkpoint.parents[2])
    monkeypatch.chdir(checkpoint.parent)
    run_script("video.py", checkpoint.name)
    assert pictures(checkpoint.with_suffix(".gif"))[0]
    # The run's own results are left alone.
    checkpoint.with_suffix(".gif").unlink()
    assert contents(checkpoint.parents[2]) == before


def test_what_does_not_fit_is_refused(
    checkpoint: Path,
    tmp_path: Path,
    run_script: RunScript,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        (["none.pt"], "there is no checkpoint none.pt"),
        ([checkpoint, "--out", "hunt.mp4"], "must end in .gif"),
    ):
        with pytest.raises(SystemExit, match="2"):
            run_script("video.py", *arguments)
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
