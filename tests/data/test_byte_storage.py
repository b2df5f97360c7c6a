"""Entries that lie in a replay buffer as bytes and come back as floats."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, ReplayBuffer, TensorDictReplayBuffer

from remix_plugin.data.transforms import byte_storage

KEYS = [("agents", "observation"), "state"]
STORED = [*KEYS, ("next", "agents", "observation"), ("next", "state")]
OTHERS = [("agents", "action"), ("next", "reward"), "age"]


def make_batch(*batch: int, seed: int = 0) -> TensorDict:
    generator = torch.Generator().manual_seed(seed)

    def whole(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, (*batch, *shape), generator=generator).float()

    td = TensorDict(
        {
            "agents": TensorDict(
                {
                    "observation": whole(3, 2),
                    "action": torch.randint(4, (*batch, 3), generator=generator),
                },
                batch_size=[*batch, 3],
            ),
            "state": whole(5),
            "age": 0.5 * torch.arange(float(torch.Size(batch).numel())).view(batch),
            "next": {
                "agents": {"observation": whole(3, 2)},
                "state": whole(5),
                "reward": torch.randn(*batch, 1, generator=generator),
            },
        },
        batch_size=batch,
    )
    td["state"][..., 0], td["state"][..., 1] = 0.0, 255.0
    return td


def make_buffer(capacity: int = 16) -> TensorDictReplayBuffer:
    return TensorDictReplayBuffer(
        storage=LazyTensorStorage(capacity),
        transform=byte_storage(KEYS),
        batch_size=64,
        generator=torch.Generator().manual_seed(1),
    )


def assert_comes_back(buffer: TensorDictReplayBuffer, original: TensorDict) -> None:
    sampled = buffer.sample()
    expected = original[sampled["index"].reshape(64, -1)[:, 0]]
    for key in [*STORED, *OTHERS]:
        assert torch.equal(sampled[key], expected[key]), key
        assert sampled[key].dtype == expected[key].dtype


@pytest.mark.parametrize("shape", [(12,), (12, 3)], ids=["transitions", "sequences"])
def test_entries_lie_as_bytes_and_come_back_as_floats(shape: tuple[int, ...]) -> None:
    buffer, batch = make_buffer(), make_batch(*shape)
    original = batch.clone()
    buffer.extend(batch)
    stored = buffer.storage.get(slice(0, 12))
    for key in STORED:
        assert stored[key].dtype == torch.uint8
        assert torch.equal(stored[key].float(), original[key])
    for key in OTHERS:
        assert stored[key].dtype == original[key].dtype
    assert_comes_back(buffer, original)


@pytest.mark.parametrize("kind", [ReplayBuffer, TensorDictReplayBuffer])
def test_the_batch_that_enters_stays_as_it_is(kind: type[ReplayBuffer]) -> None:
    buffer = kind(storage=LazyTensorStorage(16), transform=byte_storage(KEYS))
    batch = make_batch(12)
    original = batch.clone()
    pointers = {key: batch[key].data_ptr() for key in STORED}
    buffer.extend(batch)
    for key in [*STORED, *OTHERS]:
        assert batch[key].dtype == original[key].dtype
        assert torch.equal(batch[key], original[key]), key
    assert {key: batch[key].data_ptr() for key in STORED} == pointers


def test_what_lies_in_the_buffer_is_not_changed_by_sampling() -> None:
    buffer, batch = make_buffer(), make_batch(12)
    buffer.extend(batch)
    first = buffer.sample()
    for key in STORED:
        first[key].zero_()
    assert all(buffer.storage.get(slice(0, 12))[key].any() for key in STORED)
    assert_comes_back(buffer, batch)


def test_entries_added_one_by_one() -> None:
    buffer, batch = make_buffer(), make_batch(12)
    for i in range(12):
        buffer.add(batch[i].clone())
    assert buffer.storage.get(slice(0, 12))["state"].dtype == torch.uint8
    assert_comes_back(buffer, batch)


def test_a_ring_buffer_that_wraps() -> None:
    buffer, batch = make_buffer(capacity=8), make_batch(12)
    buffer.extend(batch[:6])
    buffer.extend(batch[6:])
    # Slots 4 to 7 hold entries 4 to 7; slots 0 to 3 entries 8 to 11.
    assert_comes_back(buffer, torch.cat([batch[8:12], batch[4:8]]))


@pytest.mark.parametrize("key", STORED)
def test_bytes_take_a_quarter_of_the_memory(key: tuple[str, ...] | str) -> None:
    buffer, batch = make_buffer(), make_batch(12)
    buffer.extend(batch)
    stored = buffer.storage.get(slice(0, 12))[key]
    floats = make_batch(12)[key]
    assert 4 * stored.numel() * stored.element_size() == floats.numel() * 4
    assert floats.element_size() == 4


def test_no_keys_change_nothing() -> None:
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(16), transform=byte_storage([]), batch_size=64
    )
    batch = make_batch(12)
    buffer.extend(batch)
    stored = buffer.storage.get(slice(0, 12))
    for key in [*STORED, *OTHERS]:
        assert torch.equal(stored[key], batch[key])
        assert stored[key].dtype == batch[key].dtype


def test_a_state_dict_restores_bytes() -> None:
    buffer, batch = make_buffer(), make_batch(12)
    buffer.extend(batch)
    restored = make_buffer()
    restored.load_state_dict(buffer.state_dict())
    assert restored.storage.get(slice(0, 12))["state"].dtype == torch.uint8
    assert_comes_back(restored, batch)
