"""ReMIX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm

from remix_plugin.algorithms.base import RecentData
from remix_plugin.algorithms.value_factorization import (
    WeightedProjection,
    WeightedProjectionConfig,
)
from remix_plugin.validation import check_number
from remix_plugin.weighting.base import Weighting
from remix_plugin.weighting.remix import (
    ON_POLICYNESS,
    OPTIONS,
    RemixWeighting,
    WarmUpWeighting,
)
from remix_plugin.weighting.wqmix import OptimisticWeighting


class Remix(RecentData, WeightedProjection):
    """ReMIX (arXiv 2302.05593): projection weights that minimize regret.

    Args:
        terms (list of str): factors of the weight in use.
        normalization (str): ``"mean"``, ``"mean_positive"``, ``"max"`` or
            ``"clipped"``.
        mean_multiple (float): where ``"clipped"`` clips, in positive means.
        w_min (float): smallest weight.
        w_max (float): largest weight.
        exponent_clip (float): bound of the exponent of ``value_underestimation``.
        gradient_floor (float): smallest mixer gradient divided by.
        unrestricted_value (str): ``"online"`` or ``"target"``, in the exponent.
        policy_support (str): ``"available"`` or ``"all"`` actions in the softmax.
        warm_up_frames (int): collected frames below which weights are OW-QMIX's, 1 and
            ``w_min``.
        recent_fraction (float): share of each batch drawn from the newest data.
        recent_size (int): frames that count as newest, rounded up to whole collected
            batches.
        **kwargs: as :class:`~.value_factorization.WeightedProjection`.

    Raises:
        ValueError: if recent data is asked for together with prioritized replay, or
            inside an ensemble, where neither could be honored.
    """

    def __init__(
        self,
        terms: list[str],
        normalization: str,
        mean_multiple: float,
        w_min: float,
        w_max: float,
        exponent_clip: float,
        gradient_floor: float,
        unrestricted_value: str,
        policy_support: str,
        warm_up_frames: int,
        recent_fraction: float,
        recent_size: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            recent_fraction=recent_fraction if ON_POLICYNESS in terms else 0.0,
            recent_size=recent_size,
            **kwargs,
        )
        self.weighting: Weighting = RemixWeighting(
            terms=terms,
            normalization=normalization,
            mean_multiple=mean_multiple,
            w_min=w_min,
            w_max=w_max,
            exponent_clip=exponent_clip,
            gradient_floor=gradient_floor,
            unrestricted_value=unrestricted_value,
            policy_support=policy_support,
        )
        if warm_up_frames > 0:
            self.weighting = WarmUpWeighting(
                OptimisticWeighting(w_min),
                self.weighting,
                frames=warm_up_frames,
                collected=lambda: self.experiment.total_frames,
            )

    def get_weighting(self, group: str) -> Weighting:
        """ReMIX's weights, after those of OW-QMIX if asked to."""
        return self.weighting


@dataclass
class RemixConfig(WeightedProjectionConfig):
    """Options of :class:`Remix`; the defaults live in ``algorithm/remix.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range or a name unknown.
    """

    terms: list[str]
    normalization: str
    mean_multiple: float
    w_min: float
    w_max: float
    exponent_clip: float
    gradient_floor: float
    unrestricted_value: str
    policy_support: str
    warm_up_frames: int
    recent_fraction: float
    recent_size: int

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        # Its constructor refuses what it cannot work with.
        RemixWeighting(**{option: getattr(self, option) for option in OPTIONS})
        check_number("warm_up_frames", self.warm_up_frames, low=0, integer=True)
        if self.warm_up_frames > 0 and self.w_min > 1:
            raise ValueError(
                f"w_min={self.w_min!r} is not allowed with warm_up_frames="
                f"{self.warm_up_frames}, in which it is OW-QMIX's alpha: it must be a "
                "number > 0 and <= 1."
            )
        check_number("recent_fraction", self.recent_fraction, low=0, high=1)
        check_number("recent_size", self.recent_size, low=1, integer=True)

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return Remix
