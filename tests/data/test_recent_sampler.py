"""The sampler of recent data inside real replay buffers.

Every entry carries a stamp, its number in the order of writing, so which entries are
the newest is known without looking at slots.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from torch import Tensor
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.data.replay_buffers import RandomSampler, Sampler

from remix_plugin.data.samplers import RecentSampler

pytestmark = pytest.mark.slow


class Stamped:
    """A replay buffer whose entries carry the order in which they were written."""

    def __init__(
        self,
        sampler: Sampler,
        capacity: int,
        *,
        seed: int | None = 0,
        steps: int | None = None,
        device: str = "cpu",
    ) -> None:
        generator = None
        if seed is not None:
            generator = torch.Generator(device=device).manual_seed(seed)
        self.steps = steps
        self.capacity = capacity
        self.written = 0
        self.buffer = TensorDictReplayBuffer(
            storage=LazyTensorStorage(capacity, device=device),
            sampler=sampler,
            generator=generator,
        )

    def _entries(self, size: int) -> TensorDict:
        stamp = torch.arange(self.written, self.written + size)
        self.written += size
        if self.steps is None:
            return TensorDict({"stamp": stamp}, batch_size=[size])
        stamp = stamp.unsqueeze(-1).expand(size, self.steps).clone()
        return TensorDict({"stamp": stamp}, batch_size=[size, self.steps])

    def extend(self, *sizes: int) -> Stamped:
        for size in sizes:
            self.buffer.extend(self._entries(size))
        return self

    def add(self, count: int) -> Stamped:
        for _ in range(count):
            self.buffer.add(self._entries(1)[0])
        return self

    def sample(self, batch_size: int) -> Tensor:
        """Stamps of one batch."""
        stamp = self.buffer.sample(batch_size)["stamp"]
        return stamp if self.steps is None else stamp[:, 0]

    @property
    def oldest(self) -> int:
        return max(0, self.written - self.capacity)

    def draw(self, batch_size: int, batches: int) -> Tensor:
        """Stamps of many batches, ``[batches, batch_size]``."""
        sampler, storage = self.buffer.sampler, self.buffer.storage
        slots = [sampler.sample(storage, batch_size)[0] for _ in range(batches)]
        rows = storage.get(torch.cat(slots))["stamp"]
        rows = rows if self.steps is None else rows[:, 0]
        return rows.view(batches, batch_size)


def chi_square_limit(freedom: int) -> float:
    """Wilson and Hilferty's quantile at 5 standard deviations, about 3e-7.

    A normal limit is exceeded in one case of 500 at few degrees of freedom.
    """
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + 5 * math.sqrt(spread)) ** 3


def assert_distribution(
    stamped: Stamped, fraction: float, recent_size: int, batch_size: int = 100
) -> None:
    """Counts of every entry against their expectation, by chi-square."""
    batches = 1500
    stamps = stamped.draw(batch_size, batches)
    n_recent = round(fraction * batch_size)
    newest = stamps >= stamped.written - recent_size
    assert (newest.sum(-1) >= n_recent).all()
    present = stamped.written - stamped.oldest
    counts = torch.bincount(stamps.flatten() - stamped.oldest, minlength=present)
    assert counts.shape == (present,)
    expected = torch.full(
        (present,), (batch_size - n_recent) * batches / present, dtype=torch.float64
    )
    expected[-recent_size:] += n_recent * batches / recent_size
    assert (counts[expected == 0] == 0).all()
    possible = expected > 0
    terms = (counts - expected).square()[possible] / expected[possible]
    freedom = int(possible.sum()) - 1
    assert terms.sum() < chi_square_limit(max(freedom, 1))


HISTORIES = {
    "before full": (20, [7, 5], 4),
    "one short of full": (20, [12, 7], 4),
    "exactly full": (20, [10, 10], 6),
    "full at once": (20, [20], 6),
    "full twice": (20, [20, 20], 6),
    "wrapped": (20, [10, 10, 9], 5),
    "recent across the end": (20, [10, 10, 3], 8),
    "recent ends at the end": (20, [10, 10, 20], 8),
    "one past the end": (20, [10, 10, 1], 8),
    "sizes that do not divide": (17, [7, 7, 7, 7, 7, 7], 9),
    "larger than the capacity": (20, [47], 6),
    "larger than the capacity later": (20, [9, 5, 33], 6),
    "a multiple of the capacity": (20, [60], 6),
    "all but one recent": (20, [10, 10, 4], 19),
    "one recent": (20, [10, 10, 4], 1),
}


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("fraction", [0.3, 1.0])
def test_shares_of_recent_and_of_all_entries(history: str, fraction: float) -> None:
    capacity, sizes, recent_size = HISTORIES[history]
    stamped = Stamped(RecentSampler(fraction, recent_size), capacity).extend(*sizes)
    assert_distribution(stamped, fraction, recent_size)


def test_shares_after_every_single_write() -> None:
    stamped = Stamped(RecentSampler(1.0, 3), 7)
    for _ in range(25):
        stamped.add(1)
        expected = set(range(stamped.written)[-3:] if stamped.written > 3 else [])
        stamps = set(stamped.sample(60).tolist())
        assert stamps == (expected or set(range(stamped.written)))


def test_shares_with_writes_of_both_kinds() -> None:
    stamped = Stamped(RecentSampler(0.5, 6), 20)
    stamped.extend(9).add(8).extend(7).add(2)
    assert_distribution(stamped, 0.5, 6)


def test_shares_of_rows_of_sequences() -> None:
    stamped = Stamped(RecentSampler(0.3, 4), 11, steps=5).extend(4, 4, 4, 4)
    assert stamped.buffer.sample(6).shape == (6, 5)
    assert_distribution(stamped, 0.3, 4)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    capacity=st.integers(1, 12),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    recent_size=st.integers(1, 14),
    fraction=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_property_recent_entries_are_the_last_written(
    capacity: int, sizes: list[int], recent_size: int, fraction: float
) -> None:
    stamped = Stamped(RecentSampler(fraction, recent_size), capacity).extend(*sizes)
    stamps = stamped.sample(400)
    assert stamps.min() >= stamped.oldest
    assert stamps.max() < stamped.written
    if stamped.written - stamped.oldest > recent_size:
        newest = stamps >= stamped.written - recent_size
        assert newest.sum() >= fraction * 400
    if fraction:
        last = range(
            max(stamped.oldest, stamped.written - recent_size), stamped.written
        )
        assert set(last) <= set(stamps.tolist())


@pytest.mark.parametrize(
    ("fraction", "batch_size"),
    [(0.3, 10), (0.25, 10), (0.5, 5), (0.99, 8), (0.04, 10), (0.25, 1)],
)
def test_the_recent_part_of_a_batch_holds_on_average(
    fraction: float, batch_size: int
) -> None:
    # One of 50,000 entries is recent: the uniform part hardly ever draws it.
    stamped = Stamped(RecentSampler(fraction, 1), 50_000).extend(50_000)
    stamps = stamped.draw(batch_size, 2_000)
    counts = (stamps == stamped.written - 1).sum(-1).double()
    share = fraction * batch_size
    assert counts.min() >= math.floor(share)
    assert counts.quantile(0.99) <= math.ceil(share)
    # The standard error of a mean of 2,000 zeros and ones is below 0.012.
    assert abs(counts.mean() - share) < 0.05


def pair(sampler: Sampler, capacity: int, seed: int | None = 3) -> tuple[Any, Any]:
    """The same buffer with the sampler and with TorchRL's uniform one."""
    return (
        Stamped(sampler, capacity, seed=seed),
        Stamped(RandomSampler(), capacity, seed=seed),
    )


