"""SMAC's game, with what goes wrong in the packages below put right.

Both packages are optional, and must not be imported together, so that the classes are
made when they are first asked for.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from remix_plugin.starcraft.installation import StarCraftError
from remix_plugin.starcraft.launch_errors import explain_launch_error

# To be mixed into a class that exists only where its package does.
if TYPE_CHECKING:
    Base = Any
else:
    Base = object

#: Games to be started in turn until one has all units on its map.
SPAWN_ATTEMPTS = 3


class OneProcess(Base):
    """What is amiss in both packages; to be mixed into their ``StarCraft2Env``.

    - A reset before the first episode has ended launches another StarCraft and forgets
      the running one. Here a game has one process; only a lost one is replaced.
    - Each of these resets, and each look at a map whose units are not all there yet,
      adds the enemies' health to ``max_reward``, which rewards are divided by. Here it
      is counted once.
    - ``episode_limit`` is only reported if episodes continue. Here it always is.
    - A lost connection looks like the end of an episode. Here it is marked. One that
      is lost within a reset leaves a game of which nothing is known; here it is reset.
    - The grids around an agent are looked up at ``move_amount``, which fails unless it
      is an int. Here any number will do.
    """

    backend: ClassVar[str]
    _untouched = False
    _units_known = False
    _sc2_proc: Any

    def reset(self, *args: Any, **kwargs: Any) -> tuple[list[np.ndarray], np.ndarray]:
        """Start an episode, unless one has just been started.

        TorchRL resets an environment in its constructor and once more before it is
        used.
        """
        if not self._untouched:
            try:
                super().reset(*args, **kwargs)
            except KeyError:
                # There are no agents to be observed yet.
                if self._units_known:
                    raise
            if not self._units_known:
                super().reset(*args, **kwargs)
            self._untouched = True
        return self.get_obs(), self.get_state()

    def step(self, actions: Sequence[int]) -> tuple[float, bool, dict[str, Any]]:
        """Let all agents act; see the class for what is added to the information."""
        self._untouched = False
        timeouts, restarts = self.timeouts, self.force_restarts
        reward, done, info = super().step(actions)
        added = {
            "episode_limit": self.timeouts > timeouts,
            "connection_lost": self.force_restarts > restarts,
        }
        return reward, done, {**info, **added}

    def full_restart(self) -> None:
        """Replace a lost process."""
        self._units_known = False
        self.close()
        self._sc2_proc = None
        self._launch()
        self.force_restarts += 1

    def init_units(self, *args: Any, **kwargs: Any) -> None:
        """Wait for all units, then count what they are worth."""
        super().init_units(*args, **kwargs)
        health = sum(
            unit.health_max + unit.shield_max for unit in self.enemies.values()
        )
        bonus = self.n_enemies * self.reward_death_value + self.reward_win
        self.max_reward = bonus + health
        self._units_known = True

    def get_surrounding_points(
        self, unit: Any, include_self: bool = False
    ) -> list[tuple[int, int]]:
        """Cells of the grids that an agent sees."""
        points = super().get_surrounding_points(unit, include_self)
        return [(math.floor(x), math.floor(y)) for x, y in points]

    def _restart(self) -> None:
        # A new game is at its start, and its units may bear the tags of those of the
        # lost one: to kill some of them would leave too few.
        if self._units_known:
            super()._restart()

    def _launch(self) -> None:
        if self._sc2_proc is not None:
            self._restart()
            return
        try:
            super()._launch()
        except Exception as error:
            self.close()
            self._sc2_proc = None
            explanation = explain_launch_error(
                error, self.map_name, self.backend, self.difficulty
            )
            if explanation is None:
                raise
            raise StarCraftError(explanation) from error


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

    module = importlib.import_module(original.__module__)

    class SmacV2Game(OneProcess, original):  # type: ignore[misc,valid-type]
        """What is amiss in smacv2 alone, beyond what the mixin puts right.

        - The package waits for an empty map before an episode, and the maps' trigger
          respawns both armies as soon as theirs is. Here all are killed once.
        - It blanks what an agent sees of enemies whose index is below that of one that
          nobody has seen. Here sight alone decides, as in ``smac``.
        - It takes agents' types for those of enemies. Here they are the map's own.
        - Units that do not appear are an error at once. Here the game is started anew,
          :data:`SPAWN_ATTEMPTS` times.
        """

        backend = "smacv2"

        def reset(self, *args: Any, **kwargs: Any) -> Any:
            for attempt in range(SPAWN_ATTEMPTS):
                if attempt:
                    self.full_restart()
                try:
                    return super().reset(*args, **kwargs)
                except module.CannotResetException as error:
                    missing = error
            self.close()
            raise StarCraftError(
                f"Not all units of the map {self.map_name} appeared, in "
                f"{SPAWN_ATTEMPTS} games one after another: is its file the one of "
                "SMAC_Maps?"
            ) from missing

        def get_obs_agent(self, agent_id: int, fully_observable: bool = False) -> Any:
            self.obs_enemies[:] = 1
            return super().get_obs_agent(agent_id, fully_observable)

        def get_unit_type_id(self, unit: Any, ally: bool) -> int:
            if ally:
                return unit.unit_type - self._min_unit_type
            return super().get_unit_type_id(unit, ally)

        def init_units(self, *args: Any, **kwargs: Any) -> None:
            try:
                super().init_units(*args, **kwargs)
            except ValueError as error:
                # The smallest type of no agents: those that appeared died waiting.
                if self.agents:
                    raise
                raise module.CannotResetException from error

        def _kill_all_units(self) -> None:
            # What is on the map, not what the last step has seen: after a draw the
            # armies are back.
            units = self._controller.observe().observation.raw_data.units
            self._kill_units([unit.tag for unit in units if unit.owner in (1, 2)])
            self._controller.step(2)

    return SmacV2Game
