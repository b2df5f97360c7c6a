"""Predator-Prey against a slow reference: 10^5 random steps without a mismatch."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytest
import torch
from predator_prey_worlds import (
    available_actions,
    cells_of,
    copy_of,
    place,
    published_config,
    random_draws,
    rows_of,
    same_world,
    with_actions,
)
from stag_hunt_reference import Draws, Options, Result, StagHuntReference
from tensordict import TensorDictBase
from torch import Tensor

from remix_plugin.environments.predator_prey.config import PredatorPreyConfig
from remix_plugin.environments.predator_prey.env import PredatorPreyEnv
from remix_plugin.environments.predator_prey.world import N_ACTIONS, StepDraws

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    """One configuration: what it changes, and how long it is played.

    ``catch_weight`` is how many times likelier ``catch`` is than any other available
    action; ``any_action`` draws from all actions, available or not.
    """

    changes: dict[str, Any]
    num_envs: int = 100
    n_steps: int = 50
    catch_weight: float = 30.0
    any_action: bool = False


SMALL = {
    "grid_height": 5,
    "grid_width": 5,
    "n_predators": 4,
    "n_prey": 3,
    "max_steps": 30,
}
CASES = {
    "published": Case({}, num_envs=250, n_steps=220),
    "published_uniform": Case({"max_steps": 60}, n_steps=70, catch_weight=1.0),
    "mask_occupied": Case({**SMALL, "mask_occupied": True}),
    "resting_prey": Case({**SMALL, "prey_rest_probability": 0.4}),
    "all_features": Case(
        {
            **SMALL,
            "include_hare_channel": True,
            "observe_last_action": True,
            "observe_agent_id": True,
        }
    ),
    "wide": Case({**SMALL, "grid_height": 3, "grid_width": 9, "punishment": -0.5}),
    "tall": Case({**SMALL, "grid_height": 11, "grid_width": 2, "punishment": -1.5}),
    "three_to_capture": Case(
        {**SMALL, "grid_height": 4, "n_predators": 6, "capture_size": 3}
    ),
    "crowded": Case(
        {**SMALL, "n_predators": 10, "n_prey": 10, "observe_agent_id": True}
    ),
    "small_window": Case({**SMALL, "window_size": 3, "observe_last_action": True}),
    "any_action": Case({**SMALL, "observe_last_action": True}, any_action=True),
}


class Match:
    """The batched environment and one reference per row, played side by side."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case = case
        self.config = published_config(**case.changes)
        self.options = Options(**asdict(self.config))
        self.generator = torch.Generator().manual_seed(seed)
        self.events: Counter[str] = Counter()
        self.env = PredatorPreyEnv(self.config, num_envs=case.num_envs, seed=seed)
        predators, prey = _random_cells(self.config, case.num_envs, seed)
        self.env.world = place(self.config, predators, prey)
        self.references = [
            StagHuntReference(self.options, *cells)
            for cells in zip(predators, prey, strict=True)
        ]
        self.caught = np.zeros(case.num_envs)
        self.now = self.env.observe()

    def play(self) -> None:
        """Play the case, comparing all that anybody can see after every step."""
        self.compare_views(self.now)
        for _ in range(self.case.n_steps):
            draws = random_draws(self.config, self.case.num_envs, self.generator)
            self.now = self.step(self.actions(), draws)
            self.compare_views(self.now)
            if self.now["done"].any():
                self.reset(self.now["done"])

    def actions(self) -> Tensor:
        """Random actions that catch often, so that captures are many."""
        mask = self.now["agents", "action_mask"]
        if self.case.any_action:
            mask = torch.ones_like(mask)
            weight = 4.0
        else:
            weight = self.case.catch_weight
        return available_actions(mask, self.generator, weight)

    def step(self, action: Tensor, draws: StepDraws) -> TensorDictBase:
        """One step of both; rewards, ends and info must agree."""
        result = self.env.step_with(with_actions(action), draws)
        expected = [
            reference.step(actions, Draws(*drawn))
            for reference, actions, drawn in zip(
                self.references, action.tolist(), _rows(draws), strict=True
            )
        ]
        for key in ("reward", "terminated", "truncated"):
            _compare(key, result[key], [[getattr(row, key)] for row in expected])
        done = [[row.terminated or row.truncated] for row in expected]
        _compare("done", result["done"], done)
        self.caught += [row.n_caught for row in expected]
        _compare("prey_caught", result["info", "prey_caught"], self.caught[:, None])
        mistakes = [[row.n_punished] for row in expected]
        _compare("mis_catches", result["info", "mis_catches"], mistakes)
        self.count(expected)
        return result

    def count(self, results: list[Result]) -> None:
        """Tally what happened."""
        for row in results:
            self.events["captures"] += row.n_caught
            self.events["punishments"] += row.n_punished
            self.events["terminations"] += row.terminated
            self.events["truncations"] += row.truncated
            self.events["two_punishments"] += row.n_punished >= 2

    def compare_views(self, view: TensorDictBase) -> None:
        """Mask, observation and state must agree in every row."""
        agents = range(self.config.n_predators)
        masks = [[row.available(i) for i in agents] for row in self.references]
        _compare("action_mask", view["agents", "action_mask"], masks)
        seen = [[row.observation(i) for i in agents] for row in self.references]
        _compare("observation", view["agents", "observation"], seen)
        _compare("state", view["state"], [row.state() for row in self.references])

    def reset(self, done: Tensor) -> None:
        """Reset the ended rows alone and copy their fresh worlds."""
        before = copy_of(self.env.world)
        self.now = self.env.reset(self.now.exclude("reward").set("_reset", done))
        after = self.env.world
        others = ~done.squeeze(-1)
        assert same_world(rows_of(before, others), rows_of(after, others))
        predators = cells_of(self.config, after.predators)
        prey = cells_of(self.config, after.prey)
        for row in done.squeeze(-1).nonzero().flatten().tolist():
            fresh = StagHuntReference(self.options, predators[row], prey[row])
            self.references[row] = fresh
            self.caught[row] = 0
        self.compare_views(self.now)
        # TorchRL fills in the other rows itself; the world must say the same.
        assert bool((self.env.observe()["agents"] == self.now["agents"]).all())