@pytest.mark.parametrize("sizes", [[4], [10, 10], [10, 10, 7], [55]])
def test_without_recent_data_the_draws_are_those_of_the_random_sampler(
    sizes: list[int],
) -> None:
    recent, uniform = pair(RecentSampler(0.0, 5), 20)
    recent.extend(*sizes)
    uniform.extend(*sizes)
    for _ in range(5):
        assert torch.equal(recent.sample(9), uniform.sample(9))


def test_without_recent_data_or_generator_the_draws_are_the_same_too() -> None:
    recent, uniform = pair(RecentSampler(0.0, 5), 20, seed=None)
    torch.manual_seed(7)
    expected = uniform.extend(20, 3).sample(50)
    torch.manual_seed(7)
    assert torch.equal(recent.extend(20, 3).sample(50), expected)


@pytest.mark.parametrize("fraction", [0.5, 1.0])
@pytest.mark.parametrize(
    ("capacity", "sizes", "recent_size"),
    [(20, [4], 5), (20, [5], 5), (20, [2, 3], 5), (5, [5, 5, 3], 5), (5, [9], 8)],
)
def test_with_recent_data_alone_sampling_is_uniform(
    fraction: float, capacity: int, sizes: list[int], recent_size: int
) -> None:
    recent, uniform = pair(RecentSampler(fraction, recent_size), capacity)
    recent.extend(*sizes)
    uniform.extend(*sizes)
    for _ in range(5):
        assert torch.equal(recent.sample(9), uniform.sample(9))


