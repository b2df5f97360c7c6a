"""The losses of discrete MADDPG against slow ones in float64, and their parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loss_batches import (
    N_ACTIONS,
    OBSERVATION,
    assert_gradients,
    gradients,
    make_batch,
    table,
    target_gradients,
    to_double,
)
from maddpg_reference import (
    ACTOR,
    AGENT_REWARD,
    CRITIC,
    SEED,
    Keys,
    drawn_noise,
    maddpg_reference,
    make_maddpg,
    rewarded_batch,
    with_rewards,
)
from off_policy_reference import (
    MODES,
    NEXT_MASK,
    assert_finite,
    assert_same,
    ended_batch,
    gradients_by_loss,
    outcome,
    perturb,
    with_dead,
    with_last_mask,
)
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.objectives import ValueEstimators

from remix_plugin.objectives.discrete_maddpg import OTHERS, DiscreteMaddpgLoss

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

ALL_MODES = pytest.mark.parametrize("mode", MODES)
BY_OTHERS = pytest.mark.parametrize("others", OTHERS)
CASES: dict[str, dict[str, Any]] = {
    **MODES,
    "replay": {"others": "replay"},
    "recurrent-replay": {"others": "replay", "recurrent": True},
    "cold": {"temperature": 0.5},
    "hot": {"temperature": 2.0, "others": "replay"},
    "logits": {"logit_coef": 0.5},
    "no-logits": {"logit_coef": 0.0},
    "delay_value-off": {"delay_value": False},
    "unmasked": {"use_action_mask": False, "logit_coef": 0.5},
    "one-hot": {"action_space": "one-hot"},
    "one-agent": {"n_agents": 1},
    "epsilon": {"share_of_uniform": 0.25},
    "l1": {"loss_function": "l1"},
    "smooth_l1": {"loss_function": "smooth_l1"},
    "lambda": {"lmbda": 0.625},
    "recurrent-lambda": {"recurrent": True, "lmbda": 0.625, "delay_value": False},
}


def assert_equals_reference(options: dict[str, Any], **more: Any) -> None:
    loss = make_maddpg(**options).double()
    td = to_double(rewarded_batch(options, **more))
    expected, priorities = maddpg_reference(
        loss, td, options.get("lmbda", 0.0), options.get("share_of_uniform", 0.0)
    )
    torch.manual_seed(SEED)
    result = loss(td)
    assert set(result.keys()) == set(expected.scalars) == set(loss.out_keys)
    for key, value in expected.scalars.items():
        assert result[key].item() == pytest.approx(value, rel=1e-6, abs=1e-9), key
    valid = td.get(("collector", "mask"), torch.ones(td.shape, dtype=torch.bool))
    exact = torch.tensor(priorities, dtype=torch.float64).view(td.shape)
    for priority in td["agents", "td_error"].squeeze(-1).unbind(-1):
        torch.testing.assert_close(priority[valid], exact[valid], rtol=1e-6, atol=0)
    for name, found in gradients_by_loss(loss, result).items():
        assert_gradients(found, expected.gradients[name], rtol=1e-6)


@pytest.mark.parametrize("options", CASES)
def test_losses_and_gradients_equal_a_slow_implementation(options: str) -> None:
    assert_equals_reference(CASES[options])


@ALL_MODES
@BY_OTHERS
def test_padded_and_prioritized_batches_equal_a_slow_implementation(
    mode: str, others: str
) -> None:
    options = {**MODES[mode], "others": others, "logit_coef": 0.25}
    assert_equals_reference(options, padded=True, prioritized=True)


class Linear(nn.Module):
    """``Q_i = w_i . joint_action_i``, which remembers what it was asked."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.asked: list[Tensor] = []

    def forward(self, joint_action: Tensor) -> Tensor:
        self.asked.append(joint_action.detach())
        return (self.weight * joint_action).sum(-1, keepdim=True)


LOGITS = [[0.5, -1.0, 0.25, 1.0], [0.0, 2.0, -0.5, 0.125], [1.0, 0.5, 0.0, -0.25]]
WEIGHT = torch.randn(3, 12, generator=torch.Generator().manual_seed(3))


