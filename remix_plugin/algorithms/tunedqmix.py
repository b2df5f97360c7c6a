"""QMIX on the base of the plugin's algorithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarl.algorithms.common import Algorithm
from benchmarl.models.common import Model

from remix_plugin.algorithms.monotonic import (
    MonotonicFactorisation,
    MonotonicFactorisationConfig,
)
from remix_plugin.objectives.factorised_q import FactorisedQLoss


class TunedQmix(MonotonicFactorisation):
    """QMIX (arXiv 1803.11485) with what the plugin's other algorithms have too.

    Double Q-learning, targets over several steps, the deeper hypernetwork, exact values
    of recurrent models, prioritised replay: what is left to tell it from ReMIX is the
    weighting and the unrestricted target. BenchMARL's own is ``qmix``.

    Args:
        **kwargs: as :class:`~.monotonic.MonotonicFactorisation`.
    """

    def get_loss(
        self, group: str, utilities: Model, options: dict[str, Any]
    ) -> FactorisedQLoss:
        """The regression of the monotonic value on its own target."""
        return FactorisedQLoss(utilities, self.get_mixer(group), **options)


@dataclass
class TunedQmixConfig(MonotonicFactorisationConfig):
    """Options of :class:`TunedQmix`; defaults live in ``algorithm/tunedqmix.yaml``."""

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return TunedQmix
