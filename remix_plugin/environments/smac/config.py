"""Options of SMAC and their validation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from remix_plugin.starcraft.game_files import SMAC_MAPS
from remix_plugin.starcraft.launch_errors import DIFFICULTIES
from remix_plugin.validation import check_choice, check_flag, check_number

BACKENDS = ("smacv2", "smac")


@dataclass
class SmacConfig:
    """Options of :class:`~.env.SmacEnv`.

    The defaults live in ``benchmarl_configs/environment/smac.yaml``. Those from
    ``difficulty`` on are handed to the game, and described there. What ``smacv2`` has
    beyond ``smac`` (unit ranges, own position, cones of sight, capabilities) is left
    out: on these maps it fails, or makes another task.

    Attributes:
        map_name (str): one of ``SMAC_MAPS``.
        backend (str): the package that drives StarCraft, ``"smacv2"`` or ``"smac"``.
        difficulty (str): of the built-in enemy, ``"1"`` to ``"9"`` or ``"A"``; a
            string.
        game_version (str, optional): StarCraft's version; None is the latest installed.
        step_mul (int): game loops a step, at least 1.
        move_amount (float): how far a move goes, above 0.
        continuing_episode (bool): whether the time limit truncates the episode;
            otherwise it terminates it.
        obs_all_health (bool): and all further ones: see ``smac``'s ``StarCraft2Env``.

    Raises:
        TypeError: if an option has the wrong type.
        ValueError: if an option is out of range.
    """

    map_name: str
    backend: str
    difficulty: str
    game_version: str | None
    step_mul: int
    move_amount: float
    continuing_episode: bool
    obs_all_health: bool
    obs_own_health: bool
    obs_last_action: bool
    obs_pathing_grid: bool
    obs_terrain_height: bool
    obs_instead_of_state: bool
    obs_timestep_number: bool
    state_last_action: bool
    state_timestep_number: bool
    reward_sparse: bool
    reward_only_positive: bool
    reward_death_value: float
    reward_win: float
    reward_defeat: float
    reward_negative_scale: float
    reward_scale: bool
    reward_scale_rate: float

    def __post_init__(self) -> None:
        """Validate all options."""
        check_choice("map_name", self.map_name, SMAC_MAPS)
        check_choice("backend", self.backend, BACKENDS)
        check_choice("difficulty", self.difficulty, DIFFICULTIES)
        if self.game_version is not None and not isinstance(self.game_version, str):
            raise TypeError(
                f"game_version={self.game_version!r} is not allowed: it must be a "
                "string in quotes, or null."
            )
        if self.obs_instead_of_state is True and self.backend == "smacv2":
            raise ValueError(
                "obs_instead_of_state=True is not allowed with backend='smacv2', which "
                "does not implement it: it must be False, or backend must be 'smac'."
            )
        check_number("step_mul", self.step_mul, low=1, integer=True)
        for option in ("move_amount", "reward_scale_rate"):
            check_number(option, getattr(self, option), above=0)
        for option in ("reward_death_value", "reward_win", "reward_negative_scale"):
            check_number(option, getattr(self, option), low=0)
        check_number("reward_defeat", self.reward_defeat, high=0)
        for option, value in vars(self).items():
            if option.startswith(("obs_", "state_")) or option in (
                "continuing_episode",
                "reward_sparse",
                "reward_only_positive",
                "reward_scale",
            ):
                check_flag(option, value)

    def game_options(self) -> dict[str, Any]:
        """Keyword arguments of the game's constructor."""
        options = asdict(self)
        del options["backend"]
        return options
