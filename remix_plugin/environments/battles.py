"""Outcomes of battles that have ended."""

from __future__ import annotations

import math

import torch
from tensordict import TensorDictBase
from torch import Tensor

FLAGS = {"win_rate": "battle_won", "episode_limit_rate": "episode_limit"}


def battle_outcomes(ends: TensorDictBase) -> dict[str, Tensor]:
    """How each of some battles ended.

    Args:
        ends (TensorDictBase): the last step of each, ``[n]``, with the flags of
            :func:`battle_rates`, or some of them.

    Returns:
        dict: ``win_rate`` and ``episode_limit_rate``, each 0 or 1, ``[n]``, NaN where
        the connection was lost; empty where steps say nothing of battles.
    """
    info = ends.get(("next", "info"), None)
    known = set() if info is None else set(info.keys())
    outcomes = {
        name: info.get(flag).flatten().float()
        for name, flag in FLAGS.items()
        if "battle_won" in known and flag in known
    }
    if "connection_lost" in known:
        lost = info.get("connection_lost").flatten()
        outcomes = {k: torch.where(lost, math.nan, v) for k, v in outcomes.items()}
    return outcomes


def battle_rates(batch: TensorDictBase) -> dict[str, float]:
    """Rates over the episodes that ended in a batch of steps.

    Args:
        batch (TensorDictBase): steps of battles, ``[*B]``, with ``("next", "done")``
            ``[*B, 1]`` and the flags ``("next", "info", "battle_won")`` and
            ``("next", "info", "episode_limit")``, ``[*B]`` or ``[*B, 1]``. Episodes
            whose last step has ``("next", "info", "connection_lost")`` do not count.

    Returns:
        dict: ``win_rate`` and ``episode_limit_rate``; empty if no episode ended.
    """
    done = batch.get(("next", "done")).flatten()
    info = batch.get(("next", "info"))
    if "connection_lost" in info.keys():
        done = done & ~info.get("connection_lost").flatten()
    if not done.any():
        return {}
    return {
        name: info.get(flag).flatten()[done].float().mean().item()
        for name, flag in FLAGS.items()
    }
