"""JaxMARL's SMAX as three jitted functions over a batch of battles."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from remix_plugin.environments.smax.backend import import_smax
from remix_plugin.environments.smax.maps import MAPS, UNIT_TYPES

#: A JAX array; JAX is an optional dependency, imported with the first engine.
Array = Any
#: JaxMARL's state of a batch of battles: a tree of arrays.
State = Any


class View(NamedTuple):
    """What agents and learners see of B battles with N allies.

    Attributes:
        observation: float32 ``[B, N, F]``.
        state: float32 ``[B, S]``.
        action_mask: bool ``[B, N, A]``.
    """

    observation: Array
    state: Array
    action_mask: Array


class Outcome(NamedTuple):
    """What a step of B battles brings, beside the view; few arrays, as each costs time.

    Attributes:
        reward: float32 ``[B, 1]``, JaxMARL's, shared by the team.
        flags: bool ``[B, 3]``: whether a side is dead, whether the time limit ends the
            battle, whether it is won (the enemies are dead and an ally is not).
        dead: int32 ``[B, 2]``: dead allies, dead enemies.
    """

    reward: Array
    flags: Array
    dead: Array


class SmaxEngine:
    """JaxMARL's ``HeuristicEnemySMAX`` on a batch.

    The three functions are jitted, and traced once for each batch size and device: all
    return states of the same types, which JaxMARL alone does not (its reset leaves weak
    types, for which its step would be traced again).

    Attributes:
        env: JaxMARL's environment.
        reset: ``(key, num_envs) -> key, state, view``.
        partial_reset: ``(key, state, chosen [B, 1]) -> key, state, view``; battles that
            are not chosen stay as they are, to the bit.
        step: ``(key, state, action [B, N]) -> key, state, view, outcome``; does not
            reset.
    """

    def __init__(
        self, map_name: str, max_steps: int, enemy_shoots: bool, normalize_state: bool
    ) -> None:
        import jax

        smax = import_smax()
        self.env = smax.HeuristicEnemySMAX(
            scenario=_scenario(smax, map_name),
            see_enemy_actions=True,
            walls_cause_death=True,
            attack_mode="closest",
            max_steps=max_steps,
            enemy_shoots=enemy_shoots,
        )
        self._normalize_state = normalize_state
        self.reset = jax.jit(self._reset, static_argnums=1)
        self.partial_reset = jax.jit(self._partial_reset)
        self.step = jax.jit(self._step)

    def battle_shapes(self) -> State:
        """A tree of the structure of battles, without their values."""
        import jax

        key = jax.random.PRNGKey(0)
        return jax.eval_shape(lambda key: self._reset(key, 1), key)[1]

    def _reset(self, key: Array, num_envs: int) -> tuple[Array, State, View]:
        import jax

        key, reset_key = jax.random.split(key)
        keys = jax.random.split(reset_key, num_envs)
        seen, state = jax.vmap(self.env.reset)(keys)
        return key, _strongly_typed(state), jax.vmap(self._view)(state, seen)

    def _partial_reset(
        self, key: Array, state: State, chosen: Array
    ) -> tuple[Array, State, View]:
        import jax

        key, fresh, _ = self._reset(key, len(chosen))

        def choose(new: Array, old: Array) -> Array:
            return jax.numpy.where(chosen.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        state = jax.tree.map(choose, fresh, state)
        return key, state, jax.vmap(self._look)(state)

    def _step(
        self, key: Array, state: State, action: Array
    ) -> tuple[Array, State, View, Outcome]:
        import jax

        key, step_key = jax.random.split(key)
        keys = jax.random.split(step_key, len(action))
        state, view, outcome = jax.vmap(self._step_one)(keys, state, action)
        return key, _strongly_typed(state), view, outcome

    def _step_one(
        self, key: Array, state: State, action: Array
    ) -> tuple[State, View, Outcome]:
        import jax.numpy as jnp

        env = self.env
        actions = {agent: action[i] for i, agent in enumerate(env.agents)}
        seen, state, rewards, dones, _ = env.step_env(key, state, actions)
        alive = state.state.unit_alive
        allies, enemies = alive[: env.num_allies], alive[env.num_allies :]
        over = ~allies.any() | ~enemies.any()
        won = allies.any() & ~enemies.any()
        outcome = Outcome(
            reward=rewards[env.agents[0]][None],
            flags=jnp.stack([over, dones["__all__"] & ~over, won]),
            dead=jnp.stack([(~allies).sum(), (~enemies).sum()]).astype("int32"),
        )
        return state, self._view(state, seen), outcome

    def _look(self, state: State) -> View:
        env = self.env
        seen = env.get_obs(state)
        return self._view(state, {**seen, "world_state": env.get_world_state(state)})

    def _view(self, state: State, seen: dict[str, Array]) -> View:
        import jax.numpy as jnp

        agents, available = self.env.agents, self.env.get_avail_actions(state)
        return View(
            observation=jnp.stack([seen[agent] for agent in agents]),
            state=self._state_vector(state, seen["world_state"]),
            action_mask=jnp.stack([available[agent] for agent in agents]) > 0,
        )

    def _state_vector(self, state: State, vector: Array) -> Array:
        """JaxMARL's world state, scaled if that is wanted.

        It has 4 features and the type bits of each unit, then all team flags, then all
        type indices. Positions are scaled by the map's size (a unit may be pushed over
        the edge, and lives for a moment), cooldowns by the type's own (below zero is
        "ready", however long), type indices by the number of types.
        """
        import jax.numpy as jnp

        if not self._normalize_state:
            return vector
        types = state.state.unit_types
        n_units = len(types)
        ends = [len(vector) - 2 * n_units, len(vector) - n_units]
        units, teams, indices = jnp.split(vector, ends)
        units = units.reshape(n_units, -1)
        cooldown = self.env.unit_type_weapon_cooldowns[types]
        units = units.at[:, 1].divide(self.env.map_width)
        units = units.at[:, 2].divide(self.env.map_height)
        units = units.at[:, 3].divide(cooldown)
        units = units.clip(0.0, 1.0).reshape(-1)
        return jnp.concatenate([units, teams, indices / len(UNIT_TYPES)])


@lru_cache
def get_engine(
    map_name: str, max_steps: int, enemy_shoots: bool, normalize_state: bool
) -> SmaxEngine:
    """The engine of these options, made once in a process, and so compiled once.

    Args:
        map_name: one of :data:`~.maps.MAPS`.
        max_steps: JaxMARL's time limit.
        enemy_shoots: whether the scripted enemy fights back.
        normalize_state: whether the state is scaled into [0, 1].

    Raises:
        ImportError: if JaxMARL is missing, or another version.
    """
    return SmaxEngine(map_name, max_steps, enemy_shoots, normalize_state)


def _scenario(smax: Any, map_name: str) -> Any:
    import jax.numpy as jnp

    chosen = MAPS[map_name]
    types = [UNIT_TYPES.index(unit) for unit in (*chosen.allies, *chosen.enemies)]
    return smax.Scenario(
        unit_types=jnp.array(types, dtype=jnp.uint8),
        num_allies=len(chosen.allies),
        num_enemies=len(chosen.enemies),
        smacv2_position_generation=chosen.generated,
        smacv2_unit_type_generation=chosen.generated,
    )


def _strongly_typed(tree: Any) -> Any:
    """The same values, each declared to have the type that it has."""
    import jax

    return jax.tree.map(
        lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), tree
    )