def linear_loss(
    weight: Tensor = WEIGHT, logits: Any = None, **options: Any
) -> tuple[DiscreteMaddpgLoss, list[Tensor]]:
    """Logits in a table and linear critics, and what those were asked."""
    keys, module = Keys(), Linear(weight)
    loss = DiscreteMaddpgLoss(
        table(LOGITS if logits is None else logits, keys.logits),
        TensorDictModule(module, [keys.joint_action], [keys.action_value]),
        **{"logit_coef": 0.0, **options},
    )
    loss.make_value_estimator(ValueEstimators.TD0, gamma=0.5)
    return loss, module.asked


def table_transitions(size: int = 5, n_agents: int = 3, seed: int = 4) -> TensorDict:
    """Transitions with masks of their own, for tables."""
    td = with_rewards(make_batch(size, n_agents=n_agents, seed=seed))
    eye = torch.eye(n_agents).expand(size, -1, -1)
    td.set(OBSERVATION, eye)
    td["next"].set(OBSERVATION, eye.clone())
    return td


def split(asked: Tensor) -> Tensor:
    """Actions ``[*B, n, n, A]`` that each agent's critic was asked about."""
    return asked.unflatten(-1, (-1, N_ACTIONS))


def own_slots(joint: Tensor) -> Tensor:
    return torch.stack([joint[..., i, i, :] for i in range(joint.shape[-3])], dim=-2)


@BY_OTHERS
def test_critics_are_asked_about_actions_that_are_available(others: str) -> None:
    loss, asked = linear_loss(others=others)
    td = table_transitions(200)
    torch.manual_seed(0)
    loss(td)
    drawn, taken, following = (split(one) for one in asked)
    own = own_slots(drawn)
    for actions in (own, own_slots(taken), own_slots(following)):
        assert ((actions == 0) | (actions == 1)).all()
        assert (actions.sum(-1) == 1).all()
    mask = td["agents", "action_mask"]
    assert (own * ~mask == 0).all()
    done = nn.functional.one_hot(td["agents", "action"], N_ACTIONS).float()
    assert not torch.equal(own, done)
    for i in range(3):
        assert torch.equal(taken[:, i], done)
        for j in {0, 1, 2} - {i}:
            expected = own[:, j] if others == "policy" else done[:, j]
            assert torch.equal(drawn[:, i, j], expected)


def test_actions_are_drawn_from_the_policy() -> None:
    # The temperature is that of the gradient alone.
    loss, asked = linear_loss(temperature=5.0)
    td, size = table_transitions(3000), 3000
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 0]]).bool()
    td["agents", "action_mask"] = mask.expand(size, 3, 4)
    torch.manual_seed(0)
    loss(td)
    found = own_slots(split(asked[0])).mean(0)
    expected = torch.tensor(LOGITS).masked_fill(~mask, -torch.inf).softmax(-1)
    # Five standard deviations.
    torch.testing.assert_close(found, expected, rtol=0, atol=5 * 0.5 / size**0.5)


def test_target_actors_choose_the_best_available_action() -> None:
    loss, asked = linear_loss()
    td = table_transitions(50)
    other = torch.tensor(LOGITS).roll(1, 0)
    loss.target_actor_network_params["module", "weight"].data.copy_(other.T)
    loss(td)
    following = split(asked[2])
    best = other.masked_fill(~td[NEXT_MASK], -torch.inf).argmax(-1)
    for i in range(3):
        assert torch.equal(following[:, i].argmax(-1), best)
    # The online actors would choose others.
    online = torch.tensor(LOGITS).masked_fill(~td[NEXT_MASK], -torch.inf).argmax(-1)
    assert not torch.equal(online, best)


