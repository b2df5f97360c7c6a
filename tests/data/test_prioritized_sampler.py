"""The prioritized sampler: probabilities and weights by hand, state, real buffer."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from device_without_float64 import DEVICE, DeviceWithoutFloat64
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

from remix_plugin.data.prioritized import PrioritizedSampler

N_DRAWS = 40_000


def make_buffer(
    alpha: float = 1.0, beta: float = 1.0, capacity: int = 8
) -> TensorDictReplayBuffer:
    return TensorDictReplayBuffer(
        storage=LazyTensorStorage(capacity),
        sampler=PrioritizedSampler(capacity, alpha, beta),
        batch_size=N_DRAWS,
        priority_key="td_error",
        generator=torch.Generator().manual_seed(0),
    )


def fill(buffer: TensorDictReplayBuffer, n: int) -> None:
    buffer.extend(TensorDict({"x": torch.arange(n)}, [n]))


def shares(buffer: TensorDictReplayBuffer, n: int) -> torch.Tensor:
    return buffer.sample()["x"].bincount(minlength=n) / N_DRAWS


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
def test_drawn_in_proportion_to_the_power_of_the_priority(alpha: float) -> None:
    buffer = make_buffer(alpha)
    fill(buffer, 4)
    buffer.update_priority(torch.arange(4), torch.tensor([1.0, 4.0, 9.0, 16.0]))
    weights = [1.0**alpha, 4.0**alpha, 9.0**alpha, 16.0**alpha]
    expected = torch.tensor(weights) / sum(weights)
    assert (shares(buffer, 4) - expected).abs().max() < 0.01


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [(float("nan"), [0.25, 0.25, 0.5]), (float("inf"), [0.0, 1.0, 0.0])],
)
def test_priority_that_is_not_finite_can_be_drawn_beside(
    wrong: float, expected: list[float]
) -> None:
    # Draws used to fail, with words that did not name what was wrong.
    buffer = make_buffer()
    fill(buffer, 3)
    buffer.update_priority(torch.arange(3), torch.tensor([1.0, wrong, 2.0]))
    assert (shares(buffer, 3) - torch.tensor(expected)).abs().max() < 0.01


def test_importance_weights_by_hand() -> None:
    buffer = make_buffer(alpha=1.0, beta=0.5)
    fill(buffer, 3)
    buffer.update_priority(torch.arange(3), torch.tensor([1.0, 4.0, 16.0]))
    data = buffer.sample()
    # (p / min p) ^ -beta
    expected = torch.tensor([1.0, 0.5, 0.25])[data["x"]]
    assert torch.allclose(data["priority_weight"], expected, atol=1e-5)


def test_new_entries_have_the_highest_priority_and_old_ones_are_replaced() -> None:
    buffer = make_buffer(capacity=4)
    fill(buffer, 4)
    buffer.update_priority(torch.arange(4), torch.tensor([1.0, 1.0, 1.0, 7.0]))
    fill(buffer, 2)  # into slots 0 and 1
    counts = buffer.sample()["index"].bincount(minlength=4) / N_DRAWS
    expected = torch.tensor([7.0, 7.0, 1.0, 7.0]) / 22
    assert (counts - expected).abs().max() < 0.01


def test_empty_slots_are_never_drawn() -> None:
    buffer = make_buffer(capacity=8)
    fill(buffer, 3)
    assert set(buffer.sample()["index"].tolist()) == {0, 1, 2}


def test_state_dict_survives_a_checkpoint_and_is_decoupled() -> None:
    buffer = make_buffer()
    fill(buffer, 4)
    buffer.update_priority(torch.arange(4), torch.tensor([1.0, 2.0, 3.0, 50.0]))
    stream = io.BytesIO()
    torch.save(buffer.state_dict(), stream)
    other = make_buffer()
    other.load_state_dict(torch.load(io.BytesIO(stream.getvalue())))
    other.set_rng(torch.Generator().manual_seed(1))
    buffer.set_rng(torch.Generator().manual_seed(1))
    given, expected = other.sample(), buffer.sample()
    assert torch.equal(given["index"], expected["index"])
    assert torch.equal(given["priority_weight"], expected["priority_weight"])
    assert expected["priority_weight"].unique().numel() > 1
    buffer.update_priority(torch.arange(4), torch.ones(4))
    assert shares(other, 4)[3] > 0.8


def test_state_dict_before_any_data() -> None:
    other = make_buffer()
    other.sampler.load_state_dict(make_buffer().sampler.state_dict())
    fill(other, 2)
    assert (shares(other, 2) - 0.5).abs().max() < 0.01


def trained_buffer(highest: float = 50.0) -> TensorDictReplayBuffer:
    """Four entries, of priorities that are far apart."""
    buffer = make_buffer(alpha=0.6, beta=0.4)
    fill(buffer, 4)
    buffer.update_priority(torch.arange(4), torch.tensor([0.1, 2.0, 3.0, highest]))
    return buffer


def restored(state: dict[str, Any]) -> TensorDictReplayBuffer:
    """Another buffer of the same entries, with the sampler's state."""
    other = make_buffer()
    fill(other, 4)
    other.sampler.load_state_dict(state)
    return other


