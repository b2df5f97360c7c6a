"""What there is to say of battles that have ended."""

from __future__ import annotations

from tensordict import TensorDictBase


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
        for name, flag in (
            ("win_rate", "battle_won"),
            ("episode_limit_rate", "episode_limit"),
        )
    }
