"""The random generators that a process shares."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def random_states() -> dict[str, Any]:
    """States of torch's, CUDA's, NumPy's and Python's global generators.

    Tensors, numbers, strings and tuples, for ``torch.load(weights_only=True)``.
    """
    numpy_state = np.random.get_state(legacy=False)
    key = numpy_state["state"]["key"]
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": {
            **numpy_state,
            "state": {**numpy_state["state"], "key": torch.from_numpy(key.copy())},
        },
        "python": random.getstate(),
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Continue from :func:`random_states`.

    CUDA's generators are left alone where there are not as many as there were.
    """
    torch.set_rng_state(states["torch"].cpu())
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
    numpy_state = states["numpy"]
    inner = numpy_state["state"]
    key = inner["key"].cpu().numpy()
    np.random.set_state({**numpy_state, "state": {**inner, "key": key}})
    random.setstate(states["python"])
