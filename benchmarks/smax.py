"""Measures SMAX through our environment against JaxMARL's own step, in one process.

Prints a markdown table, with ratios of speed to ``step_env`` of JaxMARL, jitted over
the batch, each call awaited as whoever chooses the next actions must.
``step_env, queued`` awaits the last of a turn alone. ``_step`` is our
environment alone, ``step`` adds what TorchRL does in each, and ``step and reset`` the
resets of battles that end. All take turns, so that whatever else the machine does falls
on all alike; medians and quartiles are over turns of 50 steps of one seed's random
actions.

Usage: python benchmarks/smax.py [--device cuda] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
from side_by_side import machine, quartiles, take_turns

from remix_plugin.commands.arguments import device, whole
from remix_plugin.environments.smax.backend import import_smax
from remix_plugin.environments.smax.common import SmaxTask
from remix_plugin.packages import exit_without

exit_without("jaxmarl")

# Before JAX: it leaves the GPU's memory to others.
import_smax()

import jax  # noqa: E402

MAPS = ("3m", "5m_vs_6m")
NUM_ENVS = (16, 64, 256)
TURNS = 20
STEPS_PER_TURN = 50
REFERENCE = "step_env, awaited"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=whole(1), default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{machine(args.device, args.threads)}, jax {jax.__version__}")
    print("\n| map | environments | calls | env-steps/s | ms | quartiles | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name in MAPS:
        for num_envs in NUM_ENVS:
            actions = _actions(name, num_envs, args.device)
            seconds = take_turns(actions, args.device, TURNS, 1)
            _print_rows(name, num_envs, seconds)


def _actions(name: str, num_envs: int, device: str) -> dict[str, Callable[[], object]]:
    """What is measured, by name; each goes on from where it was."""
    task = SmaxTask[name.upper()].get_task()
    ours, stepped, resetting = (
        task.get_env_fun(num_envs, False, 0, device)() for _ in range(3)
    )
    tensordict = ours.rand_action(ours.reset())
    stepped.reset()
    current = resetting.reset()
    action = tensordict["agents", "action"]
    awaited, queued = _step_env(ours, action), _step_env(ours, action)

    def step_and_reset() -> None:
        nonlocal current
        current["agents", "action"] = action
        _, current = resetting.step_and_maybe_reset(current)

    return {
        REFERENCE: _turn(lambda: jax.block_until_ready(awaited())),
        "step_env, queued": _turn(queued),
        "_step": _turn(lambda: ours._step(tensordict)),
        "step": _turn(lambda: stepped.step(tensordict)),
        "step and reset": _turn(step_and_reset),
    }


def _turn(step: Callable[[], object]) -> Callable[[], object]:
    """Several steps; awaits what the last of them returns, if JAX has not yet."""

    def turn() -> None:
        for _ in range(STEPS_PER_TURN - 1):
            step()
        jax.block_until_ready(step())

    return turn


def _step_env(env: torch.nn.Module, action: torch.Tensor) -> Callable[[], object]:
    """JaxMARL's step of all battles, jitted; does not wait for its results."""
    jaxmarl = env._engine.env
    step_env = jax.jit(jax.vmap(jaxmarl.step_env))
    state = env.battles
    numbers = action.int().cpu().numpy()
    actions = {
        agent: jax.device_put(numbers[:, i], env._jax_device)
        for i, agent in enumerate(jaxmarl.agents)
    }
    keys = jax.random.split(jax.random.PRNGKey(0), len(numbers))
    keys = jax.device_put(keys, env._jax_device)

    def step() -> object:
        nonlocal state
        observations, state, rewards, dones, _ = step_env(keys, state, actions)
        return observations, state, rewards, dones

    # Once more for the types of a stepped state, if they are others.
    jax.block_until_ready((step(), step()))
    return step


def _print_rows(name: str, num_envs: int, seconds: dict[str, list[float]]) -> None:
    reference = statistics.median(seconds[REFERENCE]) / STEPS_PER_TURN
    for calls, times in seconds.items():
        times = [time / STEPS_PER_TURN for time in times]
        median = statistics.median(times)
        cells = (
            name,
            num_envs,
            calls,
            f"{num_envs / median:,.0f}",
            f"{1e3 * median:.2f}",
            quartiles(times),
            f"{reference / median:.2f}",
        )
        print("|", *(f"{cell} |" for cell in cells))


if __name__ == "__main__":
    main()