def test_the_generator_of_the_buffer_is_used() -> None:
    stamped = Stamped(RecentSampler(0.5, 4), 20, seed=5).extend(20, 7)
    before = torch.get_rng_state()
    expected = stamped.draw(16, 10)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(123)
    again = Stamped(RecentSampler(0.5, 4), 20, seed=5).extend(20, 7)
    assert torch.equal(again.draw(16, 10), expected)
    other = Stamped(RecentSampler(0.5, 4), 20, seed=6).extend(20, 7)
    assert not torch.equal(other.draw(16, 10), expected)


def test_without_a_generator_the_global_seed_is_used() -> None:
    stamped = Stamped(RecentSampler(0.5, 4), 20, seed=None).extend(20, 7)
    torch.manual_seed(1)
    expected = stamped.draw(16, 10)
    torch.manual_seed(1)
    assert torch.equal(stamped.draw(16, 10), expected)


def test_the_index_in_a_batch_is_where_its_entries_lie() -> None:
    stamped = Stamped(RecentSampler(0.5, 4), 20).extend(20, 7)
    batch = stamped.buffer.sample(30)
    stored = stamped.buffer.storage.get(batch["index"])["stamp"]
    assert torch.equal(stored, batch["stamp"])
    assert batch["index"].dtype == torch.long


MIDWAY = {
    "before full": (20, [13]),
    "exactly full": (20, [20]),
    "wrapped": (20, [20, 3]),
}


def assert_continues(original: Stamped, restored: Stamped) -> None:
    """Both draw and grow alike from here on."""
    restored.written = original.written
    for size in (3, 8, 11):
        assert torch.equal(original.sample(40), restored.sample(40))
        original.extend(size)
        restored.extend(size)
        newest = restored.sample(40) >= restored.written - 4
        assert newest.sum() >= 20
        original.sample(40)


@pytest.mark.parametrize("midway", MIDWAY)
def test_a_state_dict_continues_with_the_same_draws(midway: str) -> None:
    capacity, sizes = MIDWAY[midway]
    original = Stamped(RecentSampler(0.5, 4), capacity).extend(*sizes)
    original.sample(40)
    restored = Stamped(RecentSampler(0.0, 1), capacity, seed=99)
    restored.buffer.load_state_dict(original.buffer.state_dict())
    assert_continues(original, restored)


@pytest.mark.parametrize("midway", MIDWAY)
def test_files_continue_with_the_same_draws(midway: str, tmp_path: Path) -> None:
    capacity, sizes = MIDWAY[midway]
    original = Stamped(RecentSampler(0.5, 4), capacity).extend(*sizes)
    original.sample(40)
    original.buffer.dumps(tmp_path / "buffer")
    restored = Stamped(RecentSampler(0.0, 1), capacity, seed=99)
    restored.buffer.loads(tmp_path / "buffer")
    assert_continues(original, restored)


def test_a_state_dict_is_a_copy_of_plain_values() -> None:
    stamped = Stamped(RecentSampler(0.5, 4), 20).extend(20, 7)
    sampler = stamped.buffer.sampler
    state = sampler.state_dict()
    kept = json.loads(json.dumps(state))
    stamped.extend(6)
    assert state == kept
    assert sampler.state_dict() != kept
    sampler.load_state_dict(kept)
    assert sampler.state_dict() == kept


