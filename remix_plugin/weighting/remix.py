"""ReMIX's projection weights: the factors as pure functions, and what combines them.

Shapes: ``*B`` any batch, n agents. Values of the team are ``[*B, 1]``. Everything is
computed in float64: the factors multiply errors, exponentials and reciprocals, and a
product that overflows would turn the whole batch into NaN. Where the device of the
arguments has no float64, results lie on the CPU.

Source: ReMIX (arXiv 2302.05593), Theorem 1.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from remix_plugin.precision import to_float64
from remix_plugin.validation import check_choice, check_number
from remix_plugin.weighting.base import Weighting

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


def bellman_error(value: Tensor, target: Tensor) -> Tensor:
    """How far the mixed value lies below its target, ``max(y - Q_tot, 0)``."""
    return (to_float64(target) - to_float64(value)).clamp_min(0.0)


def value_underestimation(
    unrestricted: Tensor, value: Tensor, exponent_clip: float
) -> Tensor:
    """``exp(clip(Q_star - Q_tot, -exponent_clip, exponent_clip))``."""
    gap = to_float64(unrestricted) - to_float64(value)
    return gap.clamp(-exponent_clip, exponent_clip).exp()


def gradient_factor(
    mixer_gradient: Tensor, action_probability: Tensor, gradient_floor: float
) -> Tensor:
    """``max(sum_a (1 - pi_a) / max(g_a, gradient_floor) - 1, 0)``.

    The bracket of Theorem 1, whose gradient can vanish and whose value can be
    negative: hence the floor and the clip, which are ours.

    Args:
        mixer_gradient (Tensor): ``dQ_tot / dq_a``, ``[*B, n, 1]``.
        action_probability (Tensor): Boltzmann probability of the action that each
            agent took, ``[*B, n, 1]``.
        gradient_floor (float): smallest gradient divided by, positive.

    Returns:
        Tensor: ``[*B, 1]``, at least 0.
    """
    remainder = 1.0 - to_float64(action_probability)
    quotient = remainder / to_float64(mixer_gradient).clamp_min(gradient_floor)
    return (quotient.sum(-2) - 1.0).clamp_min(0.0)


def normalize(
    raw: Tensor,
    valid: Tensor,
    *,
    normalization: str,
    w_min: float,
    w_max: float,
    mean_multiple: float,
) -> Tensor:
    """Bring raw weights into ``[w_min, w_max]``.

    Args:
        raw (Tensor): at least 0, ``[*B, 1]``.
        valid (Tensor): entries that count, bool ``[*B, 1]``.

    Keyword Args:
        normalization (str): ``"mean"``, ``clip(raw / mean(raw), w_min, w_max)``, as
            the theorem's constraint ``E[w] = 1`` suggests; ``"mean_positive"``, the
            same with the mean over positive entries; ``"max"``, ``w_min + (w_max -
            w_min) raw / max(raw)``, a literal reading of the paper; ``"clipped"``,
            ``w_min + (w_max - w_min) (c - min(c)) / (max(c) - min(c))`` with ``c =
            min(raw, mean_multiple * m)`` and ``m`` the mean over positive entries, as
            a later repository of the paper's first author has it (ysmei97/MAC-PO).
        w_min (float): smallest weight.
        w_max (float): largest weight.
        mean_multiple (float): of ``"clipped"`` alone, positive.

    Returns:
        Tensor: ``[*B, 1]``; all ``w_min`` where all of ``raw`` is 0, and, with
        ``"clipped"``, where all of ``c`` are equal.

    Raises:
        ValueError: if ``normalization`` is another.
    """
    valid = valid.to(raw.device)
    counted = torch.where(valid, raw, 0.0)
    mean_positive = counted.sum() / (counted > 0).sum().clamp_min(1)
    if normalization == "mean":
        weight = _divide(raw, counted.sum() / valid.sum().clamp_min(1))
    elif normalization == "mean_positive":
        weight = _divide(raw, mean_positive)
    elif normalization == "max":
        weight = w_min + (w_max - w_min) * _divide(raw, counted.max())
    elif normalization == "clipped":
        cut = raw.clamp_max(mean_multiple * mean_positive)
        low = torch.where(valid, cut, torch.inf).min()
        high = torch.where(valid, cut, -torch.inf).max()
        weight = w_min + (w_max - w_min) * _divide(cut - low, high - low)
    else:
        raise ValueError(
            f"normalization={normalization!r} is not allowed: it must be one of "
            f"{', '.join(map(repr, NORMALIZATIONS))}."
        )
    return weight.clamp(w_min, w_max)


def _divide(raw: Tensor, scale: Tensor) -> Tensor:
    """``raw / scale``, or 0 where ``scale`` is 0, as then all of ``raw`` is."""
    return torch.where(scale > 0, raw / scale, 0.0)


class RemixWeighting(Weighting):
    """Weights that minimize the regret of the projected value, up to normalization.

    ReMIX (arXiv 2302.05593), Theorem 1: the product of four factors, 0 wherever
    ``Q_tot >= y``, brought into ``[w_min, w_max]``. The fourth, ``on_policyness``,
    is the density ratio of the current policy to the data; it is realized by how the
    batch is drawn (:class:`~remix_plugin.data.samplers.RecentSampler`), so here its
    name is accepted and changes nothing. The defaults live in ``algorithm/remix.yaml``.

    Keyword Args:
        terms (list or tuple of str): factors in use, of ``bellman_error``,
            ``value_underestimation``, ``mixer_gradient``, ``on_policyness``. Without
            ``bellman_error`` the indicator ``y > Q_tot`` takes its place; any other
            that is left out is 1.
        normalization (str): ``mean``, ``mean_positive``, ``max`` or ``clipped``, see
            :func:`normalize`.
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
        terms: Sequence[str],
        normalization: str,
        mean_multiple: float,
        w_min: float,
        w_max: float,
        exponent_clip: float,
        gradient_floor: float,
        unrestricted_value: str,
        policy_support: str,
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


#: Keyword arguments of :class:`RemixWeighting`, options of ReMIX by the same names
OPTIONS = tuple(inspect.signature(RemixWeighting).parameters)


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
