"""The weighting of a run's beginning gives way at the frame that was asked for."""

from __future__ import annotations

import pytest
import torch
from remix_options import remix_weighting
from weighting_inputs import plain_inputs, random_inputs, weigh

from remix_plugin.weighting.remix import WarmUpWeighting
from remix_plugin.weighting.wqmix import OptimisticWeighting


@pytest.mark.parametrize("collected", [0, 2_000, 29_999, 30_000, 30_001, 10**9])
def test_the_second_begins_with_the_frame(collected: int) -> None:
    first, then = OptimisticWeighting(0.1), remix_weighting(normalization="clipped")
    weighting = WarmUpWeighting(first, then, frames=30_000, collected=lambda: collected)
    inputs = random_inputs(2)
    now = first if collected < 30_000 else then
    assert torch.equal(weigh(weighting, inputs), weigh(now, inputs))
    assert not torch.equal(weigh(first, inputs), weigh(then, inputs))


def test_it_follows_the_count() -> None:
    counts = iter([19, 20])
    weighting = WarmUpWeighting(
        OptimisticWeighting(0.25),
        remix_weighting(normalization="mean", w_max=4.0),
        frames=20,
        collected=lambda: next(counts),
    )
    # By hand: the mean of the raw weights 1, 3, 0 is 4 / 3.
    inputs = plain_inputs([0.0, 0.0, 0.0], [1.0, 3.0, -5.0])
    assert weigh(weighting, inputs).flatten().tolist() == [1.0, 1.0, 0.25]
    weights = weigh(weighting, inputs).flatten().tolist()
    assert weights == pytest.approx([0.75, 2.25, 0.1])
    assert weighting.w_max == 4.0
