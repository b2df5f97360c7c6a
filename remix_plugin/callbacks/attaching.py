"""How callbacks come to an experiment, and what they ask of it."""

from __future__ import annotations

from benchmarl.experiment import Callback, Experiment


def attach(experiment: Experiment, *callbacks: Callback) -> None:
    """Add callbacks to an experiment, but for kinds that it has already.

    Nothing is pickled with the run's config: a run that is continued attaches its own.

    Args:
        experiment (Experiment): built, or so far that it has its task.
        *callbacks (Callback): to be added, each one's ``experiment`` being set.
    """
    for callback in callbacks:
        if any(isinstance(other, type(callback)) for other in experiment.callbacks):
            continue
        callback.experiment = experiment
        # A new list: this one is a tuple, or the user's own.
        experiment.callbacks = [*experiment.callbacks, callback]


def keeps_results(experiment: Experiment) -> bool:
    """Whether a run writes results at all, and so is evaluated."""
    return bool(experiment.config.loggers) or experiment.config.create_json


def is_last_iteration(experiment: Experiment) -> bool:
    """Whether the iteration that is under way is the run's last."""
    n_iterations = experiment.config.get_max_n_iters(experiment.on_policy)
    return experiment.n_iters_performed == n_iterations - 1
