"""The environment: games, episodes, rewards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from smacv2 import log, protocol
from smacv2.env.starcraft2.battle import Battle, CannotResetException
from smacv2.env.starcraft2.maps import get_map_params
from smacv2.env.starcraft2.unit_types import FIRST_TYPE, GENERATED
from smacv2.env.starcraft2.views import DIRECTIONS
from smacv2.fight import ALLY, SIZE, Unit, World
from smacv2.game import Controller, Game
from smacv2.quirks import EndlessRestart, Quirks

__all__ = ["CannotResetException", "StarCraft2Env", "protocol"]

DIFFICULTIES = dict.fromkeys("123456789A")
LOST = (protocol.ProtocolError, protocol.ConnectionError)
RESTART_PATIENCE = 20
"""Rounds after which a restart counts as endless; the real one has no such limit."""


class StarCraft2Env(Battle):
    """Stands in for the environment of the same name, with the same arguments.

    Constructing it launches nothing. What the arguments ``conic_fov``,
    ``heuristic_ai``, ``obs_starcraft`` and capabilities other than teams and start
    positions would need is left out.

    Raises:
        KeyError: for an unknown map.
        NotImplementedError: for an argument of those left out, and for
            ``obs_instead_of_state`` as in the real package.
    """

    def __init__(
        self,
        map_name: str = "8m",
        step_mul: int = 8,
        move_amount: float = 2,
        difficulty: str = "7",
        game_version: str | None = None,
        seed: int | None = None,
        continuing_episode: bool = False,
        obs_all_health: bool = True,
        obs_own_health: bool = True,
        obs_last_action: bool = False,
        obs_pathing_grid: bool = False,
        obs_terrain_height: bool = False,
        obs_instead_of_state: bool = False,
        obs_timestep_number: bool = False,
        obs_own_pos: bool = False,
        obs_starcraft: bool = True,
        conic_fov: bool = False,
        num_fov_actions: int = 12,
        state_last_action: bool = True,
        state_timestep_number: bool = False,
        reward_sparse: bool = False,
        reward_only_positive: bool = True,
        reward_death_value: float = 10,
        reward_win: float = 200,
        reward_defeat: float = 0,
        reward_negative_scale: float = 0.5,
        reward_scale: bool = True,
        reward_scale_rate: float = 20,
        use_unit_ranges: bool = False,
        min_attack_range: float = 2,
        kill_unit_step_mul: int = 2,
        fully_observable: bool = False,
        capability_config: Mapping[str, Any] = {},
        replay_dir: str = "",
        replay_prefix: str = "",
        window_size_x: int = 1920,
        window_size_y: int = 1200,
        heuristic_ai: bool = False,
        heuristic_rest: bool = False,
        debug: bool = False,
        prob_obs_enemy: float = 1.0,
        action_mask: bool = True,
    ):
        unknown = set(capability_config)
        unknown -= {"n_units", "n_enemies", "team_gen", "start_positions"}
        if obs_instead_of_state or conic_fov or heuristic_ai or not obs_starcraft:
            raise NotImplementedError(
                "The double has no obs_instead_of_state, conic_fov, heuristic_ai, and "
                "obs_starcraft cannot be False."
            )
        if unknown:
            raise NotImplementedError(f"The double has no capabilities {unknown}.")
        self.map_name = map_name
        self.map_params = get_map_params(map_name)
        self.episode_limit = self.map_params["limit"]
        self._move_amount = move_amount
        self._step_mul = step_mul
        self.difficulty = difficulty
        self.game_version = game_version
        self._seed = seed
        self.continuing_episode = continuing_episode
        self.obs_all_health = obs_all_health
        self.obs_own_health = obs_own_health or obs_all_health
        self.obs_last_action = obs_last_action
        self.obs_pathing_grid = obs_pathing_grid
        self.obs_terrain_height = obs_terrain_height
        self.obs_timestep_number = obs_timestep_number
        self.obs_own_pos = obs_own_pos
        self.state_last_action = state_last_action
        self.state_timestep_number = state_timestep_number
        self.reward_sparse = reward_sparse
        self.reward_only_positive = reward_only_positive
        self.reward_death_value = reward_death_value
        self.reward_win = reward_win
        self.reward_defeat = reward_defeat
        self.reward_negative_scale = reward_negative_scale
        self.reward_scale = reward_scale
        self.reward_scale_rate = reward_scale_rate
        self.use_unit_ranges = use_unit_ranges
        self.min_attack_range = min_attack_range
        self.fully_observable = fully_observable
        self.capability_config = capability_config
        self.prob_obs_enemy = prob_obs_enemy
        self.action_mask = action_mask
        self.quirks = Quirks.from_environment()
        self._set_sizes()
        self._set_up()

    def _set_sizes(self) -> None:
        """What the map and the teams determine."""
        sizes = self.capability_config.get("team_gen")
        self.n_agents = sizes["n_units"] if sizes else self.map_params["n_agents"]
        self.n_enemies = sizes["n_enemies"] if sizes else self.map_params["n_enemies"]
        self.map_type = self.map_params["map_type"]
        self.n_actions_no_attack = 2 + len(DIRECTIONS)
        heals = self.map_type in ("MMM", "terran_gen")
        n_targets = max(self.n_enemies, self.n_agents if heals else 0)
        self.n_actions = self.n_actions_no_attack + n_targets
        self.shield_bits_ally = int(self.map_params["a_race"] == "P")
        self.shield_bits_enemy = int(self.map_params["b_race"] == "P")
        self.unit_type_bits = self.map_params["unit_type_bits"]
        self.max_reward = self.n_enemies * self.reward_death_value + self.reward_win

    def _set_up(self) -> None:
        """What changes with time, before anything has happened."""
        seeds = np.random.SeedSequence(self._seed).spawn(2)
        self._rng, self._turns = (np.random.default_rng(seed) for seed in seeds)
        self.agents: dict[int, Unit] = {}
        self.enemies: dict[int, Unit] = {}
        self._min_unit_type = 0
        for kind in GENERATED:
            setattr(self, f"{kind}_id", 0)
        self._episode_count = self._episode_steps = self._total_steps = 0
        self._step_calls = self._reset_calls = 0
        self._withheld = False
        self.battles_won = self.battles_game = self.timeouts = 0
        self.force_restarts = 0
        self.obs_enemies: np.ndarray | None = None
        self.enemy_tags: list[int | None] | None = None
        self.last_action = np.zeros((self.n_agents, self.n_actions))
        self._obs: SimpleNamespace | None = None
        self._sc2_proc: Game | None = None
        self._controller: Controller | None = None

    # Games

    def _launch(self) -> None:
        """Launch a game; one that is running is left to the garbage collector."""
        world = World(
            self._rng,
            self.map_params["army"],
            FIRST_TYPE,
            prompt=self.quirks.endless_restart,
            withheld=self._withheld,
        )
        self._sc2_proc = Game(world, self.map_name, self._seed)
        self._controller = self._sc2_proc.controller
        # Looked up once the program runs, as by the real package.
        DIFFICULTIES[self.difficulty]

    def full_restart(self) -> None:
        """Close the game and launch another."""
        self._sc2_proc.close()
        self._launch()
        self.force_restarts += 1

    def close(self) -> None:
        """Close the game."""
        if self._sc2_proc is not None:
            self._sc2_proc.close()

    def reset(
        self, episode_config: Mapping[str, Any] | None = None
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Begin an episode: observations and state.

        Raises:
            CannotResetException: if the units do not appear.
            EndlessRestart: if the map would never be found empty.
        """
        config = episode_config or {}
        self._reset_calls += 1
        self._episode_steps = 0
        first = self._episode_count == 0
        if not self.quirks.growing_reward:
            first = self._sc2_proc is None
        self._withheld = self._reset_calls in self.quirks.units_fail_to_spawn
        if self._controller is not None:
            self._controller.withhold(self._withheld)
            if self._reset_calls in self.quirks.lost_connection_at_reset:
                self._controller.lose()
        if first:
            self._launch()
        else:
            self._restart()
        self._withheld = False
        if self._reset_calls in self.quirks.lost_connection_at_spawn:
            self._controller.lose()
        self.obs_enemies = np.zeros((self.n_enemies, self.n_agents))
        self.enemy_tags = [None] * self.n_enemies
        self.death_tracker_ally = np.zeros(self.n_agents)
        self.death_tracker_enemy = np.zeros(self.n_enemies)
        self.last_action = np.zeros((self.n_agents, self.n_actions))
        try:
            self._obs = self._controller.observe()
            self.init_units(config, first)
        except LOST:
            self.full_restart()
        return self.get_obs(), self.get_state()

    def _restart(self) -> None:
        """Kill all units and wait for an empty map."""
        try:
            self._kill_all_units()
        except LOST:
            self.full_restart()

    def _kill_units(self, unit_tags: Iterable[int]) -> None:
        self._controller.kill(unit_tags)

    def _kill_all_units(self) -> None:
        self._kill_units([unit.tag for unit in self._units()])
        for _ in range(RESTART_PATIENCE):
            if not self._units():
                return
            self._controller.step(2)
            self._obs = self._controller.observe()
        raise EndlessRestart(
            f"the map {self.map_name} is never empty: StarCraft2Env._restart would "
            "wait for ever"
        )

    # Steps

    def step(self, actions: Sequence[int]) -> tuple[float, bool, dict[str, Any]]:
        """Let the agents act: reward, end of the episode, information.

        Raises:
            AssertionError: for an action that the mask does not allow.
        """
        numbers = [int(action) for action in actions]
        self.last_action = np.eye(self.n_actions)[numbers]
        orders = [self._order(agent, action) for agent, action in enumerate(numbers)]
        self._step_calls += 1
        if self._step_calls in self.quirks.lost_connection_at:
            self._controller.lose()
        try:
            self._controller.actions(order for order in orders if order is not None)
            self._controller.step(self._step_mul)
            self._obs = self._controller.observe()
        except LOST:
            self.full_restart()
            return 0, True, {}
        self._total_steps += 1
        self._episode_steps += 1
        before = {unit.tag: unit.health + unit.shield for unit in self._all_units()}
        self._update_units()
        reward = self._reward(before)
        info = self._count_dead()
        outcome = self._outcome()
        ended = outcome is not None
        late = not ended and self._episode_steps >= self.episode_limit
        if ended:
            info["battle_won"] = outcome == 1
            reward = self._final_reward(reward, outcome)
            self.battles_won += outcome == 1
        elif late:
            self.timeouts += 1
            if self.continuing_episode:
                info["episode_limit"] = True
        if ended or late:
            self.battles_game += 1
            self._episode_count += 1
            self._log_episode(won=outcome == 1, limit=late)
        if self.reward_scale:
            reward /= self.max_reward / self.reward_scale_rate
        return reward, ended or late, info

    def _log_episode(self, *, won: bool, limit: bool) -> None:
        game, steps = self._sc2_proc.number, self._episode_steps
        log.record("episode", game=game, steps=steps, won=won, limit=limit)

    # The rest

    def get_stats(self) -> dict[str, float]:
        """Counts of battles; the rate divides by their number, even by 0."""
        return {
            "battles_won": self.battles_won,
            "battles_game": self.battles_game,
            "battles_draw": self.timeouts,
            "win_rate": self.battles_won / self.battles_game,
            "timeouts": self.timeouts,
            "restarts": self.force_restarts,
        }

    def seed(self) -> int | None:
        return self._seed

    def save_replay(self) -> None:
        log.record("replay", game=self._sc2_proc.number)

    def render(self, mode: str = "human") -> np.ndarray:
        """A picture of four pixels a cell: ours green, theirs red."""
        if self.quirks.broken_render:
            raise TypeError(
                "Random.shuffle() takes 2 positional arguments but 3 were given"
            )
        picture = np.zeros((4 * SIZE, 4 * SIZE, 3), dtype=np.uint8)
        for unit in self._all_units():
            if unit.health > 0:
                x, y = int(4 * unit.pos.x), int(4 * unit.pos.y)
                color = (0, 255, 0) if unit.owner == ALLY else (255, 0, 0)
                picture[y : y + 4, x : x + 4] = color
        return picture
