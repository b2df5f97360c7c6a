"""What collection and evaluation have under way.

That is the observations and hidden states that a collector hands from step to step, in
its carrier, which is private to TorchRL 0.11; the running episodes, in environments;
and random generators. An environment whose episodes can go on says so by PyTorch's own
hook: ``get_extra_state`` and ``set_extra_state``, with all that its next steps depend
on, in tensors, numbers, strings, lists and dictionaries.
"""

from __future__ import annotations

from typing import Any

from tensordict import TensorDict
from torch import nn
from torchrl import __version__ as torchrl_version
from torchrl.collectors import SyncDataCollector
from torchrl.envs import EnvBase, TransformedEnv

from remix_plugin.checkpoints.random_states import random_states, restore_random_states

TORCHRL = "0.11."


def check_torchrl() -> None:
    """Refuse a TorchRL whose collectors are not known to keep their state like this.

    Raises:
        RuntimeError: if it is not of version 0.11.
    """
    if not torchrl_version.startswith(TORCHRL):
        raise RuntimeError(
            f"torchrl=={torchrl_version} is not allowed: checkpoints hold what its "
            f"collectors keep to themselves, so it must be torchrl {TORCHRL}*."
        )


def collection(collector: SyncDataCollector, test_env: EnvBase) -> dict[str, Any]:
    """State of all that is under way between two iterations.

    Args:
        collector (SyncDataCollector): of the experiment, with its environment.
        test_env (EnvBase): the environment of evaluations.
    """
    return {
        "carrier": _carrier(collector),
        "episodes": _episodes(collector.env),
        "test_episodes": _episodes(test_env),
        "random_states": random_states(),
    }


def restore_collection(
    collector: SyncDataCollector, test_env: EnvBase, state: dict[str, Any]
) -> bool:
    """Continue from :func:`collection`.

    Raises:
        ValueError: if there are other numbers of environments.

    Returns:
        bool: whether the episodes go on; they begin anew where the environment does not
        tell its state.
    """
    goes_on = state["episodes"] is not None
    if goes_on:
        _restore_carrier(collector, state["carrier"])
        _simulator(collector.env).set_extra_state(state["episodes"])
    if state["test_episodes"] is not None:
        _simulator(test_env).set_extra_state(state["test_episodes"])
    # Last: making an environment's state may draw random numbers.
    restore_random_states(state["random_states"])
    return goes_on


def _carrier(collector: SyncDataCollector) -> dict[str, Any]:
    return {
        "steps": collector._carrier.state_dict(),
        "next_trajectory": int(collector._traj_pool._traj_id),
    }


def _restore_carrier(collector: SyncDataCollector, state: dict[str, Any]) -> None:
    device, shape = collector._carrier.device, collector._carrier.batch_size
    steps = TensorDict().load_state_dict(state["steps"], strict=False)
    if steps.batch_size != shape:
        raise ValueError(
            f"The run collects from {shape.numel()} environments, that of the "
            f"checkpoint from {steps.batch_size.numel()}: a run that goes on must keep "
            "experiment.on_policy_n_envs_per_worker or off_policy_n_envs_per_worker."
        )
    collector._carrier = steps if device is None else steps.to(device)
    collector._traj_pool._traj_id.fill_(state["next_trajectory"])


def _episodes(env: EnvBase) -> Any:
    """State of running episodes, None if an environment does not tell it."""
    simulator = _simulator(env)
    tells = type(simulator).get_extra_state is not nn.Module.get_extra_state
    return simulator.get_extra_state() if tells else None


def _simulator(env: EnvBase) -> EnvBase:
    """The environment below all transforms, whose state is in what they write."""
    while isinstance(env, TransformedEnv):
        env = env.base_env
    return env
