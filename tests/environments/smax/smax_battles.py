"""Small batches of battles, shared by the tests of SMAX.

The simulator is compiled anew for every map, set of options and size of batch, which
takes seconds: tests use as few of them as they can, these.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from remix_plugin.environments.smax.config import SmaxConfig
from remix_plugin.environments.smax.env import SmaxEnv

N_ENVS = 4
STOP = 4  # then an attack on each enemy
TASK: dict[str, Any] = {
    "map_name": "3m",
    "max_steps": 100,
    "enemy_shoots": True,
    "reward_scale": 10.0,
    "normalize_state": True,
    "terminate_at_limit": False,
}
# Enemies that are easily beaten, and time that soon runs out
PASSIVE = {"max_steps": 20, "enemy_shoots": False, "normalize_state": False}

# Not ``importorskip``: importing JaxMARL takes seconds, prints, and swaps the streams
# that pytest captures.
needs_jaxmarl = pytest.mark.skipif(
    find_spec("jaxmarl") is None, reason="JaxMARL is not installed (Python >= 3.11)"
)


def smax_config(**changes: Any) -> SmaxConfig:
    """The task smax/3m, some options changed."""
    return SmaxConfig(**{**TASK, **changes})


def smax_env(*, seed: int = 0, **changes: Any) -> SmaxEnv:
    """Four environments of that task."""
    return SmaxEnv(smax_config(**changes), num_envs=N_ENVS, seed=seed)


def random_actions(mask: Tensor, generator: torch.Generator) -> Tensor:
    """Available actions ``[*B, N]``, attacks ten times as likely as others."""
    weights = mask.float()
    weights[..., STOP + 1 :] *= 10
    flat = weights.flatten(0, -2)
    return flat.multinomial(1, generator=generator).view(mask.shape[:-1])


def focused_actions(mask: Tensor) -> Tensor:
    """Wait, then shoot the first enemy within range, ``[*B, N]``."""
    first = mask[..., STOP + 1 :].int().argmax(-1) + STOP + 1
    return torch.where(mask[..., STOP + 1 :].any(-1), first, STOP)


def stopping(env: SmaxEnv) -> Tensor:
    """Nobody does anything."""
    shape = env.full_action_spec["agents", "action"].shape
    return torch.full(shape, STOP)


def step(env: SmaxEnv, action: Tensor) -> TensorDictBase:
    """What follows the action; nothing is reset."""
    request = TensorDict({"agents": {"action": action}}, batch_size=env.batch_size)
    return env.step(request)["next"]


def reset_rows(
    env: SmaxEnv, view: TensorDictBase, chosen: list[bool]
) -> TensorDictBase:
    """Reset the chosen rows alone, as a collector does."""
    request = view.exclude("reward").set("_reset", torch.tensor(chosen)[:, None])
    return env.reset(request)


def units(env: SmaxEnv) -> Any:
    """The units of all battles."""
    return env.battles.state


def set_units(env: SmaxEnv, **fields: Any) -> None:
    """Change what the battles' units are like, by the names of JaxMARL's state."""
    state = units(env)
    arrays = {
        name: np.asarray(value, dtype=getattr(state, name).dtype)
        for name, value in fields.items()
    }
    env.battles = env.battles.replace(state=state.replace(**arrays))


def leaves(battles: Any) -> list[np.ndarray]:
    """Copies of all arrays of battles."""
    import jax

    return [np.array(leaf) for leaf in jax.tree.leaves(battles)]


def same_leaves(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """Whether all arrays are the same, to the bit."""
    return len(one) == len(other) and all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for a, b in zip(one, other, strict=True)
    )


def same_views(one: TensorDictBase, other: TensorDictBase) -> bool:
    """Whether two tensordicts have the same entries, to the bit."""
    keys = set(one.keys(True, True))
    return keys == set(other.keys(True, True)) and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key], other[key])
        for key in keys
    )


def play(env: SmaxEnv, n_steps: int, seed: int = 0) -> list[TensorDictBase]:
    """Random battles, begun anew where they end: the first view, then each step's."""
    generator = torch.Generator().manual_seed(seed)
    view = env.reset()
    record = [view.clone()]
    for _ in range(n_steps):
        action = random_actions(view["agents", "action_mask"], generator)
        view["agents", "action"] = action
        result, view = env.step_and_maybe_reset(view)
        record.append(result["next"].clone())
    return record
