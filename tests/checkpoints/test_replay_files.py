"""Rows of a replay buffer are written once, and the buffer is filled as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, ReplayBuffer, TensorDictReplayBuffer
from torchrl.data.replay_buffers import RandomSampler

from remix_plugin.checkpoints.replay_files import ReplayFiles
from remix_plugin.data.prioritized import PrioritizedSampler
from remix_plugin.data.samplers import RecentSampler
from remix_plugin.data.transforms import byte_storage

CAPACITY = 8


def make_buffer(sampler: Any = None) -> ReplayBuffer:
    """Like BenchMARL's, with grids in bytes."""
    return TensorDictReplayBuffer(
        storage=LazyTensorStorage(CAPACITY),
        sampler=sampler or RandomSampler(),
        batch_size=4,
        priority_key="td_error",
        transform=byte_storage(["grid"]),
    )


def rows(first: int, end: int) -> TensorDict:
    """Rows that hold their number, two agents each."""
    number = torch.arange(first, end)
    agents = TensorDict(
        {"name": number[:, None].repeat(1, 2)}, batch_size=[end - first, 2]
    )
    grid = (number % 256).float()[:, None]
    return TensorDict(
        {"number": number, "agents": agents, "grid": grid, "next": {"grid": grid}},
        batch_size=[end - first],
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_each_row_is_written_once(tmp_path: Path) -> None:
    buffer = make_buffer()
    files = ReplayFiles(tmp_path / "rows", buffer)
    assert files.save()["files"] == []
    assert not (tmp_path / "rows").exists()
    buffer.extend(rows(0, 3))
    assert files.save()["files"] == [[0, 3]]
    first = (tmp_path / "rows" / "rows_0_3.pt.gz").stat().st_mtime_ns
    buffer.extend(rows(3, 5))
    assert files.save()["files"] == [[0, 3], [3, 5]]
    assert files.save()["files"] == [[0, 3], [3, 5]]
    assert names(files.folder) == ["rows_0_3.pt.gz", "rows_3_5.pt.gz"]
    assert (tmp_path / "rows" / "rows_0_3.pt.gz").stat().st_mtime_ns == first


def test_files_are_removed_when_no_checkpoint_needs_them(tmp_path: Path) -> None:
    buffer = make_buffer()
    files = ReplayFiles(tmp_path, buffer)
    states = []
    for number in range(4):
        buffer.extend(rows(4 * number, 4 * number + 4))
        states.append(files.save())
    # The buffer holds the last eight rows.
    assert [state["files"] for state in states[2:]] == [
        [[4, 8], [8, 12]],
        [[8, 12], [12, 16]],
    ]
    files.remove_all_but([state["files"] for state in states[2:]])
    assert names(tmp_path) == ["rows_12_16.pt.gz", "rows_4_8.pt.gz", "rows_8_12.pt.gz"]
    files.remove_all_but([states[3]["files"]])
    assert names(tmp_path) == ["rows_12_16.pt.gz", "rows_8_12.pt.gz"]


def test_more_rows_than_fit_between_two_checkpoints(tmp_path: Path) -> None:
    buffer = make_buffer()
    files = ReplayFiles(tmp_path, buffer)
    for number in range(5):
        buffer.extend(rows(4 * number, 4 * number + 4))
    assert files.save()["files"] == [[12, 20]]


def sampler_of(kind: str) -> Any:
    if kind == "recent":
        return RecentSampler(0.5, 3)
    return PrioritizedSampler(CAPACITY, 0.7, 0.5) if kind == "priority" else None


def draws(buffer: ReplayBuffer) -> list[list[int]]:
    """What is sampled after a seed."""
    torch.manual_seed(0)
    np.random.seed(0)
    return [buffer.sample()["number"].tolist() for _ in range(5)]


WRITES = st.tuples(st.integers(1, CAPACITY), st.booleans())


@settings(deadline=None, max_examples=30)
@given(
    st.lists(WRITES, min_size=1, max_size=8),
    st.sampled_from(["uniform", "recent", "priority"]),
)
def test_buffer_is_filled_as_it_was(
    tmp_path_factory: Any, writes: list[tuple[int, bool]], kind: str
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    buffer = make_buffer(sampler_of(kind))
    files = ReplayFiles(folder, buffer)
    end = 0
    for count, is_cut_off in writes:
        buffer.extend(rows(end, end + count))
        end += count
        if kind == "priority":
            index = torch.arange(len(buffer))
            buffer.update_priority(index, 1.0 + (index * 7 + end) % 5)
        state = files.save()
        # By plain loops: the slot of each row that is left.
        expected = {n % CAPACITY: n for n in range(max(0, end - CAPACITY), end)}
        if is_cut_off:
            before = draws(buffer)
            buffer = make_buffer(sampler_of(kind))
            files = ReplayFiles(folder, buffer)
            files.load(state, folder)
            assert draws(buffer) == before
        held = buffer.storage[:]
        assert held["number"].tolist() == [expected[s] for s in sorted(expected)]
        assert held["agents"].batch_size == (len(expected), 2)
        assert held["grid"].dtype == torch.uint8
        files.remove_all_but([state["files"]])


def test_rows_of_another_folder_are_written_anew(tmp_path: Path) -> None:
    buffer = make_buffer()
    files = ReplayFiles(tmp_path / "one", buffer)
    buffer.extend(rows(0, 3))
    state = files.save()
    other = ReplayFiles(tmp_path / "other", make_buffer())
    other.load(state, tmp_path / "one")
    other.buffer.extend(rows(3, 5))
    assert other.save()["files"] == [[0, 5]]


def test_missing_and_damaged_rows_are_told_of(tmp_path: Path) -> None:
    buffer = make_buffer()
    files = ReplayFiles(tmp_path, buffer)
    buffer.extend(rows(0, 3))
    state = files.save()
    path = tmp_path / "rows_0_3.pt.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"rows_0_3.pt.gz is damaged"):
        ReplayFiles(tmp_path, make_buffer()).load(state, tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"rows_0_3.pt.gz is missing"):
        ReplayFiles(tmp_path, make_buffer()).load(state, tmp_path)
