"""Hidden states at the starts of collected rows."""

from __future__ import annotations

from tensordict import TensorDictBase
from torch import Tensor

from remix_plugin.objectives.common import ValueFactorisationLoss
from remix_plugin.objectives.sequences import pack_rows


class StoredStates:
    """Gives collected rows the hidden state that each network begins them with.

    Collectors drop the hidden states of policies, and never run the other networks of a
    loss, so all recurrent networks are run over each new row once more, from where they
    had ended the row before: one pass without gradients per collected frame. The state
    of the policy's network is thus the one at collection (R2D2's "stored state"), as
    its parameters do not change between collection and this pass; during the random
    frames that may begin a run, in which no policy acts, it is the one that the policy
    would have had. Where a row begins with an episode the state is that of the episode
    before, for ``is_init`` to reset.

    Args:
        loss (ValueFactorisationLoss): holds the networks.
    """

    def __init__(self, loss: ValueFactorisationLoss) -> None:
        self.loss = loss
        self._states: dict[str, Tensor] = {}

    def store(self, batch: TensorDictBase) -> None:
        """Write the states into new rows ``[n_envs, T]``, in the order of environments.

        The first batch begins with episodes; later ones go on where the last ended.
        """
        starts, self._states = self.loss.hidden_states(batch, self._states)
        for key, start in starts.items():
            batch.set(key, pack_rows(start, batch.shape[1]))
