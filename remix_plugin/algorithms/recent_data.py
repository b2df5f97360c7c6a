"""Replay that draws part of each batch from the newest data."""

from __future__ import annotations

import warnings
from typing import Any

from benchmarl.algorithms import EnsembleAlgorithmConfig
from torchrl.data import ReplayBuffer
from torchrl.envs import Transform

from remix_plugin.algorithms.base import TeamAlgorithm
from remix_plugin.data.samplers import RecentSampler


class RecentData(TeamAlgorithm):
    """An off-policy algorithm part of whose batches is of the newest data.

    Args:
        recent_fraction (float): share of each batch drawn from the newest data.
        recent_size (int): frames that count as newest, rounded up to whole collected
            batches.
        **kwargs: as :class:`~.base.TeamAlgorithm`.

    Attributes:
        marks_recent (bool): whether batches tell which rows were drawn as the newest.

    Raises:
        ValueError: if recent data is asked for together with prioritized replay, or
            inside an ensemble, where neither could be honored.
    """

    marks_recent = False

    def __init__(self, recent_fraction: float, recent_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recent_fraction = recent_fraction
        self.recent_size = recent_size
        if self.recent_fraction > 0:
            self._check_recent_data()

    def get_replay_buffer(
        self, group: str, transforms: list[Transform] | None = None
    ) -> ReplayBuffer:
        """BenchMARL's replay buffer, drawing recent data if asked to."""
        buffer = super().get_replay_buffer(group, transforms)
        if self.recent_fraction > 0:
            sampler = RecentSampler(
                self.recent_fraction, self._recent_rows(), marks=self.marks_recent
            )
            buffer.set_sampler(sampler)
        return buffer

    def _recent_rows(self) -> int:
        """``recent_size`` in rows of the buffer, in whole collected batches."""
        config = self.experiment_config
        n_envs = config.n_envs_per_worker(self.on_policy)
        steps = -(-config.collected_frames_per_batch(self.on_policy) // n_envs)
        n_batches = -(-self.recent_size // (n_envs * steps))
        return n_batches * n_envs * (1 if self.has_rnn else steps)

    def _check_recent_data(self) -> None:
        config = self.experiment_config
        given = f"recent_fraction={self.recent_fraction}"
        if config.off_policy_use_prioritized_replay_buffer:
            raise ValueError(
                f"{given} with experiment.off_policy_use_prioritized_replay_buffer="
                "True is not allowed: one sampler draws a batch. Set recent_fraction=0 "
                "or switch prioritized replay off."
            )
        if isinstance(self.experiment.algorithm_config, EnsembleAlgorithmConfig):
            raise ValueError(
                f"{given} is not allowed inside an ensemble, which draws batches "
                "itself: it must be 0."
            )
        if self.recent_size >= config.replay_buffer_memory_size(self.on_policy):
            warnings.warn(
                f"recent_size={self.recent_size} reaches "
                "experiment.off_policy_memory_size="
                f"{config.replay_buffer_memory_size(self.on_policy)}: all data is "
                "recent, so recent_fraction has no effect.",
                stacklevel=2,
            )
