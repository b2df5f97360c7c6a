"""How callbacks come to an experiment, and what they ask of it."""

from __future__ import annotations

from typing import Any, TypeVar

from benchmarl.experiment import Callback, Experiment

Kind = TypeVar("Kind", bound=Callback)


class RunCallback(Callback):
    """A callback of the plugin's.

    BenchMARL pickles the callbacks that an experiment is given with the run's config.
    These are pickled as they were made, without what they have seen of a run.
    """

    def arguments(self) -> tuple[Any, ...]:
        """What it was made with."""
        return ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it anew."""
        return type(self), self.arguments()


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


def attached(experiment: Experiment, callback: Kind) -> Kind:
    """The callback of this kind that an experiment has, or now gets.

    Args:
        experiment (Experiment): as for :func:`attach`.
        callback (Callback): to be added if there is none.
    """
    attach(experiment, callback)
    (found,) = [one for one in experiment.callbacks if isinstance(one, type(callback))]
    return found


def keeps_results(experiment: Experiment) -> bool:
    """Whether a run writes results at all, and so is evaluated."""
    return bool(experiment.config.loggers) or experiment.config.create_json


def is_evaluated(experiment: Experiment) -> bool:
    """Whether the iteration that is under way ends with an evaluation."""
    config = experiment.config
    return config.evaluation and (
        experiment.total_frames % config.evaluation_interval == 0
        or experiment.n_iters_performed == 0
    )


def is_last_iteration(experiment: Experiment) -> bool:
    """Whether the iteration that is under way is the run's last."""
    n_iterations = experiment.config.get_max_n_iters(experiment.on_policy)
    return experiment.n_iters_performed == n_iterations - 1
