"""All evaluation episodes of a run, and its absolute metric."""

from __future__ import annotations

import copy
import csv
import json
import math
import os
from typing import Any

import torch
from benchmarl.experiment import Callback
from benchmarl.utils import local_seed
from tensordict import TensorDictBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

from remix_plugin.callbacks.attaching import is_last_iteration, keeps_results
from remix_plugin.callbacks.episodes import (
    LENGTH,
    RETURN,
    Episodes,
    counted,
    join,
    read_episodes,
)

STATE_KEY = "evaluation_data"
EPISODES_FILE = "evaluation_episodes.csv"


class EvaluationData(Callback):
    """Keeps all episodes of all evaluations, and computes the absolute metric.

    BenchMARL keeps the returns of episodes in its json, and their mean and extremes in
    its loggers. This adds, at each evaluation:

    - lengths, and wins or successes where the task has any, of each episode, to the
      json, and means of the latter to the loggers, as ``eval/info/<name>``;
    - with the csv logger, a row per episode in ``evaluation_episodes.csv``.

    After the last iteration the policy of the best evaluation, the first with the
    largest mean return, is evaluated on ``episodes_factor`` times the episodes of an
    evaluation. These episodes are the ``absolute_metrics`` of the json (until then they
    are empty: what BenchMARL writes there is the best single episode seen), have phase
    ``absolute`` in the csv, and their means are logged as ``absolute/<name>``. Source:
    Gorsane et al., "Towards a Standardised Performance Evaluation Protocol for
    Cooperative MARL" (2022), section 4, where the factor is 10. BenchMARL's timers
    count it to the last iteration.

    Our algorithms attach it to their experiment. BenchMARL's own take it as any
    callback; where they are given it by ``attach`` it starts with the next evaluation.
    It is kept in checkpoints, so that a continued run knows of better policies before.

    Args:
        episodes_factor (int): episodes of the absolute metric in evaluations, at least
            1.

    Raises:
        ValueError: if ``episodes_factor`` is below 1.
    """

    def __init__(self, episodes_factor: int = 10) -> None:
        super().__init__()
        if episodes_factor < 1:
            raise ValueError(
                f"episodes_factor={episodes_factor} is not allowed: it must be >= 1."
            )
        self.episodes_factor = episodes_factor
        self._best_return = -math.inf
        self._best_frames = 0
        self._best_policy: dict[str, Any] = {}
        self._absolute: Episodes = {}
        self._iteration = -1

    def on_batch_collected(self, batch: TensorDictBase) -> None:
        """Note what is under way: an evaluation outside of a run does not end it."""
        self._iteration = self.experiment.n_iters_performed

    def on_evaluation_end(self, rollouts: list[TensorDictBase]) -> None:
        """Keep the episodes of ``rollouts``, each of shape ``[T]``."""
        experiment = self.experiment
        episodes = read_episodes(experiment, rollouts)
        # BenchMARL logs returns and lengths itself.
        own = [k for k in episodes if k != LENGTH and not k.endswith(RETURN)]
        self._log({name: episodes[name] for name in own}, "eval/info")
        self._write_rows(episodes, experiment.total_frames, "evaluation")
        mean = sum(episodes[RETURN]) / len(rollouts)
        if mean > self._best_return:
            self._best_return = mean
            self._best_frames = experiment.total_frames
            self._best_policy = copy.deepcopy(experiment.policy.state_dict())
        writer = experiment.logger.json_writer
        if writer is not None:
            number = experiment.total_frames // experiment.config.evaluation_interval
            step = writer.run_data.setdefault(f"step_{number}", {})
            step.update({name: counted(episodes[name]) for name in (LENGTH, *own)})
        self._write_absolute()
        is_running = self._iteration == experiment.n_iters_performed
        if is_running and is_last_iteration(experiment):
            self._finish()

    def on_train_end(self, training_td: TensorDictBase, group: str) -> None:
        """Finish a run whose last iteration is not evaluated."""
        experiment = self.experiment
        last_group = list(experiment.train_group_map)[-1]
        if group != last_group or not is_last_iteration(self.experiment):
            return
        interval = experiment.config.evaluation_interval
        if experiment.total_frames % interval and experiment.n_iters_performed:
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
        if not (self._best_policy and keeps_results(self.experiment)):
            return
        policy = self.experiment.policy
        last = copy.deepcopy(policy.state_dict())
        policy.load_state_dict(self._best_policy)
        try:
            episodes = self._evaluate()
        finally:
            policy.load_state_dict(last)
        self._log(episodes, "absolute")
        self._write_rows(episodes, self._best_frames, "absolute")
        self._absolute = episodes
        self._write_absolute()

    @local_seed()
    @torch.no_grad()
    def _evaluate(self) -> Episodes:
        """Episodes as BenchMARL's evaluations have them, more of them."""
        experiment = self.experiment
        env, config = experiment.test_env, experiment.config
        batched = env.batch_size != ()
        rounds = self.episodes_factor * (1 if batched else config.evaluation_episodes)
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

    def _write_rows(self, episodes: Episodes, frames: int, phase: str) -> None:
        """Append a row per episode to the csv of episodes; empty cells for NaN."""
        if "csv" not in self.experiment.config.loggers:
            return
        path = self.experiment.folder_name / EPISODES_FILE
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(["phase", "frames", "episode", *episodes])
            for number, row in enumerate(zip(*episodes.values(), strict=True)):
                cells = ["" if math.isnan(value) else value for value in row]
                writer.writerow([phase, frames, number, *cells])

    def _write_absolute(self) -> None:
        """Write the json with our absolute metrics in place of BenchMARL's."""
        writer = self.experiment.logger.json_writer
        if writer is None:
            return
        absolute = {name: counted(values) for name, values in self._absolute.items()}
        writer.run_data["absolute_metrics"] = absolute
        # Whole or not at all, whenever the run is cut off.
        part = writer.path.with_suffix(".part")
        part.write_text(json.dumps(writer.data, indent=4))
        os.replace(part, writer.path)
