"""Options of SMAX and their validation."""

from __future__ import annotations

from dataclasses import dataclass

from remix_plugin.environments.smax.maps import MAPS
from remix_plugin.validation import check_choice, check_flag, check_number


@dataclass
class SmaxConfig:
    """Options of :class:`~.env.SmaxEnv`.

    The defaults live in ``benchmarl_configs/environment/smax.yaml``.

    Attributes:
        map_name (str): one of :data:`~.maps.MAPS`.
        max_steps (int): JaxMARL's time limit, at least 1. Its test looks at the counter
            before it counts, so that an episode has up to ``max_steps + 1`` steps.
        enemy_shoots (bool): whether the scripted enemy fights back.
        reward_scale (float): factor on JaxMARL's reward, above 0. A win returns
            2 x ``reward_scale``, anything else at most 1 x ``reward_scale``.
        normalize_state (bool): whether the state is scaled into [0, 1]; if not, it has
            JaxMARL's raw positions, cooldowns and type indices.
        terminate_at_limit (bool): whether the time limit counts as ``terminated``, as
            in JaxMARL and PyMARL, or as ``truncated``.

    Raises:
        TypeError: if an option has the wrong type.
        ValueError: if an option is out of range.
    """

    map_name: str
    max_steps: int
    enemy_shoots: bool
    reward_scale: float
    normalize_state: bool
    terminate_at_limit: bool

    def __post_init__(self) -> None:
        """Validate all options."""
        check_choice("map_name", self.map_name, MAPS)
        check_number("max_steps", self.max_steps, low=1, integer=True)
        check_number("reward_scale", self.reward_scale, above=0)
        for flag in ("enemy_shoots", "normalize_state", "terminate_at_limit"):
            check_flag(flag, getattr(self, flag))
