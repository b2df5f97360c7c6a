"""Hidden states at the starts of collected rows."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase
from torch import Tensor

from remix_plugin.callbacks.attaching import RunCallback
from remix_plugin.objectives.base import TeamLoss
from remix_plugin.objectives.unroll import pack_rows

STATE_KEY = "stored_states"


class StoredStates(RunCallback):
    """Gives collected rows the hidden state that each network begins them with.

    Collectors drop the hidden states of policies, and never run the other networks of a
    loss, so all recurrent networks are run over each new row once more, from where they
    had ended the row before: one pass without gradients per collected frame. The state
    of the policy's network is thus the one at collection (R2D2's "stored state"), as
    its parameters do not change between collection and this pass; during the random
    frames that may begin a run, in which no policy acts, it is the one that the policy
    would have had. Where a row begins with an episode the state is that of the episode
    before, for ``is_init`` to reset.

    It is a callback so that checkpoints keep where rows have ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[str, dict[str, Tensor]] = {}

    def store(self, group: str, loss: TeamLoss, batch: TensorDictBase) -> None:
        """Write the states into new rows ``[n_envs, T]``, in the order of environments.

        The first batch begins with episodes; later ones go on where the last ended.

        Args:
            group (str): whose rows they are.
            loss (TeamLoss): holds the networks.
            batch (TensorDictBase): the rows.
        """
        before = self._states.get(group, {})
        starts, self._states[group] = loss.hidden_states(batch, before)
        for key, start in starts.items():
            batch.set(key, pack_rows(start, batch.shape[1]))

    def on_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put the states into a checkpoint."""
        state_dict[STATE_KEY] = self._states

    def on_load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the states from a checkpoint, if it has any."""
        device = self.experiment.config.train_device
        self._states = {
            group: {name: state.to(device) for name, state in states.items()}
            for group, states in state_dict.get(STATE_KEY, {}).items()
        }
