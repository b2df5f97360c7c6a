"""ReMIX's projection weights."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from remix_plugin.validation import check_choice, check_number
from remix_plugin.weighting.base import Weighting
from remix_plugin.weighting.functional import (
    bellman_error,
    gradient_factor,
    normalize,
    value_underestimation,
)

BELLMAN_ERROR = "bellman_error"
VALUE_UNDERESTIMATION = "value_underestimation"
MIXER_GRADIENT = "mixer_gradient"
ON_POLICYNESS = "on_policyness"
TERMS = (BELLMAN_ERROR, VALUE_UNDERESTIMATION, MIXER_GRADIENT, ON_POLICYNESS)
NORMALIZATIONS = ("mean", "mean_positive", "max", "clipped")
# Entries of the loss, by the option that chooses between them
UNRESTRICTED_VALUES = {
    "online": "unrestricted_value",
    "target": "unrestricted_target_value",
}
POLICY_SUPPORTS = {
    "available": "action_probability",
    "all": "unmasked_action_probability",
}


class RemixWeighting(Weighting):
    """Weights that minimize the regret of the projected value, up to normalization.

    ReMIX (arXiv 2302.05593), Theorem 1: the product of four factors, 0 wherever
    ``Q_tot >= y``, brought into ``[w_min, w_max]``. The fourth, ``on_policyness``,
    is the density ratio of the current policy to the data; it is realized by how the
    batch is drawn (:class:`~remix_plugin.data.samplers.RecentSampler`), so here its
    name is accepted and changes nothing.

    Keyword Args:
        terms (list or tuple of str): factors in use, of ``bellman_error``,
            ``value_underestimation``, ``mixer_gradient``, ``on_policyness``. Without
            ``bellman_error`` the indicator ``y > Q_tot`` takes its place; any other
            that is left out is 1.
        normalization (str): ``mean``, ``mean_positive``, ``max`` or ``clipped``, see
            :func:`~remix_plugin.weighting.functional.normalize`.
        mean_multiple (float): of ``clipped`` alone, positive: raw weights count up to
            so many times their positive mean.
        w_min (float): smallest weight, positive.
        w_max (float): largest weight, at least ``w_min``.
        exponent_clip (float): bound of the exponent of ``value_underestimation``, in
            units of value, from 0 to 100.
        gradient_floor (float): smallest mixer gradient divided by, at least 1e-12.
        unrestricted_value (str): whose ``Q_star`` is in the exponent of
            ``value_underestimation``, that of the ``online`` or of the ``target``
            network.
        policy_support (str): actions over which the softmax of ``mixer_gradient`` is
            taken, ``available`` or ``all``.

    Raises:
        TypeError: if a number has the wrong type.
        ValueError: if a value is out of range or a name unknown.
    """

    def __init__(
        self,
        *,
        terms: Sequence[str] = TERMS,
        normalization: str = "clipped",
        mean_multiple: float = 2.0,
        w_min: float = 0.1,
        w_max: float = 1.0,
        exponent_clip: float = 5.0,
        gradient_floor: float = 1e-3,
        unrestricted_value: str = "online",
        policy_support: str = "available",
    ) -> None:
        super().__init__()
        if not isinstance(terms, (list, tuple)):
            raise TypeError(
                f"terms={terms!r} is not allowed: it must be a list of names."
            )
        for term in terms:
            check_choice("terms entry", term, TERMS)
        if len(set(terms)) != len(terms):
            raise ValueError(f"terms={list(terms)} is not allowed: a name is repeated.")
        check_choice("normalization", normalization, NORMALIZATIONS)
        check_number("mean_multiple", mean_multiple, above=0)
        check_number("w_max", w_max, above=0)
        check_number("w_min", w_min)
        if w_min > w_max:
            raise ValueError(
                f"w_min={w_min!r} is not allowed with w_max={w_max!r}: it must be a "
                f"number > 0 and <= {w_max!r}."
            )
        check_number("w_min", w_min, above=0, high=w_max)
        # Beyond these the product of the factors could leave float64.
        check_number("exponent_clip", exponent_clip, low=0, high=100)
        check_number("gradient_floor", gradient_floor, low=1e-12)
        check_choice("unrestricted_value", unrestricted_value, UNRESTRICTED_VALUES)
        check_choice("policy_support", policy_support, POLICY_SUPPORTS)
        self.in_keys = [
            "chosen_action_value",
            UNRESTRICTED_VALUES[unrestricted_value],
            "target_value",
            "mixer_gradient",
            POLICY_SUPPORTS[policy_support],
            "valid",
        ]
        self.terms = tuple(terms)
        self.normalization = normalization
        self.mean_multiple = mean_multiple
        self.w_min = w_min
        self.w_max = w_max
        self.exponent_clip = exponent_clip
        self.gradient_floor = gradient_floor

    def weight(
        self,
        value: Tensor,
        unrestricted: Tensor,
        target: Tensor,
        mixer_gradient: Tensor,
        action_probability: Tensor,
        valid: Tensor,
    ) -> Tensor:
        """Weights ``[*B, 1]`` in ``[w_min, w_max]``."""
        raw = bellman_error(value, target)
        if BELLMAN_ERROR not in self.terms:
            raw = (raw > 0).double()
        if VALUE_UNDERESTIMATION in self.terms:
            raw = raw * value_underestimation(unrestricted, value, self.exponent_clip)
        if MIXER_GRADIENT in self.terms:
            raw = raw * gradient_factor(
                mixer_gradient, action_probability, self.gradient_floor
            )
        weight = normalize(
            raw,
            valid,
            normalization=self.normalization,
            w_min=self.w_min,
            w_max=self.w_max,
            mean_multiple=self.mean_multiple,
        )
        return weight.to(value)
