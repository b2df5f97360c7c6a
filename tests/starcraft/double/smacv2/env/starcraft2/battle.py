"""How units appear, what a step does to them, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smacv2.env.starcraft2.unit_types import FIRST_TYPE, ally_types
from smacv2.env.starcraft2.views import DIRECTIONS, Views
from smacv2.fight import ALLY, ENEMY, KINDS, SIZE, Order, Unit

SPAWN_PATIENCE = 1000


class CannotResetException(Exception):  # noqa: N818  as in the real package
    """The units did not appear."""


class Battle(Views):
    """The part of the environment that keeps account of a running battle.

    Its attributes are set by :class:`smacv2.env.starcraft2.starcraft2.StarCraft2Env`.
    """

    def _units(self) -> list[Unit]:
        """The living units at the last look at the game."""
        return self._obs.observation.raw_data.units

    def init_units(self, config: Mapping[str, Any], first: bool) -> None:
        """Wait for all units to appear."""
        teams = config.get("team_gen")
        if teams:
            self._init_ally_unit_types(FIRST_TYPE)
            self._create_team(teams["ally_team"], ALLY, config)
            self._create_team(teams["enemy_team"], ENEMY, config)
            self._controller.step(1)
            self._obs = self._controller.observe()
        for _ in range(SPAWN_PATIENCE):
            allies = [unit for unit in self._units() if unit.owner == ALLY]
            enemies = [unit for unit in self._units() if unit.owner == ENEMY]
            allies.sort(key=lambda unit: (unit.unit_type, unit.pos.x, unit.pos.y))
            self.agents = dict(enumerate(allies))
            self.enemies = dict(enumerate(enemies))
            if first:
                self.max_reward += sum(u.health_max + u.shield_max for u in enemies)
            if allies and first and not teams:
                self._init_ally_unit_types(min(unit.unit_type for unit in allies))
            if (len(allies), len(enemies)) == (self.n_agents, self.n_enemies):
                return
            self._controller.step(1)
            self._obs = self._controller.observe()
        raise CannotResetException("waited for units to spawn and they didn't")

    def _create_team(
        self, team: Sequence[str], owner: int, config: Mapping[str, Any]
    ) -> None:
        """Put a generated team on the map."""
        key = "ally_start_positions" if owner == ALLY else "enemy_start_positions"
        places = config.get(key, {}).get("item")
        if places is None:
            places = [(SIZE / 4 * (1 if owner == ALLY else 3), SIZE / 2)] * len(team)
        for kind, (x, y) in zip(team, places, strict=True):
            theirs = KINDS[kind].unit_type
            unit_type = getattr(self, f"{kind}_id") if owner == ALLY else theirs
            self._controller.create(kind, owner, unit_type, x, y)

    def _init_ally_unit_types(self, min_unit_type: int) -> None:
        self._min_unit_type = min_unit_type
        for kind, number in ally_types(self.map_type, min_unit_type).items():
            setattr(self, f"{kind}_id", number)

    def _order(self, agent_id: int, action: int) -> Order | None:
        """What an agent's action tells its unit."""
        assert self.get_avail_agent_actions(agent_id)[action] == 1, (
            f"Agent {agent_id} cannot perform action {action}"
        )
        unit = self.agents[agent_id]
        if action < 2:
            return None
        if action < self.n_actions_no_attack:
            x, y = DIRECTIONS[action - 2]
            x, y = self._move_amount * x, self._move_amount * y
            return Order(unit.tag, point=(unit.pos.x + x, unit.pos.y + y))
        if not self.get_true_avail_agent_actions(agent_id)[action]:
            return None
        target = self._targets(unit)[action - self.n_actions_no_attack]
        return Order(unit.tag, target=target.tag)

    def _all_units(self) -> list[Unit]:
        return [*self.agents.values(), *self.enemies.values()]

    def _update_units(self) -> None:
        """Take over the living units; those that are gone keep their last place."""
        seen = {unit.tag: unit for unit in self._units()}
        for units in (self.agents, self.enemies):
            for index, unit in units.items():
                if unit.tag in seen:
                    units[index] = seen[unit.tag]
                else:
                    unit.health = 0

    def _outcome(self) -> int | None:
        """1 for a win, -1 for a loss, 0 if nobody is left, None while they fight."""
        allies = [unit for unit in self.agents.values() if unit.health > 0]
        enemies = [unit for unit in self.enemies.values() if unit.health > 0]
        if not allies and not enemies:
            return 0
        if all(unit.kind == "medivac" for unit in allies):
            return -1
        if all(unit.kind == "medivac" for unit in enemies):
            return 1
        return None

    def _reward(self, before: Mapping[int, float]) -> float:
        """Damage and kills since health and shields were as ``before``."""
        if self.reward_sparse:
            return 0.0
        dealt = self._losses(self.enemies, self.death_tracker_enemy, before)
        taken = self._losses(self.agents, self.death_tracker_ally, before)
        if self.reward_only_positive:
            return max(dealt, 0.0)
        return dealt - self.reward_negative_scale * taken

    def _losses(
        self, units: dict[int, Unit], dead: np.ndarray, before: Mapping[int, float]
    ) -> float:
        """Points that a side lost, and the value of its dead; notes who died."""
        total = 0.0
        for index, unit in units.items():
            if dead[index]:
                continue
            total += before[unit.tag]
            if unit.health > 0:
                total -= unit.health + unit.shield
            else:
                dead[index] = 1
                total += self.reward_death_value
        return total

    def _final_reward(self, reward: float, outcome: int) -> float:
        """Reward of the last step of a battle."""
        if self.reward_sparse:
            return float(outcome)
        return reward + {1: self.reward_win, -1: self.reward_defeat, 0: 0}[outcome]

    def _count_dead(self) -> dict[str, Any]:
        """Count the dead, and forget what they saw and who saw them."""
        dead_allies = [i for i, unit in self.agents.items() if unit.health <= 0]
        dead_enemies = [i for i, unit in self.enemies.items() if unit.health <= 0]
        for index in dead_allies:
            for enemy in range(self.n_enemies):
                if self.enemy_tags[enemy] == index:
                    self.enemy_tags[enemy] = None
                    self.obs_enemies[enemy, :] = 0
                    self.obs_enemies[:, index] = 0
        for index in dead_enemies:
            self.enemy_tags[index] = None
            self.obs_enemies[index, :] = 0
        return {
            "battle_won": False,
            "dead_allies": len(dead_allies),
            "dead_enemies": len(dead_enemies),
        }
