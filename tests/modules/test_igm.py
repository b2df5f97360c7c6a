"""Greedy agents are greedy together, for every mixer that promises it.

All joint actions of three agents with four actions are enumerated, some of them
forbidden. This is the condition "individual-global-max" (IGM).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchrl.modules import QMixer, VDNMixer

from remix_plugin.modules.duplex_dueling import DuplexDuelingMixer
from remix_plugin.modules.mixers import DeepQMixer, UnrestrictedMixer
from remix_plugin.modules.qatten import QattenMixer

AGENTS, ACTIONS, STATE, FEATURES, STATES = 3, 4, 5, 6, 40
JOINT = torch.tensor(list(itertools.product(range(ACTIONS), repeat=AGENTS)))
MONOTONIC = {
    "vdn": lambda: VDNMixer(n_agents=AGENTS, device="cpu"),
    "qmix": lambda: QMixer(
        state_shape=(STATE,), mixing_embed_dim=8, n_agents=AGENTS, device="cpu"
    ),
    "deep_qmix": lambda: DeepQMixer(
        hypernet_dim=7,
        state_shape=(STATE,),
        mixing_embed_dim=8,
        n_agents=AGENTS,
        device="cpu",
    ),
    "qatten": lambda: QattenMixer(
        state_dim=STATE, n_features=FEATURES, n_heads=3, embed_dim=4, query_dim=8
    ),
    "qatten_of_equal_heads": lambda: QattenMixer(
        state_dim=STATE, n_features=FEATURES, weighted_heads=False
    ),
}
DUPLEX = {
    f"duplex_dueling_{layers}": lambda layers=layers: DuplexDuelingMixer(
        state_dim=STATE,
        n_agents=AGENTS,
        n_actions=ACTIONS,
        n_heads=4,
        importance_layers=layers,
        hypernet_dim=16,
    )
    for layers in (1, 2, 3)
}
MAKE = MONOTONIC | DUPLEX


def unrestricted() -> UnrestrictedMixer:
    return UnrestrictedMixer(
        state_shape=torch.Size([STATE]), embed_dim=8, n_agents=AGENTS, device="cpu"
    )


class Game:
    """Random utilities, masks, features and states, and a mixer of float64."""

    def __init__(self, make: Callable[[], nn.Module], seed: int) -> None:
        torch.manual_seed(seed)
        self.mixer = make().double()
        with torch.no_grad():
            for parameter in self.mixer.parameters():
                parameter.mul_(2)
        double = {"dtype": torch.float64}
        self.utilities = 2 * torch.randn(STATES, AGENTS, ACTIONS, **double)
        self.mask = torch.rand(STATES, AGENTS, ACTIONS) < 0.6
        # At least one action of each agent is allowed.
        always = torch.randint(0, ACTIONS, (STATES, AGENTS, 1))
        self.mask.scatter_(-1, always, True)
        self.features = torch.randn(STATES, AGENTS, FEATURES, **double)
        self.state = torch.randn(STATES, STATE, **double)
        masked = self.utilities.where(self.mask, -torch.inf)
        self.best, self.greedy = masked.max(-1, keepdim=True)  # [states, n, 1]

    def value(self, actions: Tensor, best: Tensor) -> Tensor:
        """``Q_tot`` ``[states, 1]`` of joint actions ``[states, n, 1]``."""
        chosen = self.utilities.gather(-1, actions)
        if isinstance(self.mixer, QattenMixer):
            return self.mixer(chosen, self.features, self.state)[0]
        if isinstance(self.mixer, DuplexDuelingMixer):
            one_hot = nn.functional.one_hot(actions.squeeze(-1), ACTIONS)
            return self.mixer(chosen, best, one_hot, self.state)[0]
        state = [self.state] if self.mixer.needs_state else []
        return self.mixer(chosen, *state)

    @torch.no_grad()
    def best_joint_actions(self, best: Tensor) -> Tensor:
        """The allowed joint action of the largest ``Q_tot``, ``[states, n, 1]``."""
        values = []
        for joint in JOINT:
            actions = joint.view(1, AGENTS, 1).expand(STATES, AGENTS, 1).contiguous()
            allowed = self.mask.gather(-1, actions).all(-2)
            values.append(self.value(actions, best).where(allowed, -torch.inf))
        return JOINT[torch.cat(values, -1).argmax(-1)].unsqueeze(-1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", MAKE)
def test_the_best_joint_action_is_that_of_greedy_agents(name: str, seed: int) -> None:
    game = Game(MAKE[name], seed)
    assert not game.mask.all(-1).all(), "nothing was forbidden"
    assert torch.equal(game.best_joint_actions(game.best), game.greedy)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", DUPLEX)
def test_duplex_value_of_greedy_actions_is_the_sum_of_state_values(
    name: str, seed: int
) -> None:
    game = Game(DUPLEX[name], seed)
    weight = game.mixer.hyper_weight(game.state).abs().unsqueeze(-1) + 1e-10
    bias = game.mixer.hyper_bias(game.state).unsqueeze(-1)
    expected = (weight * game.best + bias).sum(-2)
    value = game.value(game.greedy, game.best)
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", DUPLEX)
def test_a_maximum_over_forbidden_actions_breaks_the_duplex_mixer(name: str) -> None:
    """Why the caller must mask the maximum."""
    game = Game(DUPLEX[name], 0)
    unmasked = game.utilities.max(-1, keepdim=True).values
    assert (unmasked > game.best).any()
    assert not torch.equal(game.best_joint_actions(unmasked), game.greedy)


def test_an_unrestricted_mixer_prefers_other_joint_actions() -> None:
    """The enumeration can tell: this mixer promises nothing."""
    game = Game(unrestricted, 0)
    assert not torch.equal(game.best_joint_actions(game.best), game.greedy)
