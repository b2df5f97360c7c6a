"""Files are there whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from remix_plugin.whole_files import part_of, write_bytes, write_whole


def test_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [one.name for one in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), KeyboardInterrupt()])
def test_file_before_stays_and_nothing_else(
    error: BaseException, tmp_path: Path
) -> None:
    path = tmp_path / "a.pt"
    write_bytes(path, b"before")

    def fail(file: BinaryIO) -> None:
        file.write(b"half of")
        raise error

    with pytest.raises(type(error)) as raised:
        write_whole(path, fail)
    assert raised.value is error
    assert path.read_bytes() == b"before"
    assert not part_of(path).exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_full_disk_is_explained(size: int, tmp_path: Path) -> None:
    # Of small and of large tensors torch makes errors of its own, in other orders.
    path = tmp_path / "checkpoint_16.pt"
    part_of(path).symlink_to("/dev/full")
    content = {str(n): torch.zeros(size) for n in range(3)}
    with pytest.raises(OSError, match="No space left on device: it") as raised:
        write_whole(path, lambda file: torch.save(content, file))
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_full_disk_is_explained_though_another_error_followed(tmp_path: Path) -> None:
    def fail(file: BinaryIO) -> None:
        try:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        finally:
            raise RuntimeError("unexpected pos 576 vs 534")

    with pytest.raises(OSError, match="quota exceeded: it could not be written"):
        write_whole(tmp_path / "a.pt", fail)
