"""SMAC's game, with what goes wrong in the packages below put right.

Both packages are optional, and must not be imported together, so that the classes are
made when they are first asked for.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from remix_plugin.starcraft.installation import WITHOUT_STARCRAFT, StarCraftError
from remix_plugin.starcraft.launch_errors import explain_launch_error

# To be mixed into a class that exists only where its package does.
if TYPE_CHECKING:
    Base = Any
else:
    Base = object

#: Games to be started in turn until one has all units on its map.
START_ATTEMPTS = 3
#: Game loops within which they must appear.
SPAWN_LOOPS = 1000


class _StartAgainError(Exception):
    """The game was lost while an episode was about to start in it."""


class OneProcess(Base):
    """What is amiss in both packages; to be mixed into their ``StarCraft2Env``.

    - A reset before the first episode has ended launches another StarCraft and forgets
      the running one. Here a game has one process; only a lost one is replaced.
    - Each of these resets, and each look at a map whose units are not all there yet,
      adds the enemies' health to ``max_reward``, which rewards are divided by. Here it
      is counted once.
    - ``episode_limit`` is only reported if episodes continue. Here it always is.
    - A lost connection looks like the end of an episode. Here it is marked. One that
      is lost while an episode starts leaves a game of which nothing is known; here the
      next one is started, up to :data:`START_ATTEMPTS` in turn.
    - Units that do not appear are waited for without end, or are an error, according to
      the package. Here the game is replaced, as if it were lost.
    - The grids around an agent are looked up at ``move_amount``, which fails unless it
      is an int. Here any number will do.
    """

    backend: ClassVar[str]
    _untouched = False  # since the last reset
    _fresh = False  # no step since the launch
    _starting = False  # an episode, now
    _sc2_proc: Any
    _obs: Any

    def reset(self, *args: Any, **kwargs: Any) -> tuple[list[np.ndarray], np.ndarray]:
        """Start an episode, unless one has just been started.

        TorchRL resets an environment in its constructor and once more before it is
        used.

        Raises:
            StarCraftError: if no game can be started, or all are lost, or lack units.
        """
        if self._untouched:
            return self.get_obs(), self.get_state()
        self._starting = True
        try:
            for _ in range(START_ATTEMPTS):
                with suppress(_StartAgainError):
                    view = super().reset(*args, **kwargs)
                    self._untouched = True
                    return view
        finally:
            self._starting = False
        self._discard_process()
        raise StarCraftError(
            f"No episode of the map {self.map_name} could be started: {START_ATTEMPTS} "
            "games, one after another, were lost or did not show all units. Is the "
            "map's file the one of SMAC_Maps, and is there memory for one game more? "
            f"{WITHOUT_STARCRAFT}"
        )

    def step(self, actions: Sequence[int]) -> tuple[float, bool, dict[str, Any]]:
        """Let all agents act; see the class for what is added to the information."""
        self._untouched = self._fresh = False
        timeouts, restarts = self.timeouts, self.force_restarts
        reward, done, info = super().step(actions)
        added = {
            "episode_limit": self.timeouts > timeouts,
            "connection_lost": self.force_restarts > restarts,
        }
        return reward, done, {**info, **added}

    def full_restart(self) -> None:
        """Replace a lost process; while an episode starts, the next attempt does so."""
        self._discard_process()
        self.force_restarts += 1
        if self._starting:
            raise _StartAgainError
        self._launch()

    def init_units(self, *args: Any, **kwargs: Any) -> None:
        """Wait for all units, then count what they are worth."""
        self._await_units()
        super().init_units(*args, **kwargs)
        health = sum(
            unit.health_max + unit.shield_max for unit in self.enemies.values()
        )
        bonus = self.n_enemies * self.reward_death_value + self.reward_win
        self.max_reward = bonus + health

    def get_surrounding_points(
        self, unit: Any, include_self: bool = False
    ) -> list[tuple[int, int]]:
        """Cells of the grids that an agent sees."""
        points = super().get_surrounding_points(unit, include_self)
        return [(math.floor(x), math.floor(y)) for x, y in points]

    def _await_units(self) -> None:
        for _ in range(SPAWN_LOOPS):
            owners = [unit.owner for unit in self._obs.observation.raw_data.units]
            if (owners.count(1), owners.count(2)) == (self.n_agents, self.n_enemies):
                return
            self._controller.step(1)
            self._obs = self._controller.observe()
        self.full_restart()

    def _restart(self) -> None:
        # A new game is at its start, and its units may bear the tags of those of the
        # lost one: to kill some of them would leave too few.
        if self._sc2_proc is None:
            self._launch()
        elif not self._fresh:
            super()._restart()

    def _launch(self) -> None:
        if self._sc2_proc is not None:
            self._restart()
            return
        try:
            super()._launch()
        except Exception as error:
            self._discard_process()
            explanation = explain_launch_error(
                error, self.map_name, self.backend, self.difficulty
            )
            if explanation is None:
                raise
            raise StarCraftError(explanation) from error
        self._fresh = True

    def _discard_process(self) -> None:
        self.close()
        self._sc2_proc = None


@lru_cache
def get_game_class(backend: str) -> type:
    """A ``StarCraft2Env`` that plays the maps of SMAC v1 as they were meant.

    Args:
        backend (str): ``"smac"``, the original, or ``"smacv2"``, with whose
            ``StarCraft2Env`` these maps do not work.

    Raises:
        ImportError: if the package is not installed.
    """
    original = importlib.import_module(f"{backend}.env").StarCraft2Env
    if backend == "smac":

        class SmacGame(OneProcess, original):  # type: ignore[misc,valid-type]
            """What is amiss in smac alone, beyond what the mixin puts right.

            - With ``obs_timestep_number``, observations have an entry of zeros before
              the last that their size leaves out. Here it is dropped.
            """

            backend = "smac"

            def get_obs_agent(self, agent_id: int) -> np.ndarray:
                observation = super().get_obs_agent(agent_id)
                if self.obs_timestep_number:
                    return np.delete(observation, -2)
                return observation

        return SmacGame

    class SmacV2Game(OneProcess, original):  # type: ignore[misc,valid-type]
        """What is amiss in smacv2 alone, beyond what the mixin puts right.

        - The package waits for an empty map before an episode, and the maps' trigger
          respawns both armies as soon as theirs is. Here all are killed once.
        - It blanks what an agent sees of enemies whose index is below that of one that
          nobody has seen. Here sight alone decides, as in ``smac``.
        - It takes agents' types for those of enemies. Here they are the map's own.
        """

        backend = "smacv2"

        def get_obs_agent(self, agent_id: int, fully_observable: bool = False) -> Any:
            self.obs_enemies[:] = 1
            return super().get_obs_agent(agent_id, fully_observable)

        def get_unit_type_id(self, unit: Any, ally: bool) -> int:
            if ally:
                return unit.unit_type - self._min_unit_type
            return super().get_unit_type_id(unit, ally)

        def _kill_all_units(self) -> None:
            # What is on the map, not what the last step has seen: after a draw the
            # armies are back.
            units = self._controller.observe().observation.raw_data.units
            self._kill_units([unit.tag for unit in units if unit.owner in (1, 2)])
            self._controller.step(2)

    return SmacV2Game
