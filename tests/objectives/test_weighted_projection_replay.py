"""The projection loss and prioritized replay: each reads what the other writes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loss_batches import make_batch
from projection_setup import make_loss, make_weighting
from torch import Tensor
from torchrl.data import LazyTensorStorage, Storage, TensorDictReplayBuffer

from remix_plugin.data.prioritized import PrioritizedSampler

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")


class PrioritySpy(PrioritizedSampler):
    """Keeps the priorities that a buffer hands over, and draws every entry once."""

    def _init(self) -> None:
        self.priorities: dict[int, float] = {}

    def extend(self, index: Tensor) -> None:
        pass

    def update_priority(self, index: Tensor, priority: Tensor, **_: Any) -> None:
        for i, p in zip(index.tolist(), priority.tolist(), strict=True):
            self.priorities[i] = p

    def mark_update(self, index: Tensor, **_: Any) -> None:
        pass

    def sample(self, storage: Storage, batch_size: int) -> tuple[Tensor, dict]:
        return torch.arange(batch_size), {"priority_weight": torch.rand(batch_size)}


def prioritized_buffer(sampler: PrioritizedSampler) -> TensorDictReplayBuffer:
    return TensorDictReplayBuffer(
        storage=LazyTensorStorage(8),
        sampler=sampler,
        batch_size=8,
        priority_key=("agents", "td_error"),
    )


@pytest.mark.parametrize("steps", [None, 3], ids=["transitions", "sequences"])
def test_a_buffer_gets_the_priorities_that_the_loss_writes(steps: int | None) -> None:
    torch.manual_seed(0)
    sampler = PrioritySpy(8, alpha=1.0, beta=1.0)
    buffer = prioritized_buffer(sampler)
    sequential = steps is not None
    buffer.extend(make_batch(8, *(steps,) * sequential, rows=sequential))
    batch = buffer.sample()
    loss = make_loss(make_weighting("remix-mean"), sequential=sequential)
    loss(batch)
    sampler.priorities.clear()
    buffer.update_tensordict_priority(batch)
    # A row of the buffer counts as much as its largest error.
    expected = batch["agents", "td_error"].flatten(1).amax(-1)
    assert sampler.priorities == dict(enumerate(expected.tolist()))


@pytest.mark.parametrize("steps", [None, 3], ids=["transitions", "sequences"])
def test_importance_weights_of_a_buffer_are_used(steps: int | None) -> None:
    torch.manual_seed(0)
    buffer = prioritized_buffer(PrioritySpy(8, alpha=1.0, beta=1.0))
    sequential = steps is not None
    buffer.extend(make_batch(8, *(steps,) * sequential, rows=sequential))
    batch = buffer.sample()
    importance = batch["priority_weight"].unsqueeze(-1)
    result = make_loss(sequential=sequential)(batch)
    error = batch["agents", "td_error"].select(-2, 0)
    expected = (importance * error).sum() / importance.sum()
    torch.testing.assert_close(result["loss_projection"], expected)


def test_prioritized_replay_end_to_end() -> None:
    torch.manual_seed(0)
    sampler = PrioritizedSampler(8, alpha=1.0, beta=1.0, eps=0.0)
    buffer = prioritized_buffer(sampler)
    buffer.extend(make_batch(8))
    loss = make_loss(make_weighting("remix-mean"))
    for _ in range(5):
        batch = buffer.sample()
        assert loss(batch)["loss"].isfinite()
        buffer.update_tensordict_priority(batch)
    tree = [sampler._sum_tree[int(i)] for i in batch["index"]]
    expected = batch["agents", "td_error"][:, 0, 0].tolist()
    assert tree == pytest.approx(expected, rel=1e-5)
