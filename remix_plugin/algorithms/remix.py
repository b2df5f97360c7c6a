"""ReMIX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm

from remix_plugin.algorithms.recent_data import RecentData
from remix_plugin.algorithms.weighted_projection import (
    WeightedProjection,
    WeightedProjectionConfig,
)
from remix_plugin.validation import check_number
from remix_plugin.weighting.base import Weighting
from remix_plugin.weighting.remix import ON_POLICYNESS, RemixWeighting
from remix_plugin.weighting.warm_up import WarmUpWeighting
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
        **kwargs: as :class:`~.weighted_projection.WeightedProjection`.

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
        self.terms = terms
        self.normalization = normalization
        self.mean_multiple = mean_multiple
        self.w_min = w_min
        self.w_max = w_max
        self.exponent_clip = exponent_clip
        self.gradient_floor = gradient_floor
        self.unrestricted_value = unrestricted_value
        self.policy_support = policy_support
        self.warm_up_frames = warm_up_frames

    def get_weighting(self, group: str) -> Weighting:
        """ReMIX's weights, after those of OW-QMIX if asked to."""
        weighting = RemixWeighting(
            terms=self.terms,
            normalization=self.normalization,
            mean_multiple=self.mean_multiple,
            w_min=self.w_min,
            w_max=self.w_max,
            exponent_clip=self.exponent_clip,
            gradient_floor=self.gradient_floor,
            unrestricted_value=self.unrestricted_value,
            policy_support=self.policy_support,
        )
        if self.warm_up_frames == 0:
            return weighting
        return WarmUpWeighting(
            OptimisticWeighting(self.w_min),
            weighting,
            frames=self.warm_up_frames,
            collected=lambda: self.experiment.total_frames,
        )


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
        RemixWeighting(
            terms=self.terms,
            normalization=self.normalization,
            mean_multiple=self.mean_multiple,
            w_min=self.w_min,
            w_max=self.w_max,
            exponent_clip=self.exponent_clip,
            gradient_floor=self.gradient_floor,
            unrestricted_value=self.unrestricted_value,
            policy_support=self.policy_support,
        )
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
