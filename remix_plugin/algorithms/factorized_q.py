"""What algorithms that regress one mix of utilities on its own target share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tensordict.nn import TensorDictModule

from remix_plugin.algorithms.value_factorization import (
    ValueFactorization,
    ValueFactorizationConfig,
)
from remix_plugin.objectives.factorized_q import FactorizedQLoss
from remix_plugin.validation import check_number


class FactorizedQ(ValueFactorization):
    """QMIX's regression with a mixer that a subclass makes.

    Args:
        td_coef (float): factor of the regression's loss.
        **kwargs: as :class:`~.value_factorization.ValueFactorization`.

    Attributes:
        metrics (sequence of str): outputs of the mixer whose means are logged.
    """

    metrics: Sequence[str] = ()

    def __init__(self, td_coef: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.td_coef = td_coef

    @abstractmethod
    def get_mixer(self, group: str) -> TensorDictModule:
        """The mixer of a group."""

    def get_loss(
        self, group: str, policy: TensorDictModule, options: dict[str, Any]
    ) -> FactorizedQLoss:
        """The regression of the joint value on its own target."""
        return FactorizedQLoss(
            policy[0],
            self.get_mixer(group),
            metrics=self.metrics,
            td_coef=self.td_coef,
            **options,
        )


@dataclass
class FactorizedQConfig(ValueFactorizationConfig):
    """Options of the regression, see :class:`FactorizedQ`.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    td_coef: float

    def __post_init__(self) -> None:
        """Validate the shared options."""
        super().__post_init__()
        check_number("td_coef", self.td_coef, above=0)