@BY_OTHERS
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_actors_have_the_gradient_of_relaxed_actions(
    temperature: float, others: str
) -> None:
    loss, _ = linear_loss(temperature=temperature, others=others)
    loss, td = loss.double(), to_double(table_transitions())
    noise = drawn_noise(td)
    torch.manual_seed(SEED)
    loss(td)["loss_actor"].backward()
    logits = torch.tensor(LOGITS).double().requires_grad_()
    moved = (logits + noise) / temperature
    relaxed = moved.masked_fill(~td["agents", "action_mask"], -torch.inf).softmax(-1)
    # What an agent's own action is worth to it: its critic is linear.
    worth = own_slots(WEIGHT.double().unflatten(-1, (3, N_ACTIONS)))
    value = (relaxed * worth).sum(-1).mean()
    (expected,) = torch.autograd.grad(-value, logits)
    found = loss.actor_network_params["module", "weight"].grad.T
    torch.testing.assert_close(found, expected)
    assert (expected.abs().amax(-1) > 1e-4).all()


@BY_OTHERS
@pytest.mark.parametrize("agent", range(3))
def test_an_actor_learns_from_its_own_critic_alone(agent: int, others: str) -> None:
    weight = torch.zeros(3, 12)
    weight[agent] = WEIGHT[agent]
    loss, _ = linear_loss(weight, others=others)
    loss(table_transitions())["loss_actor"].backward()
    found = loss.actor_network_params["module", "weight"].grad.T
    for i in range(3):
        assert (found[i] != 0).any() == (i == agent)


@BY_OTHERS
def test_an_actor_learns_through_its_own_slot_alone(others: str) -> None:
    weight = WEIGHT.clone().unflatten(-1, (3, N_ACTIONS))
    for i in range(3):
        weight[i, i] = 0.0
    loss, _ = linear_loss(weight.flatten(-2), others=others)
    loss(table_transitions())["loss_actor"].backward()
    assert (loss.actor_network_params["module", "weight"].grad == 0).all()


def test_actors_climb() -> None:
    # Each agent's critic likes its last action.
    weight = torch.zeros(3, 3, N_ACTIONS)
    for i in range(3):
        weight[i, i, -1] = 1.0
    loss, _ = linear_loss(weight.flatten(-2))
    td = table_transitions()
    td["agents", "action_mask"] = torch.ones(5, 3, N_ACTIONS, dtype=torch.bool)
    loss(td)["loss_actor"].backward()
    step = -loss.actor_network_params["module", "weight"].grad.T
    assert (step[:, -1] > 0).all()
    assert (step[:, :-1] < 0).all()


def transition(*, terminated: bool, rewards: list[float]) -> TensorDict:
    """One of two agents with two actions, who took the first and the second."""
    agents = TensorDict({"observation": torch.eye(2)[None]}, [1, 2])
    agents["action_mask"] = torch.ones(1, 2, 2, dtype=torch.bool)
    td = TensorDict({"agents": agents, "next": {"agents": agents.clone()}}, [1])
    td["agents", "action"] = torch.tensor([[0, 1]])
    td["next", "reward"] = torch.full((1, 1), 100.0)
    td[AGENT_REWARD] = torch.tensor(rewards).view(1, 2, 1)
    td["next", "terminated"] = torch.tensor([[terminated]])
    td["next", "done"] = torch.ones(1, 1, dtype=torch.bool)
    return td


HAND_WEIGHT = torch.tensor([[1.0, 0.0, 2.0, 4.0], [0.0, 1.0, 3.0, 8.0]])
HAND_LOGITS = [[0.0, 1.0], [1.0, 0.0]]


def test_critics_by_hand() -> None:
    # Of the actions taken, 1 + 4 and 0 + 8; of the best next ones, 0 + 2 and 1 + 3.
    loss, _ = linear_loss(HAND_WEIGHT, HAND_LOGITS)
    td = transition(terminated=False, rewards=[1.0, -2.0])
    result = loss(td)
    aims = [1.0 + 0.5 * 2.0, -2.0 + 0.5 * 4.0]
    error = ((5.0 - aims[0]) ** 2 + (8.0 - aims[1]) ** 2) / 2
    assert result["loss_critic"].item() == error
    assert result["target_value_mean"].item() == sum(aims) / 2
    assert result["chosen_value_mean"].item() == 6.5
    assert td["agents", "td_error"].flatten().tolist() == [error] * 2


