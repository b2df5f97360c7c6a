"""Nothing of ours needs float64 on a device that has none; numbers are the same."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from device_without_float64 import DEVICE, DeviceWithoutFloat64
from remix_options import remix_weighting
from tensordict import TensorDict
from tiny_experiments import predator_prey
from torch import Tensor

from remix_plugin.callbacks.episodes import read_episodes
from remix_plugin.callbacks.projection_weights import bin_centers, count_weights
from remix_plugin.data.samplers import RecentSampler
from remix_plugin.precision import to_float64
from remix_plugin.weighting.base import WEIGHT, Weighting
from remix_plugin.weighting.remix import NORMALIZATIONS
from remix_plugin.weighting.wqmix import (
    CentralWeighting,
    OptimisticWeighting,
    UniformWeighting,
)

WEIGHTINGS: dict[str, Weighting] = {
    **{name: remix_weighting(normalization=name) for name in NORMALIZATIONS},
    "factors left out": remix_weighting(terms=["on_policyness"]),
    "optimistic": OptimisticWeighting(0.3),
    "central": CentralWeighting(0.3),
    "uniform": UniformWeighting(),
}


def test_float64_is_refused_there() -> None:
    with DeviceWithoutFloat64() as there:
        one = torch.ones(2).to(DEVICE)
        assert one.device == (one + 1).device == torch.zeros(2, device=DEVICE).device
        assert one.device == DEVICE
        for refused in (
            one.double,
            lambda: one.to("cpu", torch.float64),
            lambda: torch.zeros(2, dtype=torch.float64, device=DEVICE),
            lambda: torch.ones(2, dtype=torch.float64).to(DEVICE),
        ):
            with pytest.raises(TypeError, match="no float64"):
                refused()
        with pytest.raises(RuntimeError, match="two devices"):
            one + torch.ones(2)
        assert there.waits == 0
        assert (one + 1).tolist() == [2.0, 2.0]
        assert there.waits == 1


def test_float64_is_on_the_cpu_where_a_device_has_none() -> None:
    values = torch.tensor([0.1, math.inf, math.nan, -3e-42])
    wide = to_float64(values)
    assert (wide.dtype, wide.device.type) == (torch.float64, "cpu")
    assert to_float64(wide) is wide
    assert to_float64(values.to("meta")).device.type == "meta"
    with DeviceWithoutFloat64():
        same = to_float64(values.to(DEVICE))
    assert (same.dtype, same.device.type) == (torch.float64, "cpu")
    assert torch.equal(same.nan_to_num(), wide.nan_to_num())


def offered(size: int = 40, n_agents: int = 3) -> dict[str, Tensor]:
    """What a loss offers to a weighting."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(size, *shape, 1, generator=generator)

    return {
        "chosen_action_value": normal(),
        "unrestricted_value": 4.0 * normal(),
        "target_value": normal() + 0.3,
        "mixer_gradient": normal(n_agents).abs(),
        "action_probability": normal(n_agents).sigmoid(),
        "is_greedy": normal() > 0.5,
        "greedy_target_value": normal(),
        "valid": normal() < 1.0,
    }


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_weights_are_the_same_there(name: str) -> None:
    weighting, batch = WEIGHTINGS[name], TensorDict(offered(), [40])
    expected = weighting(batch)[WEIGHT]
    with DeviceWithoutFloat64():
        # Like the loss, of no device itself.
        moved = TensorDict({k: v.to(DEVICE) for k, v in batch.items()}, [40])
        weight = weighting(moved)[WEIGHT]
        assert (weight.dtype, weight.device) == (torch.float32, DEVICE)
        assert torch.equal(weight.cpu(), expected)


