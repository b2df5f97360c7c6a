"""Options of Predator-Prey and their validation."""

from __future__ import annotations

from dataclasses import dataclass

from remix_plugin.validation import check_bytes, check_flag, check_number


@dataclass
class PredatorPreyConfig:
    """Options of :class:`~.env.PredatorPreyEnv`.

    The defaults live in ``benchmarl_configs/task/predator_prey/*.yaml`` and are those
    of the task in Böhmer et al., "Deep Coordination Graphs" (2020).

    Attributes:
        grid_height (int): rows of the grid, at least 1.
        grid_width (int): columns of the grid, at least 1.
        n_predators (int): agents, at least 1.
        n_prey (int): prey, at least 1. All actors must fit on the grid.
        window_size (int): side of the square that an agent sees, odd, at least 1.
        capture_size (int): predators that must catch a prey together, from 1 to
            ``n_predators``.
        capture_reward (float): team reward for a caught prey.
        punishment (float): team reward for a prey that too few predators tried to
            catch, at most 0.
        max_steps (int): steps after which an episode is truncated, at least 1.
        mask_occupied (bool): whether a move into an occupied cell is unavailable.
        prey_rest_probability (float): probability with which a prey rests instead
            of moving, from 0 to 1.
        include_hare_channel (bool): whether observation and state carry the
            original's third channel, always zero.
        observe_last_action (bool): whether agents see their last action, one-hot.
        observe_agent_id (bool): whether agents see their index, one-hot.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range, or if the actors do not fit.
    """

    grid_height: int
    grid_width: int
    n_predators: int
    n_prey: int
    window_size: int
    capture_size: int
    capture_reward: float
    punishment: float
    max_steps: int
    mask_occupied: bool
    prey_rest_probability: float
    include_hare_channel: bool
    observe_last_action: bool
    observe_agent_id: bool

    def __post_init__(self) -> None:
        """Validate every option."""
        for field in (
            "grid_height",
            "grid_width",
            "n_predators",
            "n_prey",
            "window_size",
            "max_steps",
        ):
            check_number(field, getattr(self, field), low=1, integer=True)
        check_number(
            "capture_size",
            self.capture_size,
            low=1,
            high=self.n_predators,
            integer=True,
        )
        check_number("capture_reward", self.capture_reward, low=0)
        check_number("punishment", self.punishment, high=0)
        check_number("prey_rest_probability", self.prey_rest_probability, low=0, high=1)
        for field in (
            "mask_occupied",
            "include_hare_channel",
            "observe_last_action",
            "observe_agent_id",
        ):
            check_flag(field, getattr(self, field))
        if self.window_size % 2 == 0:
            raise ValueError(
                f"window_size={self.window_size} is not allowed: it must be odd, so "
                "that the agent stands in the middle of what it sees."
            )
        cells = self.grid_height * self.grid_width
        if self.n_predators + self.n_prey > cells:
            raise ValueError(
                f"n_predators={self.n_predators} and n_prey={self.n_prey} are not "
                f"allowed: together they must be at most {cells}, the cells of a "
                f"{self.grid_height} x {self.grid_width} grid."
            )

        self.check_memory()

    def check_memory(self, num_envs: int = 1) -> None:
        """Refuse environments whose observations and states no memory holds.

        Args:
            num_envs (int): environments that are stepped together.

        Raises:
            ValueError: if they take more than there is on this machine.
        """
        sizes = ("grid_height", "grid_width", "n_predators", "window_size")
        given = ", ".join(f"{name}={getattr(self, name)}" for name in sizes)
        if num_envs > 1:
            given = (
                f"num_envs={num_envs} (experiment.evaluation_episodes, or "
                f"..._n_envs_per_worker) with {given}"
            )
        numbers = self.n_predators * self.window_size**2
        numbers += self.grid_height * self.grid_width
        check_bytes(given, "a step", 4 * num_envs * self.n_channels * numbers)

    @property
    def n_channels(self) -> int:
        """Channels of observation and state: predators, prey, and hares if asked."""
        return 3 if self.include_hare_channel else 2
