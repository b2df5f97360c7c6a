"""What learning depends on besides the parameters of losses."""

from __future__ import annotations

from typing import Any

from benchmarl.experiment import Experiment


def learners(experiment: Experiment) -> dict[str, Any]:
    """State of optimizers, of target updates, and of the exploring policy.

    The policy shares its parameters with losses, but has its exploration of its own,
    which BenchMARL keeps for the collector's copy alone.
    """
    return {
        "optimizers": {
            group: {name: one.state_dict() for name, one in optimizers.items()}
            for group, optimizers in experiment.optimizers.items()
        },
        # Of hard updates, which count to the next copy
        "target_counters": {
            group: updater.counter
            for group, updater in experiment.target_updaters.items()
            if hasattr(updater, "counter")
        },
        "policy": experiment.policy.state_dict(),
    }


def restore_learners(experiment: Experiment, state: dict[str, Any]) -> None:
    """Continue from :func:`learners`.

    Learning rates and other options of optimizers are those of the experiment, which
    may have been changed.
    """
    for group, optimizers in experiment.optimizers.items():
        for name, optimizer in optimizers.items():
            options = [_options(one) for one in optimizer.param_groups]
            optimizer.load_state_dict(state["optimizers"][group][name])
            for one, own in zip(optimizer.param_groups, options, strict=True):
                one.update(own)
    for group, counter in state["target_counters"].items():
        experiment.target_updaters[group].counter = counter
    experiment.policy.load_state_dict(state["policy"])


def _options(param_group: dict[str, Any]) -> dict[str, Any]:
    """All of an optimizer's parameter group but the parameters."""
    return {key: value for key, value in param_group.items() if key != "params"}
