"""The environment of SMACv2: teams and start positions are drawn at each reset."""

from __future__ import annotations

from typing import Any

import numpy as np

from smacv2.env.starcraft2.starcraft2 import CannotResetException, StarCraft2Env

SPREAD = 10.0
"""Distance between the sides at the start, as on v1 maps."""


class WeightedTeams:
    """Draws our team; theirs is the same, shortened or filled up."""

    def __init__(self, config: dict[str, Any], rng: np.random.Generator):
        self._config = config
        self._rng = rng

    def generate(self) -> dict[str, Any]:
        """Both teams, under the key of the configuration."""
        n_units, n_enemies = self._config["n_units"], self._config["n_enemies"]
        ours = self._draw(n_units)
        theirs = ours[:n_enemies]
        if n_enemies > n_units:
            theirs = theirs + self._draw(n_enemies - n_units)
        teams = {"ally_team": ours, "enemy_team": theirs, "id": 0}
        return {self._config["env_key"]: teams}

    def _draw(self, size: int) -> list[str]:
        """Kinds of a team that does not consist of exceptions alone."""
        kinds, weights = self._config["unit_types"], self._config["weights"]
        exceptions = set(self._config.get("exception_unit_types", ()))
        while True:
            team = [str(kind) for kind in self._rng.choice(kinds, size, p=weights)]
            if not set(team) <= exceptions:
                return team


class SurroundedOrReflected:
    """Draws start positions: enemies around us, or the sides as mirror images."""

    def __init__(self, config: dict[str, Any], rng: np.random.Generator):
        self._config = config
        self._rng = rng

    def generate(self) -> dict[str, Any]:
        """Positions of both sides, ``[n, 2]`` each."""
        n_units, n_enemies = self._config["n_units"], self._config["n_enemies"]
        center = np.array([self._config["map_x"], self._config["map_y"]]) / 2
        if self._rng.random() > self._config["p"]:
            ours = center + self._rng.uniform(-1, 1, (n_units, 2))
            corners = self._rng.choice([-1, 1], (n_enemies, 2)) / np.sqrt(2)
            theirs = center + SPREAD * corners
            theirs += self._rng.uniform(-1, 1, (n_enemies, 2))
        else:
            number = max(n_units, n_enemies)
            offsets = self._rng.uniform((-1, -4), (1, 4), (number, 2))
            offsets[:, 0] -= SPREAD / 2
            ours = center + offsets[:n_units]
            theirs = center + (offsets * (-1, 1))[:n_enemies]
        return {
            "ally_start_positions": {"item": ours, "id": 0},
            "enemy_start_positions": {"item": theirs, "id": 0},
        }


DISTRIBUTIONS = {
    "weighted_teams": WeightedTeams,
    "surrounded_and_reflect": SurroundedOrReflected,
}


class StarCraftCapabilityEnvWrapper:
    """Wraps an environment and draws what ``capability_config`` describes.

    Args:
        **kwargs: arguments of the environment. The sub-dictionaries of
            ``capability_config`` are written to, as by the real package.

    Raises:
        KeyError: without ``capability_config``, and for an unknown distribution.
    """

    def __init__(self, **kwargs: Any):
        self.distribution_config = kwargs["capability_config"]
        self.env_key_to_distribution_map: dict[str, Any] = {}
        # The real package draws from generators without a seed.
        rng = np.random.default_rng(kwargs.get("seed"))
        for key, config in self.distribution_config.items():
            if key in ("n_units", "n_enemies"):
                continue
            config["env_key"] = key
            config["n_units"] = self.distribution_config["n_units"]
            config["n_enemies"] = self.distribution_config["n_enemies"]
            distribution = DISTRIBUTIONS[config["dist_type"]](config, rng)
            self.env_key_to_distribution_map[key] = distribution
        self.env = StarCraft2Env(**kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "env":
            raise AttributeError(name)
        return getattr(self.env, name)

    def reset(self) -> tuple[list[np.ndarray], np.ndarray] | None:
        """Begin an episode; a repeated attempt begins one but returns nothing."""
        config: dict[str, Any] = {}
        for distribution in self.env_key_to_distribution_map.values():
            config |= distribution.generate()
        try:
            return self.env.reset(config)
        except CannotResetException:
            self.reset()
            return None

    def get_obs_agent(self, agent_id: int) -> np.ndarray:
        return self.env.get_obs_agent(agent_id)