def test_the_last_step_of_an_episode_teaches_its_reward() -> None:
    loss, _ = linear_loss(HAND_WEIGHT, HAND_LOGITS)
    result = loss(transition(terminated=True, rewards=[1.0, -2.0]))
    assert result["loss_critic"].item() == ((5 - 1) ** 2 + (8 + 2) ** 2) / 2
    result["loss_critic"].backward()
    found = loss.critic_network_params["module", "weight"].grad
    assert found.tolist() == [[4.0, 0.0, 0.0, 4.0], [10.0, 0.0, 0.0, 10.0]]


def test_drawn_actions_by_hand() -> None:
    # The policies are certain: agents do 1 and 0. Those taken are 0 and 1.
    logits = [[-100.0, 100.0], [100.0, -100.0]]
    td = transition(terminated=True, rewards=[0.0, 0.0])
    for others, values in (("policy", [0 + 2, 1 + 3]), ("replay", [0 + 4, 0 + 3])):
        loss, _ = linear_loss(HAND_WEIGHT, logits, others=others)
        result = loss(td)
        assert result["loss_actor"].item() == -sum(values) / 2
        gains = [values[0] - 5.0, values[1] - 8.0]
        assert result["advantage_mean"].item() == sum(gains) / 2
        deviation = abs(gains[0] - gains[1]) / 2
        assert result["advantage_std"].item() == pytest.approx(deviation)
        assert result["entropy"].item() == pytest.approx(0.0, abs=1e-6)


def test_large_logits_cost_where_actions_are_available() -> None:
    loss, _ = linear_loss(torch.zeros(2, 4), [[1.0, 2.0], [3.0, 5.0]], logit_coef=0.5)
    td = transition(terminated=True, rewards=[0.0, 0.0])
    td["agents", "action_mask"] = torch.tensor([[[True, True], [True, False]]])
    result = loss(td)
    assert result["loss_actor"].item() == pytest.approx(0.5 * (1 + 4 + 9) / 3)
    result["loss_actor"].backward()
    found = loss.actor_network_params["module", "weight"].grad.T
    expected = torch.tensor([[1.0, 2.0], [3.0, 0.0]]) / 3
    torch.testing.assert_close(found, expected)


def test_agents_learn_from_rewards_of_their_own() -> None:
    td = rewarded_batch({}, rows=False)
    expected = outcome(make_maddpg(), td)
    other = td.clone()
    other["next", "reward"] += 5.0
    assert_same(outcome(make_maddpg(), other), expected)
    other[AGENT_REWARD][..., 1, :] += 5.0
    made = outcome(make_maddpg(), other)
    moved = made["target_value_mean"] - expected["target_value_mean"]
    assert moved.item() == pytest.approx(5.0 / 3, rel=1e-5)


@ALL_MODES
@BY_OTHERS
def test_losses_train_their_networks_and_no_others(mode: str, others: str) -> None:
    loss = make_maddpg(**MODES[mode], others=others)
    found = gradients_by_loss(loss, loss(rewarded_batch(MODES[mode])))
    for name, network in (("loss_actor", ACTOR), ("loss_critic", CRITIC)):
        for key, gradient in found[name].items():
            if key.startswith(network):
                assert (gradient != 0).any(), key
            else:
                assert gradient is None, key
    assert target_gradients(loss)
    assert all(gradient is None for gradient in target_gradients(loss))


def test_losses_share_no_graph() -> None:
    # As optimizers of the one move weights before the other is differentiated.
    loss, td = make_maddpg(), rewarded_batch({})
    result = loss(td)
    result["loss_critic"].backward()
    perturb(loss, CRITIC)
    result["loss_actor"].backward()
    assert all(gradient is not None for gradient in gradients(loss).values())


@ALL_MODES
@pytest.mark.parametrize("network", [ACTOR, CRITIC])
def test_targets_come_from_target_networks_alone(mode: str, network: str) -> None:
    def target() -> Tensor:
        return loss(rewarded_batch(MODES[mode]))["target_value_mean"]

    loss = make_maddpg(**MODES[mode])
    expected = target()
    perturb(loss, network)
    assert torch.equal(target(), expected)
    perturb(loss, f"target_{network}")
    assert target() != expected