@pytest.mark.parametrize("largest", [1.0, 0.3, 7.0, 1e-30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_are_counted_there_to_the_last_bit(
    largest: float, dtype: torch.dtype
) -> None:
    # Around the edges of bins single precision would err.
    middles = torch.tensor(bin_centers(largest), dtype=torch.double)
    edges = (middles + 0.01 * largest).float()
    up = torch.full_like(edges, math.inf)
    below, above = edges.nextafter(-up), edges.nextafter(up)
    odd = torch.tensor([0.0, math.nan, math.inf, 1e30])
    weight = torch.cat([below, edges, above, odd]).to(dtype)[:, None]
    valid = torch.ones_like(weight, dtype=torch.bool)
    expected = [count_weights(*one, largest) for one in zip(weight, valid, strict=True)]
    with DeviceWithoutFloat64() as there:
        both = zip(weight.to(DEVICE), valid.to(DEVICE), strict=True)
        found = [count_weights(*one, largest) for one in both]
        assert there.waits == 0
        assert torch.equal(torch.stack(found).cpu(), torch.stack(expected))


def rollout(info: dict[str, list[Any]], ended: bool) -> TensorDict:
    """Two steps of two agents; ``info`` is that of the last."""
    last = {name: torch.tensor([value, value]) for name, value in info.items()}
    following = {
        "reward": torch.tensor([[0.1], [0.7]]),
        "done": torch.tensor([[False], [ended]]),
        "info": {name: value[:, None] for name, value in last.items()},
    }
    agents = TensorDict({}, [2, 2])
    return TensorDict({"agents": agents, "next": following}, [2])


@pytest.mark.parametrize("kind", ["battles", "predator_prey"])
def test_episodes_are_read_from_there(kind: str) -> None:
    if kind == "battles":
        task: Any = None
        names = ("battle_won", "episode_limit", "connection_lost")
        infos = [(True, False, False), (False, True, False), (False, False, True)]
        outcomes = {
            "win_rate": [1.0, 0.0, math.nan, math.nan],
            "episode_limit_rate": [0.0, 1.0, math.nan, math.nan],
        }
    else:
        task, names = predator_prey(), ("prey_caught",)
        infos = [(2.0,), (1.0,), (0.0,)]
        outcomes = {
            "success_rate": [0.0, 1.0, 0.0, math.nan],
            "prey_caught": [2.0, 1.0, 0.0, math.nan],
        }
    rollouts = [rollout(dict(zip(names, info, strict=True)), True) for info in infos]
    rollouts.append(rollout(dict(zip(names, infos[0], strict=True)), False))
    experiment: Any = SimpleNamespace(group_map={"agents": []}, task=task)
    expected = read_episodes(experiment, rollouts)
    for name, values in outcomes.items():
        assert expected[name] == pytest.approx(values, nan_ok=True, abs=0)
        assert all(type(value) is float for value in expected[name])
    with DeviceWithoutFloat64():
        found = read_episodes(experiment, [one.to(DEVICE) for one in rollouts])
    assert repr(found) == repr(expected)


class Storage:
    """As much of a full one as the sampler reads."""

    ndim = 1

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device

    def __len__(self) -> int:
        return 100

    def _rand_given_ndim(self, size: int) -> Tensor:
        draw = {"generator": self.generator, "device": self.device}
        return torch.randint(100, (size,), **draw)


def draw(fraction: float, size: int, device: torch.device) -> Tensor:
    """Indices of a batch; the newest 10 of 100 entries are the last."""
    generator = torch.Generator().manual_seed(0)
    sampler = RecentSampler(fraction, 10)
    sampler._rng = generator  # as the buffer sets it
    sampler.add(99)
    index, _ = sampler.sample(Storage(generator, device), size)  # type: ignore
    return index


@pytest.mark.parametrize("size", [7, 1000])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.999, 1.0])
def test_recent_entries_are_drawn_as_before(fraction: float, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(100, (size,), generator=generator)
    age = torch.randint(10, (size,), generator=generator)
    luck = torch.rand(1, dtype=torch.double, generator=generator)
    n_recent = int((fraction * size + luck).floor())
    index[:n_recent] = 99 - age[:n_recent]
    assert torch.equal(draw(fraction, size, torch.device("cpu")), index)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_whole_numbers_of_recent_entries_are_drawn_there(fraction: float) -> None:
    size = 1 << 12
    with DeviceWithoutFloat64():
        index = draw(fraction, size, DEVICE).cpu()
    n_recent = int(fraction * size)
    assert (index[:n_recent] >= 90).all()
    assert (index[n_recent:] < 90).any() or fraction == 1.0