def assert_draw_alike(
    one: TensorDictReplayBuffer, other: TensorDictReplayBuffer
) -> None:
    """Same draws, also after a new entry, and new priorities of others."""
    for buffer in (one, other):
        buffer.set_rng(torch.Generator().manual_seed(1))
    for size in (16, 64, 256):
        drawn, expected = other.sample(size), one.sample(size)
        assert set(drawn.keys()) == {"x", "index", "priority_weight"}
        assert all(torch.equal(drawn[key], expected[key]) for key in drawn.keys())
        assert len(expected["index"].unique()) > 1
        for buffer in (one, other):
            fill(buffer, 1)
            buffer.update_priority(torch.tensor([0, 2]), torch.tensor([9.0, 0.2]))


def test_restored_sampler_goes_on_to_the_last_bit() -> None:
    buffer = trained_buffer()
    assert_draw_alike(buffer, restored(buffer.sampler.state_dict()))
    # In double precision, as after a restart before, new entries would differ.
    buffer = trained_buffer(highest=14.125)
    other = restored(buffer.sampler.state_dict())
    for one in (buffer, other):
        fill(one, 1)
    states = [one.sampler.state_dict()["priorities"] for one in (buffer, other)]
    assert torch.equal(*states)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_priorities_that_are_no_bits_are_loaded(dtype: torch.dtype) -> None:
    # As earlier versions saved them.
    state = trained_buffer().sampler.state_dict()
    state["priorities"] = state["priorities"].view(torch.float64).to(dtype)
    assert_draw_alike(trained_buffer(), restored(state))


def test_buffer_restored_onto_another_device_draws() -> None:
    # One without float64, in which priorities used to be saved.
    buffer = trained_buffer()
    state = buffer.sampler.state_dict()
    with DeviceWithoutFloat64():
        state["priorities"] = state["priorities"].to(DEVICE)
        other = restored(state)
    assert_draw_alike(buffer, other)


def test_priorities_of_data_on_another_device_are_taken() -> None:
    buffer, other = trained_buffer(), trained_buffer()
    data = TensorDict(
        {"index": torch.arange(3), "td_error": torch.tensor([[4.0], [0.3], [70.0]])},
        [3],
    )
    buffer.update_tensordict_priority(data)
    with DeviceWithoutFloat64():
        other.update_tensordict_priority(data.to(DEVICE))
    assert_draw_alike(buffer, other)
    assert buffer.sampler.default_priority > trained_buffer().sampler.default_priority


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_checkpoint_mapped_onto_a_gpu_is_drawn_from() -> None:
    buffer, stream = trained_buffer(), io.BytesIO()
    torch.save(buffer.state_dict(), stream)
    mapped = torch.load(io.BytesIO(stream.getvalue()), map_location="cuda")
    assert mapped["_sampler"]["priorities"].device.type == "cuda"
    other = restored(mapped["_sampler"])
    assert_draw_alike(buffer, other)
    data = buffer.sample(8).to("cuda")
    data["td_error"] = torch.rand(8, 1, device="cuda")
    for one in (buffer, other):
        one.update_tensordict_priority(data)
    assert_draw_alike(buffer, other)