@ALL_MODES
@BY_OTHERS
@pytest.mark.parametrize("n_agents", [1, 5])
def test_last_masks_may_allow_nothing(mode: str, others: str, n_agents: int) -> None:
    options = {**MODES[mode], "n_agents": n_agents}
    loss = make_maddpg(**options, others=others)
    truncated = with_rewards(ended_batch(options, terminated=False))
    truncated = truncated.exclude("critic_initial_state")
    made = outcome(loss, with_last_mask(truncated, False))
    assert_finite(made)
    # As if the first action were the only one.
    first = (torch.arange(N_ACTIONS) == 0).expand(truncated[NEXT_MASK].shape)
    assert_same(made, outcome(loss, with_last_mask(truncated, first)))
    terminated = with_rewards(ended_batch(options, terminated=True))
    made = outcome(loss, with_last_mask(terminated, False))
    assert_finite(made)
    for mask in (True, torch.rand(*truncated[NEXT_MASK].shape) < 0.5):
        assert_same(outcome(loss, with_last_mask(terminated, mask)), made)


@ALL_MODES
@BY_OTHERS
@pytest.mark.parametrize("share_of_uniform", [0.0, 0.25])
@pytest.mark.parametrize("any_action", [False, True])
def test_the_dead_may_do_one_thing_or_nothing(
    mode: str, others: str, share_of_uniform: float, any_action: bool
) -> None:
    loss = make_maddpg(**MODES[mode], others=others, share_of_uniform=share_of_uniform)
    td = with_dead(rewarded_batch(MODES[mode]), any_action=any_action)
    assert_finite(outcome(loss, td))


@pytest.mark.parametrize("available", [[0, 0, 0, 0], [0, 0, 1, 0]], ids=str)
def test_those_without_a_choice_learn_nothing(available: list[int]) -> None:
    loss, _ = linear_loss()
    td = table_transitions()
    td["agents", "action_mask"][:, 1] = torch.tensor(available).bool()
    loss(td)["loss_actor"].backward()
    found = loss.actor_network_params["module", "weight"].grad.T
    assert (found[1] == 0).all()
    assert (found[0] != 0).any()


def test_nothing_after_a_terminal_step_counts() -> None:
    loss, td = make_maddpg(), with_rewards(ended_batch({}, terminated=True))
    expected = outcome(loss, td)
    td["next"].get(OBSERVATION)[td["next", "done"].squeeze(-1)] = torch.nan
    assert_same(outcome(loss, td), expected)


@ALL_MODES
def test_the_batch_gains_its_priority_and_nothing_else(mode: str) -> None:
    loss, td = make_maddpg(**MODES[mode]), rewarded_batch(MODES[mode], prioritized=True)
    before = td.clone()
    loss(td)
    assert td["agents", "td_error"].shape == (*td.shape, 3, 1)
    after = td.exclude(("agents", "td_error"))
    assert set(after.keys(True, True)) == set(before.keys(True, True))
    assert (after == before).all()
    assert not any(entry.requires_grad for entry in td.values(True, True))


def test_what_is_missing_is_missed() -> None:
    loss, td = make_maddpg(), rewarded_batch({})
    for key in (("agents", "action_mask"), NEXT_MASK):
        with pytest.raises(KeyError, match="action_mask"):
            loss(td.exclude(key))
    assert AGENT_REWARD in loss.in_keys


def test_results_are_scalar_floats() -> None:
    loss = make_maddpg()
    result = loss(rewarded_batch({}))
    assert set(result.keys()) == set(loss.out_keys)
    for key, value in result.items():
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert value.requires_grad == (key in ("loss_actor", "loss_critic"))


@pytest.mark.parametrize(
    ("option", "value"),
    [("temperature", 0.0), ("temperature", -1.0), ("logit_coef", -0.5), ("others", "")],
)
def test_options_out_of_range_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option):
        make_maddpg(**{option: value})
