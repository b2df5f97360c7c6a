"""Weighted QMIX, in both variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm

from remix_plugin.algorithms.value_factorization import (
    WeightedProjection,
    WeightedProjectionConfig,
)
from remix_plugin.validation import check_number
from remix_plugin.weighting.base import Weighting
from remix_plugin.weighting.wqmix import CentralWeighting, OptimisticWeighting


class Owqmix(WeightedProjection):
    """OW-QMIX (arXiv 2006.10800): less weight where the value is overestimated.

    Args:
        alpha (float): weight of those transitions; the others have 1.
        **kwargs: as :class:`~.value_factorization.WeightedProjection`.
    """

    def __init__(self, alpha: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def get_weighting(self, group: str) -> Weighting:
        """The optimistic weights."""
        return OptimisticWeighting(self.alpha)


class Cwqmix(Owqmix):
    """CW-QMIX (arXiv 2006.10800): less weight on joint actions that seem worse.

    Args:
        alpha (float): weight of those transitions; the others have 1.
        **kwargs: as :class:`~.value_factorization.WeightedProjection`.
    """

    def get_weighting(self, group: str) -> Weighting:
        """The central weights."""
        return CentralWeighting(self.alpha)


@dataclass
class OwqmixConfig(WeightedProjectionConfig):
    """Options of :class:`Owqmix`; the defaults live in ``algorithm/owqmix.yaml``.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    alpha: float

    def __post_init__(self) -> None:
        """Validate all options."""
        super().__post_init__()
        check_number("alpha", self.alpha, above=0, high=1)

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return Owqmix


@dataclass
class CwqmixConfig(OwqmixConfig):
    """Options of :class:`Cwqmix`; the defaults live in ``algorithm/cwqmix.yaml``."""

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return Cwqmix
