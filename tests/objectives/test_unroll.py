"""Rows as one sequence: against loops over single steps, and by hand."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from torch import Tensor

from remix_plugin.objectives.unroll import (
    episode_ends,
    interleave,
    pack_rows,
    take_steps,
    unpack_rows,
)

ENDS = st.integers(1, 6).flatmap(
    lambda steps: st.lists(
        st.lists(st.booleans(), min_size=steps, max_size=steps), min_size=1, max_size=4
    )
)


def flags(rows: list[list[int]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.bool).unsqueeze(-1)


def numbered(ends: Tensor) -> tuple[TensorDict, TensorDict]:
    """Observations 1, 2, 3, ...; those that nothing follows in a row are negative."""
    rows, steps, _ = ends.shape
    now = torch.arange(1.0, rows * steps + 1).view(rows, steps, 1)
    after = -now
    goes_on = ~ends[:, :-1]
    after[:, :-1][goes_on] = now[:, 1:][goes_on]
    return tuple(
        TensorDict(
            {"x": x, "agents": {"seen": (x.expand(-1, -1, 2) > 0).unsqueeze(-1)}},
            batch_size=[rows, steps],
        )
        for x in (now, after)
    )


def by_hand(
    now: list[float], after: list[float], ends: list[bool]
) -> tuple[list[float], list[int]]:
    """The sequence of one row without its padding, and the positions."""
    sequence, position = [], []
    for t, observation in enumerate(now):
        position.append(len(sequence))
        sequence.append(observation)
        if ends[t] or t == len(now) - 1:
            sequence.append(after[t])
    return sequence, position


def assert_interleaved(ends: Tensor) -> None:
    now, after = numbered(ends)
    sequence, position = interleave(now, after, ends)
    rows = [
        by_hand(*(x[b].flatten().tolist() for x in (now["x"], after["x"], ends)))
        for b in range(len(ends))
    ]
    length = max(len(row) for row, _ in rows)
    assert sequence.batch_size == (len(ends), length)
    padded = [row + [0.0] * (length - len(row)) for row, _ in rows]
    assert sequence["x"].squeeze(-1).tolist() == padded
    assert position.tolist() == [positions for _, positions in rows]
    # Every entry of whatever shape and type goes to the same place.
    seen = sequence["agents", "seen"]
    assert seen.dtype == torch.bool
    assert torch.equal(seen, (sequence["x"] > 0).unsqueeze(-2).expand_as(seen))
    assert torch.equal(take_steps(sequence["x"], position), now["x"])
    assert torch.equal(take_steps(sequence["x"], position + 1), after["x"])


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_every_pattern_of_ends_equals_a_loop(steps: int) -> None:
    for pattern in itertools.product([0, 1], repeat=steps):
        assert_interleaved(flags([list(pattern)]))
    # All of them as rows of one batch, of unequal lengths.
    assert_interleaved(
        flags([list(p) for p in itertools.product([0, 1], repeat=steps)])
    )


@given(ends=ENDS)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_random_ends_equal_a_loop(ends: list[list[bool]]) -> None:
    assert_interleaved(flags(ends))


@given(ends=ENDS)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_every_observation_is_there_exactly_once(ends: list[list[bool]]) -> None:
    now, after = numbered(flags(ends))
    sequence, _ = interleave(now, after, flags(ends))
    found = sequence["x"][sequence["x"] != 0].tolist()
    expected = {*now["x"].flatten().tolist(), *after["x"].flatten().tolist()}
    assert sorted(found) == sorted(expected)


def test_a_row_by_hand() -> None:
    ends = flags([[0, 1, 0, 0], [0, 0, 0, 1]])
    now = TensorDict({"x": torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])}, [2, 4])
    # Within an episode the next step's own observation counts, here not the same.
    after = TensorDict(
        {"x": torch.tensor([[99, 20, 99, 40], [99, 99, 99, 80]])}, [2, 4]
    )
    sequence, position = interleave(now, after, ends)
    assert sequence["x"].tolist() == [[1, 2, 20, 3, 4, 40], [5, 6, 7, 8, 80, 0]]
    assert position.tolist() == [[0, 1, 3, 4], [0, 1, 2, 3]]


def test_the_inputs_are_left_as_they_are() -> None:
    ends = flags([[0, 1, 0]])
    now, after = numbered(ends)
    copies = now.clone(), after.clone(), ends.clone()
    interleave(now, after, ends)
    assert (now == copies[0]).all()
    assert (after == copies[1]).all()
    assert torch.equal(ends, copies[2])


def test_an_episode_ends_where_it_is_done() -> None:
    done = flags([[0, 1, 0], [0, 0, 1]])
    ends = episode_ends(done)
    assert torch.equal(ends, done)
    assert ends is not done


def test_an_episode_ends_before_the_next_one_starts() -> None:
    done, is_init = flags([[0, 0, 0, 1]]), flags([[1, 0, 1, 0]])
    ends = episode_ends(done, is_init)
    # The start of the row itself ends nothing.
    assert torch.equal(ends, flags([[0, 1, 0, 1]]))
    assert torch.equal(done, flags([[0, 0, 0, 1]]))


def test_a_row_ends_before_padding() -> None:
    valid = flags([[1, 1, 0, 0], [1, 1, 1, 1]])
    ends = episode_ends(flags([[0] * 4] * 2), valid=valid)
    assert torch.equal(ends, flags([[0, 1, 1, 0], [0] * 4]))


def test_ends_of_all_kinds_add_up() -> None:
    ends = episode_ends(
        flags([[1, 0, 0, 0]]), flags([[0, 0, 1, 0]]), flags([[1, 1, 1, 0]])
    )
    assert torch.equal(ends, flags([[1, 1, 1, 0]]))


def test_a_single_step_ends_only_if_it_is_done() -> None:
    for done in (0, 1):
        ends = episode_ends(flags([[done]]), flags([[1]]), flags([[0]]))
        assert torch.equal(ends, flags([[done]]))


@given(data=st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_random_flags_end_as_in_a_loop(data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, 6))
    row = st.lists(st.booleans(), min_size=steps, max_size=steps)
    done, is_init, valid = (data.draw(row) for _ in range(3))
    expected = [
        done[t] or (t + 1 < steps and (is_init[t + 1] or not valid[t + 1]))
        for t in range(steps)
    ]
    ends = episode_ends(flags([done]), flags([is_init]), flags([valid]))
    assert ends.flatten().tolist() == expected


def test_the_gradient_of_a_step_goes_to_its_place() -> None:
    sequence = torch.randn(2, 5, 3, requires_grad=True)
    position = torch.tensor([[0, 2, 3], [1, 1, 4]])
    share = torch.arange(1.0, 7.0).view(2, 3, 1)
    (take_steps(sequence, position) * share).sum().backward()
    # What is taken twice counts twice, what is not taken not at all.
    expected = torch.tensor([[1.0, 0, 2, 3, 0], [0, 9.0, 0, 0, 6]])
    assert torch.equal(sequence.grad, expected.unsqueeze(-1).expand(-1, -1, 3))


@given(
    rows=st.integers(1, 3),
    steps=st.integers(1, 9),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_packed_state_is_unpacked_as_it_was(
    rows: int, steps: int, shape: list[int]
) -> None:
    size = torch.Size(shape).numel()
    state = torch.arange(1.0, rows * size + 1).view(rows, *shape)
    packed = pack_rows(state, steps)
    width = packed.shape[-1]
    assert packed.shape == (rows, steps, width)
    # As narrow as can be, with zeros after the state.
    assert (width - 1) * steps < size <= width * steps
    assert (packed.flatten(1)[:, size:] == 0).all()
    assert torch.equal(unpack_rows(packed, tuple(shape)), state)


def test_a_packed_state_by_hand() -> None:
    state = torch.tensor([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]])
    expected = [[[1.0, 2.0], [3.0, 0.0]], [[4.0, 5.0], [6.0, 0.0]]]
    assert pack_rows(state, 2).tolist() == expected
    assert pack_rows(state, 2).dtype == state.dtype
