"""What agents see and may do: sizes, observations, states and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from smacv2.env.starcraft2.unit_types import GENERATED, ORDER, ally_type_id
from smacv2.fight import KINDS, LOOPS, SIZE, V1_RANGE, Unit

V1_SIGHT = 9.0
N_PATHING, N_HEIGHT = 8, 9
N_MOVES = 4
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))
"""North, south, east and west: the actions 2 to 5."""


class Views:
    """The part of the environment that reads its units and changes none.

    Its attributes are set by :class:`smacv2.env.starcraft2.starcraft2.StarCraft2Env`.
    """

    # Sizes

    def get_total_actions(self) -> int:
        return self.n_actions

    def get_obs_move_feats_size(self) -> int:
        pathing = N_PATHING * self.obs_pathing_grid
        return N_MOVES + pathing + N_HEIGHT * self.obs_terrain_height

    def get_obs_enemy_feats_size(self) -> tuple[int, int]:
        health = self.obs_all_health * (1 + self.shield_bits_enemy)
        return self.n_enemies, 4 + self.unit_type_bits + health

    def get_obs_ally_feats_size(self) -> tuple[int, int]:
        health = self.obs_all_health * (1 + self.shield_bits_ally)
        last_action = self.obs_last_action * self.n_actions
        return self.n_agents - 1, 4 + self.unit_type_bits + health + last_action

    def get_obs_own_feats_size(self) -> int:
        health = self.obs_own_health * (1 + self.shield_bits_ally)
        return self.unit_type_bits + health + 2 * self.obs_own_pos

    def get_cap_size(self) -> int:
        return self.unit_type_bits

    def get_obs_size(self) -> int:
        n_enemies, enemy = self.get_obs_enemy_feats_size()
        n_allies, ally = self.get_obs_ally_feats_size()
        others = n_enemies * enemy + n_allies * ally
        own = self.get_obs_move_feats_size() + self.get_obs_own_feats_size()
        return own + others + self.obs_timestep_number

    def get_state_size(self) -> int:
        ally = 4 + self.shield_bits_ally + self.unit_type_bits
        enemy = 3 + self.shield_bits_enemy + self.unit_type_bits
        ally += self.state_last_action * self.n_actions
        units = self.n_agents * ally + self.n_enemies * enemy
        return units + self.state_timestep_number

    def get_env_info(self) -> dict[str, Any]:
        return {
            "state_shape": self.get_state_size(),
            "obs_shape": self.get_obs_size(),
            "cap_shape": self.get_cap_size(),
            "n_actions": self.get_total_actions(),
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
        }

    # Units

    def get_unit_by_id(self, a_id: int) -> Unit:
        return self.agents[a_id]

    def unit_sight_range(self, agent_id: int) -> float:
        if not self.use_unit_ranges:
            return V1_SIGHT
        sights = {getattr(self, f"{kind}_id"): KINDS[kind].sight for kind in GENERATED}
        return sights[self.agents[agent_id].unit_type]

    def unit_shoot_range(self, agent_id: int) -> float:
        if not self.use_unit_ranges:
            return V1_RANGE
        ranges = {getattr(self, f"{kind}_id"): KINDS[kind].range for kind in GENERATED}
        own = ranges[self.agents[agent_id].unit_type]
        return max(own, self.min_attack_range)

    def get_unit_type_id(self, unit: Unit, ally: bool) -> int:
        """Index of a unit's type in observations and state."""
        if not ally:
            return ORDER[self.map_type].index(unit.kind)
        misread = self.quirks.misread_types
        return ally_type_id(unit, self.map_type, self._min_unit_type, misread=misread)

    # Masks

    def get_avail_actions(self) -> list[list[int]]:
        return [self.get_avail_agent_actions(i) for i in range(self.n_agents)]

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        return self._available(agent_id, anywhere=not self.action_mask)

    def get_true_avail_agent_actions(self, agent_id: int) -> list[int]:
        return self._available(agent_id, anywhere=False)

    def _available(self, agent_id: int, *, anywhere: bool) -> list[int]:
        """Mask of an agent; ``anywhere`` allows targets out of range as well."""
        unit = self.agents[agent_id]
        mask = [0] * self.n_actions
        if unit.health <= 0:
            mask[0] = 1
            return mask
        mask[1] = 1
        for action, (x, y) in enumerate(DIRECTIONS, start=2):
            half = self._move_amount / 2
            place = unit.pos.x + half * x, unit.pos.y + half * y
            mask[action] = int(all(0 <= int(value) < SIZE for value in place))
        reach = self.unit_shoot_range(agent_id)
        for index, target in self._targets(unit).items():
            if target.health > 0 and (anywhere or self._near(unit, target) <= reach):
                mask[self.n_actions_no_attack + index] = 1
        return mask

    def _targets(self, unit: Unit) -> dict[int, Unit]:
        """Whom a unit can hit: for a medivac friends that do not fly."""
        if unit.kind != "medivac":
            return self.enemies
        return {i: u for i, u in self.agents.items() if u.kind != "medivac"}

    @staticmethod
    def _near(unit: Unit, other: Unit) -> float:
        return unit.pos.distance(other.pos)

    # Observations

    def get_obs(self) -> list[np.ndarray]:
        """Observations of all agents, made in a random order.

        An agent whose turn is late knows of enemies that others have just seen.
        """
        observations: list[np.ndarray | None] = [None] * self.n_agents
        for agent_id in self._turns.permutation(self.n_agents):
            observations[agent_id] = self.get_obs_agent(
                int(agent_id), fully_observable=self.fully_observable
            )
        return observations

    def get_obs_agent(
        self, agent_id: int, fully_observable: bool = False
    ) -> np.ndarray:
        """Observation of an agent; zeros where it is dead."""
        unit = self.agents[agent_id]
        if unit.health > 0:
            parts = (
                self._move_features(agent_id),
                self._enemy_features(agent_id, fully_observable).ravel(),
                self._ally_features(agent_id, fully_observable).ravel(),
                self._own_features(unit),
            )
            observation = np.concatenate(parts)
        else:
            observation = np.zeros(self.get_obs_size() - self.obs_timestep_number)
        if self.obs_timestep_number:
            share = self._episode_steps / self.episode_limit
            observation = np.append(observation, share)
        return observation.astype(np.float32)

    def _move_features(self, agent_id: int) -> np.ndarray:
        features = np.zeros(self.get_obs_move_feats_size())
        features[:N_MOVES] = self.get_avail_agent_actions(agent_id)[2 : 2 + N_MOVES]
        if self.obs_pathing_grid:
            features[N_MOVES : N_MOVES + N_PATHING] = 1
        return features

    def _enemy_features(self, agent_id: int, everything: bool) -> np.ndarray:
        unit = self.agents[agent_id]
        sight = self.unit_sight_range(agent_id)
        shootable = self.get_true_avail_agent_actions(agent_id)
        features = np.zeros(self.get_obs_enemy_feats_size())
        for index, enemy in self.enemies.items():
            in_sight = self._near(unit, enemy) < sight
            if in_sight and self.enemy_tags[index] is None:
                self._spot(index, agent_id)
            known = self.obs_enemies[index, agent_id] != 0
            if enemy.health > 0 and (everything or (in_sight and known)):
                flag = shootable[self.n_actions_no_attack + index]
                seen = self._seen(unit, enemy, sight, flag, ally=False)
                features[index, : len(seen)] = seen
            if self.quirks.wiped_features and not known:
                features[:] = 0
        return features

    def _spot(self, enemy: int, agent_id: int) -> None:
        """The first to see an enemy tells the others."""
        self.enemy_tags[enemy] = agent_id
        told = self._turns.random(self.n_agents) < self.prob_obs_enemy
        told[agent_id] = True
        self.obs_enemies[enemy, told] = 1

    def _ally_features(self, agent_id: int, everything: bool) -> np.ndarray:
        unit = self.agents[agent_id]
        sight = self.unit_sight_range(agent_id)
        features = np.zeros(self.get_obs_ally_feats_size())
        others = [i for i in range(self.n_agents) if i != agent_id]
        for row, index in enumerate(others):
            ally = self.agents[index]
            if ally.health <= 0 or not (everything or self._near(unit, ally) < sight):
                continue
            seen = self._seen(unit, ally, sight, 1, ally=True)
            if self.obs_last_action:
                seen += list(self.last_action[index])
            features[row] = seen
        return features

    def _seen(
        self, unit: Unit, other: Unit, sight: float, flag: int, *, ally: bool
    ) -> list[float]:
        """What a unit sees of another."""
        x, y = other.pos.x - unit.pos.x, other.pos.y - unit.pos.y
        features = [flag, self._near(unit, other) / sight, x / sight, y / sight]
        if self.obs_all_health:
            features += self._condition(other, ally=ally)
        return features + self._type_bits(other, ally=ally)

    def _condition(self, unit: Unit, *, ally: bool) -> list[float]:
        """Share of health and, for a side that has them, of shields."""
        has_shield = self.shield_bits_ally if ally else self.shield_bits_enemy
        shield = [unit.shield / unit.shield_max] if has_shield else []
        return [unit.health / unit.health_max, *shield]

    def _type_bits(self, unit: Unit, *, ally: bool) -> list[float]:
        bits = np.zeros(self.unit_type_bits)
        if self.unit_type_bits:
            bits[self.get_unit_type_id(unit, ally)] = 1.0
        return bits.tolist()

    def _own_features(self, unit: Unit) -> np.ndarray:
        features = self._condition(unit, ally=True) if self.obs_own_health else []
        if self.obs_own_pos:
            features = [*features, unit.pos.x / SIZE, unit.pos.y / SIZE]
        return np.array(features + self._type_bits(unit, ally=True))

    # State

    def get_state(self) -> np.ndarray:
        """State of allies and enemies, last actions and time; zeros for the dead."""
        ally = np.zeros(
            (self.n_agents, 4 + self.shield_bits_ally + self.unit_type_bits)
        )
        enemy = np.zeros(
            (self.n_enemies, 3 + self.shield_bits_enemy + self.unit_type_bits)
        )
        for index, unit in self.agents.items():
            if unit.health > 0:
                health, *shield = self._condition(unit, ally=True)
                cooldown = min(unit.weapon_cooldown / LOOPS, 1.0)
                types = self._type_bits(unit, ally=True)
                ally[index] = [health, cooldown, *_relative(unit), *shield, *types]
        for index, unit in self.enemies.items():
            if unit.health > 0:
                health, *shield = self._condition(unit, ally=False)
                types = self._type_bits(unit, ally=False)
                enemy[index] = [health, *_relative(unit), *shield, *types]
        parts = [ally.ravel(), enemy.ravel()]
        if self.state_last_action:
            parts.append(self.last_action.ravel())
        if self.state_timestep_number:
            parts.append(np.array([self._episode_steps / self.episode_limit]))
        return np.concatenate(parts).astype(np.float32)


def _relative(unit: Unit) -> tuple[float, float]:
    """Position relative to the map's center, in its lengths."""
    return (unit.pos.x - SIZE / 2) / SIZE, (unit.pos.y - SIZE / 2) / SIZE