def test_files_of_the_sampler_can_be_written_twice(tmp_path: Path) -> None:
    stamped = Stamped(RecentSampler(0.5, 4), 20).extend(7)
    sampler = stamped.buffer.sampler
    sampler.dumps(tmp_path / "sampler")
    stamped.extend(6)
    sampler.dumps(tmp_path / "sampler")
    other = RecentSampler(1.0, 1)
    other.loads(str(tmp_path / "sampler"))
    assert other.state_dict() == sampler.state_dict()


def test_an_emptied_buffer_starts_anew() -> None:
    stamped = Stamped(RecentSampler(1.0, 4), 20).extend(20, 13)
    stamped.buffer.empty()
    fresh = RecentSampler(1.0, 4).state_dict()
    assert stamped.buffer.sampler.state_dict() == fresh
    with pytest.raises(RuntimeError, match="empty storage"):
        stamped.buffer.sample(8)
    stamped.written = 0
    stamped.extend(3)
    assert set(stamped.sample(60).tolist()) == {0, 1, 2}
    stamped.extend(6)
    assert set(stamped.sample(60).tolist()) == {5, 6, 7, 8}
    stamped.extend(15)
    assert set(stamped.sample(60).tolist()) == {20, 21, 22, 23}


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_an_empty_buffer_cannot_be_sampled(fraction: float) -> None:
    with pytest.raises(RuntimeError, match="Cannot sample from an empty storage"):
        Stamped(RecentSampler(fraction, 4), 20).buffer.sample(8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-0.1, 4), ValueError, r"recent_fraction=-0\.1 .* >= 0 and <= 1"),
        ((1.1, 4), ValueError, r"recent_fraction=1\.1 .* >= 0 and <= 1"),
        ((math.nan, 4), ValueError, r"recent_fraction=nan .* >= 0 and <= 1"),
        (("0.5", 4), TypeError, r"recent_fraction='0\.5' .* number"),
        ((None, 4), TypeError, r"recent_fraction=None .* number"),
        ((True, 4), TypeError, r"recent_fraction=True .* number"),
        ((0.5, 0), ValueError, r"recent_size=0 .* integer >= 1"),
        ((0.5, -3), ValueError, r"recent_size=-3 .* integer >= 1"),
        ((0.5, 4.0), TypeError, r"recent_size=4\.0 .* integer >= 1"),
        ((0.5, "4"), TypeError, r"recent_size='4' .* integer >= 1"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(
    arguments: tuple[Any, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        RecentSampler(*arguments)


def test_its_representation_names_its_arguments() -> None:
    text = "RecentSampler(recent_fraction=0.25, recent_size=4)"
    assert repr(RecentSampler(0.25, 4)) == text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("history", ["before full", "recent across the end"])
def test_shares_in_a_buffer_on_a_gpu(history: str) -> None:
    capacity, sizes, recent_size = HISTORIES[history]
    stamped = Stamped(RecentSampler(0.5, recent_size), capacity, device="cuda")
    stamped.extend(*sizes)
    stamps = stamped.draw(200, 20).cpu()
    assert stamped.buffer.sample(8)["index"].device.type == "cuda"
    newest = stamps >= stamped.written - recent_size
    assert (newest.sum(-1) >= 100).all()
    assert set(stamps.flatten().tolist()) == set(range(stamped.oldest, stamped.written))


def test_sampler_that_saw_no_writing_is_refused() -> None:
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(10), batch_size=4)
    buffer.extend(TensorDict({"x": torch.arange(14)}, [14]))
    buffer.set_sampler(RecentSampler(0.5, 3))
    with pytest.raises(RuntimeError, match="before the first extend"):
        buffer.sample()


def marked(fraction: float, recent_size: int, capacity: int = 20, **more: Any) -> Any:
    sampler = RecentSampler(fraction, recent_size, marks=True)
    return Stamped(sampler, capacity, **more)


@pytest.mark.parametrize("history", HISTORIES)
def test_marks_tell_the_part_that_was_drawn_as_the_newest(history: str) -> None:
    capacity, sizes, recent_size = HISTORIES[history]
    stamped = marked(0.25, recent_size, capacity).extend(*sizes)
    others = []
    for _ in range(20):
        batch = stamped.buffer.sample(40)
        assert batch["recent"].dtype == torch.bool
        assert batch["recent"].shape == (40,)
        assert batch["recent"].sum() == 10
        newest = batch["stamp"] >= stamped.written - recent_size
        assert newest[batch["recent"]].all()
        others += batch["stamp"][~batch["recent"]].tolist()
    # The others are of all entries, the newest included.
    assert set(others) == set(range(stamped.oldest, stamped.written))


def test_marks_of_sequences_are_those_of_their_rows() -> None:
    stamped = marked(0.5, 4, 11, steps=5).extend(4, 4, 4, 4)
    batch = stamped.buffer.sample(6)
    assert batch["recent"].shape == (6, 5)
    assert (batch["recent"] == batch["recent"][:, :1]).all()
    assert batch["recent"][:, 0].sum() == 3
    assert (batch["stamp"][batch["recent"]] >= 12).all()


@pytest.mark.parametrize(("fraction", "batch_size"), [(0.3, 5), (0.25, 1)])
def test_marks_hold_on_average(fraction: float, batch_size: int) -> None:
    stamped = marked(fraction, 4).extend(20)
    sampler, storage = stamped.buffer.sampler, stamped.buffer.storage
    counts = torch.tensor(
        [
            int(sampler.sample(storage, batch_size)[1]["recent"].sum())
            for _ in range(2_000)
        ]
    ).double()
    share = fraction * batch_size
    assert set(counts.tolist()) == {math.floor(share), math.ceil(share)}
    # The standard error of a mean of 2,000 zeros and ones is below 0.012.
    assert abs(counts.mean() - share) < 0.05


@pytest.mark.parametrize("sizes", [[10, 10], [10, 10, 7], [55]])
def test_marks_do_not_change_what_is_drawn(sizes: list[int]) -> None:
    plain = Stamped(RecentSampler(0.5, 5), 20).extend(*sizes)
    stamped = marked(0.5, 5).extend(*sizes)
    for _ in range(5):
        assert torch.equal(plain.sample(9), stamped.sample(9))
    assert "recent" not in plain.buffer.sample(9).keys()


@pytest.mark.parametrize("sizes", [[1], [2, 3]])
def test_recent_data_alone_is_marked_too(sizes: list[int]) -> None:
    """All entries are the newest: the marked part is as large as later on."""
    stamped, uniform = pair(RecentSampler(0.5, 5, marks=True), 20)
    stamped.extend(*sizes)
    batch = stamped.buffer.sample(400)
    assert batch["recent"].sum() == 200
    assert torch.equal(batch["stamp"], uniform.extend(*sizes).sample(400))
    for part in (batch["recent"], ~batch["recent"]):
        assert set(batch["stamp"][part].tolist()) == set(range(stamped.written))


def test_without_recent_data_none_is_marked() -> None:
    plain, stamped = pair(RecentSampler(0.0, 5, marks=True), 20)
    plain.extend(20, 7)
    stamped.extend(20, 7)
    batch = plain.buffer.sample(9)
    assert torch.equal(batch["stamp"], stamped.sample(9))
    assert not batch.get("recent", torch.zeros(9, dtype=torch.bool)).any()


def test_a_state_dict_leaves_it_to_the_sampler_whether_it_marks() -> None:
    stamped = marked(0.5, 4).extend(20, 7)
    stamped.buffer.sampler.load_state_dict(RecentSampler(0.25, 3).state_dict())
    stamped.extend(3)
    assert stamped.buffer.sample(40)["recent"].sum() == 10


def test_marks_of_a_few_entries_need_to_have_seen_them_written() -> None:
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(10), batch_size=4)
    buffer.extend(TensorDict({"x": torch.arange(2)}, [2]))
    buffer.set_sampler(RecentSampler(0.5, 3, marks=True))
    with pytest.raises(RuntimeError, match="before the first extend"):
        buffer.sample()
