"""Another weighting at the beginning of a run."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from remix_plugin.weighting.base import Weighting


class WarmUpWeighting(Weighting):
    """One weighting until so many frames were collected, another from then on.

    Args:
        first (Weighting): in use below ``frames``.
        then (Weighting): in use from ``frames`` on.
        frames (int): collected frames, at least 0.
        collected (callable): returns how many the run has collected so far.
    """

    def __init__(
        self,
        first: Weighting,
        then: Weighting,
        *,
        frames: int,
        collected: Callable[[], int],
    ) -> None:
        super().__init__()
        self.first = first
        self.then = then
        self.frames = frames
        self.collected = collected
        self.w_max = max(first.w_max, then.w_max)
        self.in_keys = list(dict.fromkeys([*first.in_keys, *then.in_keys]))

    def weight(self, *inputs: Tensor) -> Tensor:
        """Weights ``[*B, 1]`` of the weighting in use."""
        now = self.first if self.collected() < self.frames else self.then
        named = dict(zip(self.in_keys, inputs, strict=True))
        return now.weight(*[named[key] for key in now.in_keys])