def _random_cells(
    config: PredatorPreyConfig, num_envs: int, seed: int
) -> tuple[list[list[tuple[int, int]]], list[list[tuple[int, int]]]]:
    """Distinct random cells for all actors of each world."""
    rng = np.random.default_rng(seed)
    n, m = config.n_predators, config.n_prey
    predators, prey = [], []
    for _ in range(num_envs):
        lots = rng.permutation(config.grid_height * config.grid_width)[: n + m]
        cells = [divmod(int(lot), config.grid_width) for lot in lots]
        predators.append(cells[:n])
        prey.append(cells[n:])
    return predators, prey


def _rows(draws: StepDraws) -> list[tuple[list[Any], ...]]:
    """The draws of each world."""
    return list(
        zip(
            draws.predator_order.tolist(),
            draws.prey_order.tolist(),
            draws.prey_move.tolist(),
            draws.prey_rest.tolist(),
            strict=True,
        )
    )


def _compare(name: str, ours: Tensor, expected: Any) -> None:
    expected = np.asarray(expected)
    got = ours.numpy()
    assert got.shape == expected.shape, name
    if not np.array_equal(got, expected):
        where = np.argwhere(got != expected)[0].tolist()
        pytest.fail(f"{name} differs first at {where}")


def test_cases_hold_a_hundred_thousand_steps() -> None:
    assert sum(case.num_envs * case.n_steps for case in CASES.values()) >= 100_000


@pytest.mark.parametrize("name", CASES)
def test_no_mismatch(name: str) -> None:
    match = Match(CASES[name], seed=list(CASES).index(name))
    match.play()
    # A case in which nothing happens would pass without having compared anything.
    for event in ("captures", "punishments", "two_punishments", "truncations"):
        assert match.events[event] > 0, event
    if name != "published_uniform":
        assert match.events["terminations"] > 0


def test_any_action_includes_the_unavailable() -> None:
    match = Match(CASES["any_action"], seed=0)
    action = match.actions()
    available = match.now["agents", "action_mask"].gather(-1, action[..., None])
    assert not available.all()
    assert set(action.flatten().tolist()) == set(range(N_ACTIONS))
