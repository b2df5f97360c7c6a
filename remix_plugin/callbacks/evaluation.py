"""All evaluation episodes of a run, and its absolute metric."""

from __future__ import annotations

import copy
import csv
import io
import logging
import math
from typing import Any

import torch
from benchmarl.experiment import Experiment
from benchmarl.utils import local_seed
from tensordict import TensorDictBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

from remix_plugin.callbacks.attaching import (
    RunCallback,
    is_evaluated,
    is_last_iteration,
    keeps_results,
)
from remix_plugin.callbacks.episodes import (
    LENGTH,
    RETURN,
    Episodes,
    counted,
    join,
    read_episodes,
)
from remix_plugin.validation import check_number
from remix_plugin.whole_files import append_text, write_bytes

STATE_KEY = "evaluation_data"
EPISODES_FILE = "evaluation_episodes.csv"
# Where episodes of evaluations outside of a run go, below the run's folder
OTHER_EVALUATIONS = "evaluations"
# Gorsane et al. (2022), and the share of a run's frames up to which it costs little
FACTOR = 10
SMALL_SHARE = 0.03

logger = logging.getLogger("remix_plugin.evaluation")


class EvaluationRecorder(RunCallback):
    """Keeps all episodes of all evaluations, and computes the absolute metric.

    BenchMARL keeps the returns of episodes in its json, and their mean and extremes in
    its loggers; both stay as they are. Beside them this writes
    ``evaluation_episodes.csv``, a row per episode with its returns, its length, and a
    win or a success where the task has any; the means of the latter go to the loggers,
    as ``eval/info/<name>``.

    The absolute metric is that of the policy of the best evaluation, the first with the
    largest mean return, evaluated after the last iteration on ``episodes_factor`` times
    the episodes of an evaluation. These episodes have phase ``absolute`` in the csv,
    and their means are logged as ``absolute/<name>``. Source: Gorsane et al., "Towards
    a Standardized Performance Evaluation Protocol for Cooperative MARL" (2022), section
    4, where the factor is 10. BenchMARL's timers count it to the last iteration. (The
    ``absolute_metrics`` of BenchMARL's json are the best single episodes of the run.)

    Episodes of an evaluation outside of a run, as ``evaluate.py`` makes, go to a file
    of their own, ``evaluations/frames_<n>.csv``.

    Our algorithms attach it to their experiment. BenchMARL's own take it as any
    callback; where they are given it by ``attach`` it starts with the next evaluation.
    It is kept in checkpoints, so that a continued run knows of better policies before.

    Args:
        episodes_factor (int, optional): episodes of the absolute metric in evaluations;
            0 for none. If not given it is 10 where that is at most 3% of the frames of
            the run, else 0.

    Raises:
        TypeError: if ``episodes_factor`` is no integer.
        ValueError: if ``episodes_factor`` is below 0.
        FloatingPointError: if a return of the absolute metric is not finite.
    """

    def __init__(self, episodes_factor: int | None = None) -> None:
        super().__init__()
        if episodes_factor is not None:
            check_number("episodes_factor", episodes_factor, low=0, integer=True)
        self.episodes_factor = episodes_factor
        self._best_return = -math.inf
        self._best_frames = 0
        self._best_policy: dict[str, Any] = {}
        self._iteration = -1

    def arguments(self) -> tuple[Any, ...]:
        """What it was made with."""
        return (self.episodes_factor,)

    def on_batch_collected(self, batch: TensorDictBase) -> None:
        """Note what is under way: an evaluation outside of a run does not end it."""
        if self._iteration < 0:
            self._drop_absolute()
        self._iteration = self.experiment.n_iters_performed

    def on_evaluation_end(self, rollouts: list[TensorDictBase]) -> None:
        """Keep the episodes of ``rollouts``, each of shape ``[T]``."""
        experiment = self.experiment
        episodes = read_episodes(experiment, rollouts)
        if self._iteration != experiment.n_iters_performed:
            self._write_apart(episodes)
            return
        # BenchMARL logs returns and lengths itself.
        own = [k for k in episodes if k != LENGTH and not k.endswith(RETURN)]
        self._log({name: episodes[name] for name in own}, "eval/info")
        self._append(episodes, experiment.total_frames, "evaluation")
        mean = sum(episodes[RETURN]) / len(rollouts)
        if mean > self._best_return:
            self._best_return = mean
            self._best_frames = experiment.total_frames
            self._best_policy = copy.deepcopy(experiment.policy.state_dict())
        if is_last_iteration(experiment):
            self._finish()

    def on_train_end(self, training_td: TensorDictBase, group: str) -> None:
        """Finish a run whose last iteration is not evaluated."""
        experiment = self.experiment
        last_group = list(experiment.train_group_map)[-1]
        if group != last_group or not is_last_iteration(self.experiment):
            return
        if not is_evaluated(experiment):
            self._finish()

    def on_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put the best policy so far into a checkpoint."""
        state_dict[STATE_KEY] = {
            "best_return": self._best_return,
            "best_frames": self._best_frames,
            "best_policy": self._best_policy,
        }

    def on_load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best policy so far from a checkpoint, if it has one."""
        state = state_dict.get(STATE_KEY)
        if state is not None:
            self._best_return = state["best_return"]
            self._best_frames = state["best_frames"]
            self._best_policy = state["best_policy"]

    def _finish(self) -> None:
        """Evaluate the best policy and write the absolute metric."""
        experiment = self.experiment
        factor = self.episodes_factor
        if factor is None:
            factor = FACTOR if _costs_little(experiment) else 0
        if not (factor and self._best_policy and keeps_results(experiment)):
            return
        n_episodes = factor * experiment.config.evaluation_episodes
        logger.info("evaluating the best policy on %d episodes", n_episodes)
        policy = experiment.policy
        last = copy.deepcopy(policy.state_dict())
        policy.load_state_dict(self._best_policy)
        try:
            episodes = self._evaluate(factor)
        finally:
            policy.load_state_dict(last)
        if not all(map(math.isfinite, episodes[RETURN])):
            raise FloatingPointError(
                f"return of the absolute metric is not finite: {episodes[RETURN]}, "
                f"from the best policy, of {self._best_frames} frames."
            )
        self._log(episodes, "absolute")
        self._append(episodes, self._best_frames, "absolute")

    @local_seed()
    @torch.no_grad()
    def _evaluate(self, factor: int) -> Episodes:
        """Episodes as BenchMARL's evaluations have them, more of them."""
        experiment = self.experiment
        env, config = experiment.test_env, experiment.config
        batched = env.batch_size != ()
        rounds = factor * (1 if batched else config.evaluation_episodes)
        parts = []
        with set_exploration_type(
            ExplorationType.DETERMINISTIC
            if config.evaluation_deterministic_actions
            else ExplorationType.RANDOM
        ):
            for _ in range(rounds):
                rollout = env.rollout(
                    max_steps=experiment.max_steps,
                    policy=experiment.policy,
                    auto_cast_to_device=True,
                    break_when_any_done=not batched,
                )
                rollouts = list(rollout.unbind(0)) if batched else [rollout]
                parts.append(read_episodes(experiment, rollouts))
        return join(parts)

    def _log(self, episodes: Episodes, prefix: str) -> None:
        known = {name: counted(values) for name, values in episodes.items()}
        means = {f"{prefix}/{k}": sum(v) / len(v) for k, v in known.items() if v}
        self.experiment.logger.log(means, step=self.experiment.n_iters_performed)

    def _append(self, episodes: Episodes, frames: int, phase: str) -> None:
        """Append a row per episode to the csv of episodes."""
        if keeps_results(self.experiment):
            path = self.experiment.folder_name / EPISODES_FILE
            text = _rows(episodes, frames, phase, with_names=not path.exists())
            append_text(path, text)

    def _drop_absolute(self) -> None:
        """Remove the absolute metric of a run that had ended and is made longer."""
        for log in self.experiment.folder_name.glob("*/scalars/absolute_*.csv"):
            log.unlink()
        path = self.experiment.folder_name / EPISODES_FILE
        if path.exists():
            lines = path.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith(b"absolute,")]
            if len(kept) < len(lines):
                write_bytes(path, b"".join(kept))

    def _write_apart(self, episodes: Episodes) -> None:
        """Write the episodes of an evaluation that is not part of a run."""
        experiment = self.experiment
        if keeps_results(experiment):
            folder = experiment.folder_name / OTHER_EVALUATIONS
            folder.mkdir(exist_ok=True)
            path = folder / f"frames_{experiment.total_frames}.csv"
            text = _rows(episodes, experiment.total_frames, "evaluation")
            write_bytes(path, text.encode())
            mean = sum(episodes[RETURN]) / len(episodes[RETURN])
            logger.info("mean return %g, episodes in %s", mean, path)


def _costs_little(experiment: Experiment) -> bool:
    """Whether the absolute metric takes few steps beside those of the run."""
    config = experiment.config
    steps = FACTOR * config.evaluation_episodes * experiment.max_steps
    return steps <= SMALL_SHARE * config.get_max_n_frames(experiment.on_policy)


def _rows(
    episodes: Episodes, frames: int, phase: str, *, with_names: bool = True
) -> str:
    """A csv row per episode, cells of NaN being empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    if with_names:
        writer.writerow(["phase", "frames", "episode", *episodes])
    for number, row in enumerate(zip(*episodes.values(), strict=True)):
        cells = ["" if math.isnan(value) else value for value in row]
        writer.writerow([phase, frames, number, *cells])
    return text.getvalue()
