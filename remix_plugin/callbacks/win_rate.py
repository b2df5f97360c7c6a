"""Win rates of evaluations, for tasks that are battles."""

from __future__ import annotations

from benchmarl.experiment import Callback, Experiment
from tensordict import TensorDictBase

from remix_plugin.environments.battles import battle_rates


class WinRate(Callback):
    """Logs the share of evaluation episodes that were won, or hit the time limit.

    Under ``eval/info/win_rate`` and ``eval/info/episode_limit_rate``, over the first
    episode of each rollout, as BenchMARL's returns are. An algorithm attaches it with
    :func:`attach_win_rate`; BenchMARL's own algorithms take it as any callback.
    """

    def on_evaluation_end(self, rollouts: list[TensorDictBase]) -> None:
        """Log the rates of ``rollouts``, each of shape ``[T]``."""
        ended = [rollout[_end(rollout) - 1] for rollout in rollouts]
        rates = battle_rates(TensorDictBase.lazy_stack(ended))
        self.experiment.logger.log(
            {f"eval/info/{name}": rate for name, rate in rates.items()},
            step=self.experiment.n_iters_performed,
        )


def attach_win_rate(experiment: Experiment) -> None:
    """Give an experiment whose task reports ``battle_won`` a :class:`WinRate`, once."""
    info = experiment.task.info_spec(experiment.test_env)
    if info is None or ("info", "battle_won") not in info.keys(True):
        return
    if any(isinstance(callback, WinRate) for callback in experiment.callbacks):
        return
    callback = WinRate()
    callback.experiment = experiment
    # A new list: this one is a tuple, or the user's own.
    experiment.callbacks = [*experiment.callbacks, callback]


def _end(rollout: TensorDictBase) -> int:
    """Length of the first episode of a rollout."""
    done = rollout.get(("next", "done")).flatten()
    return int(done.int().argmax()) + 1 if done.any() else len(done)
