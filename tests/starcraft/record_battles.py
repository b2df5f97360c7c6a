"""Plays battles over the simulated game and writes down all that agents got.

``python record_battles.py PACKAGE FILE MAP...``: the packages cannot be compared in one
process.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from pysc2 import run_configs
from simulated_game import SimulatedGame
from smac_play import fight, make_env, step, stop

OPTIONS = {
    "default": {},
    "all": {
        "obs_last_action": True,
        "obs_pathing_grid": True,
        "obs_terrain_height": True,
        "obs_timestep_number": True,
        "state_timestep_number": True,
        "reward_only_positive": False,
    },
    "few": {"obs_all_health": False, "obs_own_health": False, "reward_sparse": True},
}


def record(package: str, map_name: str, options: str) -> dict[str, np.ndarray]:
    """Two fights, one of them with an enemy out of sight, and a defeat."""
    with tempfile.TemporaryDirectory() as folder:
        game = SimulatedGame(Path(folder))
        run_configs.get = game.get
        env = make_env(map_name, seed=3, backend=package, **OPTIONS[options])
        steps = []
        for hidden, policy in ((False, fight), (True, fight), (False, stop)):
            game.options.hidden_enemy = hidden
            td = env.reset()
            steps.append({**flat(td), "reward": np.zeros(1), "done": np.zeros(1)})
            while not td["done"] and len(steps) < 400:
                td = step(env, policy, td)
                steps.append(flat(td))
        env.close()
    return {key: np.stack([entry[key] for entry in steps]) for key in steps[-1]}


def flat(td) -> dict[str, np.ndarray]:
    """All entries but the action, by names without tuples."""
    entries = td.exclude(("agents", "action")).flatten_keys("/")
    return {key: value.numpy() for key, value in entries.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    package, file, *maps = sys.argv[1:]
    arrays = {
        f"{map_name}:{options}:{key}": array
        for map_name in maps
        for options in OPTIONS
        for key, array in record(package, map_name, options).items()
    }
    np.savez(file, **arrays)
