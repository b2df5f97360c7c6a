"""What the plugin's on-policy actor-critics share."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from tensordict import TensorDictBase

from remix_plugin.algorithms.actor_critic import ActorCritic


class OnPolicy(ActorCritic):
    """Actors that learn once from what the current policy has collected.

    Targets are lambda-returns over collected rows, before these are cut into
    minibatches. Where actors would learn from data of another policy than the current
    one, a warning says so.

    Args:
        **kwargs: as :class:`~.actor_critic.ActorCritic`.
    """

    # Whether further passes over the data are the critic's alone
    actors_learn_once: ClassVar[bool] = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._warn_of_reuse()

    def process_batch(self, group: str, batch: TensorDictBase) -> TensorDictBase:
        """As for all algorithms, with the critic's targets."""
        batch = super().process_batch(group, batch)
        self.experiment.losses[group].write_targets(batch)
        return batch

    def _warn_of_reuse(self) -> None:
        config = self.experiment_config
        passes = config.on_policy_n_minibatch_iters
        frames = config.on_policy_collected_frames_per_batch
        size = config.on_policy_minibatch_size
        if size >= frames and (passes == 1 or self.actors_learn_once):
            return
        wanted = "a minibatch" if self.actors_learn_once else "1 pass over a minibatch"
        warnings.warn(
            f"experiment.on_policy_n_minibatch_iters={passes} with "
            f"on_policy_minibatch_size={size} and on_policy_collected_frames_per_batch="
            f"{frames}: {type(self).__name__}'s policy gradient holds for data of the "
            "current policy, which an update changes. It should be "
            f"{wanted} of {frames}.",
            stacklevel=2,
        )
