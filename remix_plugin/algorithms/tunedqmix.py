"""QMIX on the base of the plugin's algorithms."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarl.algorithms.common import Algorithm

from remix_plugin.algorithms.factorized_q import FactorizedQ, FactorizedQConfig
from remix_plugin.algorithms.value_factorization import (
    MonotonicFactorization,
    MonotonicFactorizationConfig,
)


class TunedQmix(MonotonicFactorization, FactorizedQ):
    """QMIX (arXiv 1803.11485) with what the plugin's other algorithms have too.

    Double Q-learning, targets over several steps, the deeper hypernetwork, exact values
    of recurrent models, prioritized replay: what is left to tell it from ReMIX is the
    weighting and the unrestricted target. BenchMARL's own is ``qmix``.

    Args:
        **kwargs: as :class:`~.factorized_q.FactorizedQ` and
            :class:`~.value_factorization.MonotonicFactorization`.
    """


@dataclass
class TunedQmixConfig(MonotonicFactorizationConfig, FactorizedQConfig):
    """Options of :class:`TunedQmix`; defaults live in ``algorithm/tunedqmix.yaml``."""

    @staticmethod
    def associated_class() -> type[Algorithm]:
        """The algorithm."""
        return TunedQmix
