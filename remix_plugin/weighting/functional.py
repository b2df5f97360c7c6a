"""Projection weights as pure functions.

Shapes: ``*B`` any batch, n agents. Values of the team are ``[*B, 1]``. Everything is
computed in float64: the factors multiply errors, exponentials and reciprocals, and a
product that overflows would turn the whole batch into NaN. Where the device of the
arguments has no float64, results lie on the CPU.

Source: ReMIX (arXiv 2302.05593), Theorem 1; Weighted QMIX (arXiv 2006.10800), eqs. 6
and 7.
"""

from __future__ import annotations

import torch
from torch import Tensor

from remix_plugin.precision import to_float64


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
    mean_multiple: float = 2.0,
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
            "'mean', 'mean_positive', 'max', 'clipped'."
        )
    return weight.clamp(w_min, w_max)


def optimistic(value: Tensor, target: Tensor, alpha: float) -> Tensor:
    """OW-QMIX: 1 where the target lies above the mixed value, else ``alpha``.

    Weighted QMIX, eq. 6; strict, so that ties get ``alpha``, as its code does.
    """
    return torch.where(target > value, 1.0, alpha)


def central(
    target: Tensor, greedy_value: Tensor, is_greedy: Tensor, alpha: float
) -> Tensor:
    """CW-QMIX: 1 for the greedy joint action and for better ones, else ``alpha``.

    Weighted QMIX, eq. 7, with the target network's unrestricted value of the greedy
    joint action, as its code has it.

    Args:
        target (Tensor): regression target ``[*B, 1]``.
        greedy_value (Tensor): target network's unrestricted value of the greedy joint
            action ``[*B, 1]``.
        is_greedy (Tensor): whether the joint action taken is the greedy one, bool
            ``[*B, 1]``.
        alpha (float): weight of the others.
    """
    return torch.where(is_greedy | (target > greedy_value), 1.0, alpha)


def _divide(raw: Tensor, scale: Tensor) -> Tensor:
    """``raw / scale``, or 0 where ``scale`` is 0, as then all of ``raw`` is."""
    return torch.where(scale > 0, raw / scale, 0.0)
