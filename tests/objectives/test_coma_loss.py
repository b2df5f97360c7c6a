"""The losses of COMA against a slow implementation in float64, and their parts."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from coma_reference import (
    ACTOR,
    CRITIC,
    Keys,
    coma_reference,
    make_coma,
    make_critic,
)
from critic_networks import CRITIC_INPUT, OTHERS
from loss_batches import (
    HIDDEN,
    N_ACTIONS,
    OBSERVATION,
    agent_network,
    make_batch,
    table,
    target_gradients,
    to_double,
)
from off_policy_reference import (
    NEXT_MASK,
    assert_finite,
    assert_same,
    ended_batch,
    perturb,
    with_dead,
    with_last_mask,
)
from on_policy_reference import (
    CRITIC_MEMORY,
    EXACT,
    LMBDA,
    MODES,
    assert_equals,
    assert_not_trivial,
    collected,
    doubled,
    drawn_from,
    made_of,
    outcome,
    returns_by_hand,
)
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.modules import VDNMixer
from torchrl.objectives import ValueEstimators

from remix_plugin.modules.critic_inputs import OthersActions
from remix_plugin.objectives.coma import ComaLoss
from remix_plugin.objectives.unroll import pack_rows
from remix_plugin.objectives.vdac import VdacLoss

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")

ALL_MODES = pytest.mark.parametrize("mode", MODES)
CASES = {
    **EXACT,
    "delay_value-off": {"delay_value": False},
    "delay_value-off-recurrent": {"delay_value": False, **MODES["recurrent-critic"]},
}
NEXT_ACTION = ("next", "agents", "joint_action")
WRITTEN = ("value_target", ("agents", "joint_action"), NEXT_ACTION)


def assert_equals_reference(options: dict[str, Any], **more: Any) -> None:
    one_hot = options.get("action_space") == "one-hot"
    loss, rows = doubled(make_coma(**options), options, **more)
    assert_not_trivial(rows)
    loss.write_targets(rows)
    expected = coma_reference(
        loss, rows, options.get("lmbda", LMBDA), options.get("share_of_uniform", 0.0)
    )
    assert_equals(loss, rows, expected)
    action = rows["agents", "action"]
    taken = action.argmax(-1) if one_hot else action
    assert torch.equal(rows["agents", "joint_action"], taken)


@pytest.mark.parametrize("options", CASES)
def test_losses_and_gradients_equal_a_slow_implementation(options: str) -> None:
    assert_equals_reference(CASES[options])


@ALL_MODES
def test_padded_rows_equal_a_slow_implementation(mode: str) -> None:
    assert_equals_reference(MODES[mode], padded=True, seed=5)


@ALL_MODES
def test_importance_weights_do_not_count(mode: str) -> None:
    # Data of the current policy is not drawn by priority.
    assert_equals_reference(MODES[mode], prioritized=True)


# A game of two agents with three actions each, whose critic is exact.
PAYOFF = [[8.0, -12.0, 3.0], [-1.0, 0.5, 2.0], [4.0, -3.0, 7.0]]
LOGITS = [[0.3, -0.7, 0.1], [-0.2, 0.9, 0.4]]
JOINT = list(itertools.product(range(3), repeat=2))
SHARES = pytest.mark.parametrize("share", [0.0, 0.3], ids=["softmax", "mixed"])


class Game(nn.Module):
    """``Q_i(u_-i, .)`` of the game, from the others' actions ``[*B, 2, 6]``."""

    def __init__(self, agents: tuple[int, ...]) -> None:
        super().__init__()
        payoff = torch.tensor(PAYOFF, dtype=torch.float64)
        self.payoff = nn.Parameter(torch.stack([payoff.T, payoff]))
        kept = [[[float(agent in agents)]] for agent in range(2)]
        self.register_buffer("kept", torch.tensor(kept))

    def forward(self, others: Tensor) -> Tensor:
        of_other = torch.stack([others[..., 0, 3:], others[..., 1, :3]], dim=-2)
        values = self.kept * self.payoff
        return torch.einsum("...nb,nba->...na", of_other.double(), values)


def game_loss(share: float = 0.0, agents: tuple[int, ...] = (0, 1)) -> ComaLoss:
    """Exact values of the agents named, and 0 of others."""
    keys = Keys()
    loss = ComaLoss(
        table(LOGITS, keys.logits).double(),
        TensorDictModule(Game(agents), [OTHERS], [keys.action_value]),
        state_network=TensorDictModule(OthersActions(3), [keys.joint_action], [OTHERS]),
        entropy_coef=0.0,
        epsilon=lambda: share,
    )
    loss.make_value_estimator(ValueEstimators.TD0, gamma=0.5)
    return loss


def one_joint_action(action: tuple[int, ...], mask: Tensor | None = None) -> TensorDict:
    """A transition with everything that the loss reads."""
    n_agents = len(action)
    if mask is None:
        mask = torch.ones(n_agents, 3, dtype=torch.bool)
    eye = torch.eye(n_agents, dtype=torch.float64)
    agents = TensorDict(
        {"observation": eye[None], "action_mask": mask[None]}, [1, n_agents]
    )
    agents["action"] = agents["joint_action"] = torch.tensor([action])
    td = TensorDict({"agents": agents, "next": {"agents": agents.clone()}}, [1])
    td["value_target"] = torch.zeros(1, n_agents, 1, dtype=torch.float64)
    return td


def game_policies(logits: Tensor, mask: Tensor, share: float) -> Tensor:
    kept = logits.masked_fill(~mask, -torch.inf).softmax(-1)
    return (1 - share) * kept + share * mask / mask.sum(-1, keepdim=True)


MASKS = {
    "all": torch.ones(2, 3, dtype=torch.bool),
    "some": torch.tensor([[1, 0, 1], [1, 1, 1]]).bool(),
}
BY_MASK = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())


@SHARES
@BY_MASK
@pytest.mark.parametrize("agent", [0, 1])
def test_the_mean_advantage_of_an_agent_is_0(
    agent: int, mask: Tensor, share: float
) -> None:
    loss = game_loss(share, agents=(agent,))
    policies = game_policies(torch.tensor(LOGITS).double(), mask, share)
    # Whatever the other one does, over one's own actions.
    for other in range(3):
        total, sizes = 0.0, []
        for own in range(3):
            action = (own, other) if agent == 0 else (other, own)
            result = loss(one_joint_action(action, mask))
            # The other agent's is 0.
            advantage = 2 * result["advantage_mean"].item()
            total += policies[agent, own].item() * advantage
            sizes.append(abs(advantage))
        assert total == pytest.approx(0.0, abs=1e-6)
        assert max(sizes) > 0.5


@SHARES
@BY_MASK
def test_the_mean_gradient_is_that_of_the_expected_value(
    mask: Tensor, share: float
) -> None:
    logits = torch.tensor(LOGITS).double().requires_grad_()
    policies = game_policies(logits, mask, share)
    payoff = torch.tensor(PAYOFF).double()
    (exact,) = torch.autograd.grad(policies[0] @ payoff @ policies[1], logits)
    found = torch.zeros(2, 3, dtype=torch.float64)
    for action in JOINT:
        loss = game_loss(share)
        loss(one_joint_action(action, mask))["loss_actor"].backward()
        gradient = loss.actor_network_params["module", "weight"].grad.T
        weight = policies[0, action[0]] * policies[1, action[1]]
        found += weight.item() * gradient
    # The loss is a mean over agents.
    torch.testing.assert_close(-2 * found, exact, rtol=1e-6, atol=1e-6)
    assert exact.abs().max() > 0.1


def test_losses_by_hand() -> None:
    loss, td = game_loss(), one_joint_action((0, 2))
    td["value_target"] = torch.tensor([[[1.0], [5.0]]]).double()
    result = loss(td)
    policies = torch.tensor(LOGITS).double().softmax(-1).tolist()
    # Q_1(., 2) and Q_2(0, .).
    first, second = [3.0, 2.0, 7.0], PAYOFF[0]
    means = [
        sum(p * q for p, q in zip(own, values, strict=True))
        for own, values in zip(policies, (first, second), strict=True)
    ]
    advantages = [3.0 - means[0], 3.0 - means[1]]
    logs = torch.tensor([policies[0][0], policies[1][2]]).log().tolist()
    actor = -(advantages[0] * logs[0] + advantages[1] * logs[1]) / 2
    assert result["loss_actor"].item() == pytest.approx(actor)
    assert result["loss_critic"].item() == ((3 - 1) ** 2 + (3 - 5) ** 2) / 2
    assert result["advantage_mean"].item() == pytest.approx(sum(advantages) / 2)
    deviation = abs(advantages[0] - advantages[1]) / 2
    assert result["advantage_std"].item() == pytest.approx(deviation)


@pytest.mark.parametrize("action", range(3))
def test_one_agent_has_the_advantage_over_its_expected_value(action: int) -> None:
    keys, values, logits = Keys(), [1.0, -2.0, 4.0], [0.5, 0.25, -1.0]
    coma = ComaLoss(table([logits], keys.logits), table([values], keys.action_value))
    expected = (torch.tensor(logits).softmax(-1) @ torch.tensor(values)).item()
    local, total = ("agents", "local_value"), "state_value"
    vdac = VdacLoss(
        table([logits], keys.logits),
        table([[expected]], local),
        TensorDictModule(VDNMixer(n_agents=1, device="cpu"), [local], [total]),
    )
    td = one_joint_action((action,)).apply(
        lambda x: x.float() if x.is_floating_point() else x
    )
    result = coma(td)
    result["loss_actor"].backward()
    td["value_target"] = torch.tensor([[values[action]]])
    again = vdac(td)
    again["loss"].backward()
    torch.testing.assert_close(
        result["loss_actor"].detach(), again["loss_actor"] - 0.01 * again["entropy"]
    )
    found, other = (
        loss.actor_network_params["module", "weight"].grad for loss in (coma, vdac)
    )
    torch.testing.assert_close(found, other)
    assert (found != 0).all()


def test_a_good_action_becomes_more_probable() -> None:
    for action in JOINT:
        loss, logits = game_loss(), torch.tensor(LOGITS).double()
        loss(one_joint_action(action))["loss_actor"].backward()
        step = -loss.actor_network_params["module", "weight"].grad.T
        values = ([row[action[1]] for row in PAYOFF], PAYOFF[action[0]])
        for agent in range(2):
            mean = logits[agent].softmax(-1) @ torch.tensor(values[agent]).double()
            advantage = values[agent][action[agent]] - mean
            assert step[agent, action[agent]].sign() == advantage.sign()


@pytest.mark.parametrize("agent", range(3))
def test_an_agents_critic_does_not_see_its_own_action(agent: int) -> None:
    loss, rows = make_coma(), collected({})
    loss.write_targets(rows)
    other = rows.clone()
    moved = (rows["agents", "action"][..., agent] + 1) % N_ACTIONS
    other["agents", "joint_action"][..., agent] = moved
    before, after = (loss._passes(td).current[CRITIC_INPUT] for td in (rows, other))
    for i in range(3):
        same = (before[..., i, :] == after[..., i, :]).all(-1)
        assert same.all() if i == agent else not same.any()


@pytest.mark.parametrize(
    ("terminated", "expected"),
    [([0, 1, 0], [2.25, 1.0, 3.0]), ([0, 0, 0], [2.75, 3.0, 3.0])],
    ids=["terminated", "truncated"],
)
def test_targets_of_a_row_worked_by_hand(
    terminated: list[int], expected: list[float]
) -> None:
    loss = row_loss([[4.0, 4.0]])
    td = returns_by_hand(terminated)
    loss.write_targets(td)
    assert td["value_target"].shape == (1, 3, 1, 1)
    assert td["value_target"].flatten().tolist() == expected


def row_loss(values: list[list[float]], logits: Any = None, **options: Any) -> ComaLoss:
    """Tables, and halves for the discount and for lambda."""
    keys = Keys()
    loss = ComaLoss(
        table(logits or [[0.0] * len(row) for row in values], keys.logits),
        table(values, keys.action_value),
        **options,
    )
    loss.make_value_estimator(ValueEstimators.TDLambda, gamma=0.5, lmbda=0.5)
    return loss


def test_the_next_action_is_the_one_taken_until_an_end() -> None:
    # The policy always draws action 1, which was never taken.
    loss = row_loss([[2.0, 6.0]], [[-200.0, 200.0]])
    td = returns_by_hand([0, 0, 0])
    loss.write_targets(td)
    assert td[NEXT_ACTION].flatten().tolist() == [0, 1, 1]
    # 1 + 6 / 2 at the end of an episode, and at that of the row.
    last = 4.0
    first = 1 + 0.5 * (0.5 * 2.0 + 0.5 * last)
    assert td["value_target"].flatten().tolist() == [first, last, last]


@pytest.mark.parametrize("end", ["is_init", "padding", "row"])
def test_the_next_action_is_drawn_where_a_row_does_not_go_on(end: str) -> None:
    loss = row_loss([[2.0, 6.0]], [[-200.0, 200.0]])
    td = returns_by_hand([0, 0, 0])
    td["next", "done"].zero_()
    expected = [0, 0, 1]
    if end == "is_init":
        td["is_init"] = torch.tensor([0, 0, 1]).bool().view(1, 3, 1)
        expected = [0, 1, 1]
    elif end == "padding":
        td["collector", "mask"] = torch.tensor([[True, False, False]])
        expected = [1, 1, 1]
    loss.write_targets(td)
    assert td[NEXT_ACTION].flatten().tolist() == expected
    assert td["value_target"].flatten()[1 if end == "is_init" else 0] == (
        4.0 if end != "row" else 1 + 0.5 * (1.0 + 0.5 * (1 + 0.5 * (1.0 + 0.5 * 4.0)))
    )


@SHARES
def test_next_actions_at_ends_are_drawn_from_the_policy(share: float) -> None:
    size, logits = 4000, [[1.0, 0.0, -1.0, 3.0], [0.0, 0.5, 0.0, 0.0]]
    loss = row_loss([[0.0] * 4] * 2, logits, epsilon=lambda: share)
    agents = TensorDict(
        {"observation": torch.eye(2).expand(size, 2, 2, 2)}, [size, 2, 2]
    )
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    agents["action_mask"] = mask.expand(size, 2, 2, 4)
    td = TensorDict({"agents": agents, "next": {"agents": agents.clone()}}, [size, 2])
    td["agents", "action"] = torch.randint(0, 3, (size, 2, 2))
    td["next", "reward"] = torch.zeros(size, 2, 1)
    td["next", "done"] = torch.zeros(size, 2, 1, dtype=torch.bool)
    td["next", "terminated"] = td["next", "done"].clone()
    torch.manual_seed(0)
    loss.write_targets(td)
    assert torch.equal(td[NEXT_ACTION][:, 0], td["agents", "action"][:, 1])
    drawn = nn.functional.one_hot(td[NEXT_ACTION][:, 1], 4).float().mean(0)
    expected = game_policies(torch.tensor(logits), mask, share)
    # Five standard deviations.
    torch.testing.assert_close(drawn, expected, rtol=0, atol=5 * 0.5 / size**0.5)
    assert drawn[0, 3] == 0


@ALL_MODES
def test_losses_train_their_networks_and_no_others(mode: str) -> None:
    loss, rows = make_coma(**MODES[mode]), collected(MODES[mode])
    loss.write_targets(rows)
    _, found = made_of(loss, drawn_from(loss, rows))
    for name, network in (("loss_actor", ACTOR), ("loss_critic", CRITIC)):
        for key, gradient in found[name].items():
            if key.startswith(network):
                assert (gradient != 0).any(), key
            else:
                assert gradient is None, key
    assert target_gradients(loss)
    assert all(gradient is None for gradient in target_gradients(loss))


@ALL_MODES
def test_targets_come_from_the_target_critic_alone(mode: str) -> None:
    def targets() -> Tensor:
        torch.manual_seed(0)
        rows = collected(MODES[mode])
        loss.write_targets(rows)
        return rows["value_target"]

    loss = make_coma(**MODES[mode])
    expected = targets()
    perturb(loss, CRITIC)
    assert torch.equal(targets(), expected)
    perturb(loss, f"target_{CRITIC}")
    assert (targets() != expected).any()
    delayed = {name for name, _ in loss.named_children() if name.startswith("target_")}
    assert delayed == {f"target_{CRITIC}_params"}


def entries_of(loss: ComaLoss, name: str) -> list[Tensor]:
    return [p.detach().clone() for p in getattr(loss, name).values(True, True)]


def changed(before: list[Tensor], after: list[Tensor]) -> bool:
    return not all(torch.equal(x, y) for x, y in zip(before, after, strict=True))


def test_actors_pause_after_as_many_updates_as_were_told() -> None:
    loss, rows = make_coma(), collected({})
    loss.write_targets(rows)
    batch = rows.reshape(-1)
    actors = [*loss.actor_network_params.values(True, True), loss.pause]
    optimizers = {
        "loss_actor": torch.optim.Adam(actors, lr=0.1),
        "loss_critic": torch.optim.Adam(
            list(loss.critic_network_params.values(True, True)), lr=0.1
        ),
    }
    names = ("actor_network_params", "critic_network_params")
    learnt = []
    for told in (2, None, None, 1, None):
        if told is not None:
            loss.learn_for(told)
        before = [entries_of(loss, name) for name in names]
        result = loss(batch)
        for name, optimizer in optimizers.items():
            result[name].backward()
            optimizer.step()
            optimizer.zero_grad()
        after = [entries_of(loss, name) for name in names]
        learnt.append(changed(before[0], after[0]))
        assert changed(before[1], after[1])
        assert (result["loss_actor"] != 0) == learnt[-1]
        assert set(result.keys()) == set(loss.out_keys)
    assert learnt == [True, True, False, True, False]
    assert loss.pause == 0


def test_what_is_learned_in_a_pause_is_on_the_actors_device() -> None:
    keys = Keys()
    actors = agent_network(keys.logits, recurrent=False, n_agents=3).to("meta")
    loss = ComaLoss(actors, make_critic(3, False))
    assert loss.pause.device == torch.device("meta")


def test_actors_that_pause_change_no_other_result() -> None:
    loss, rows = make_coma(), collected({})
    loss.write_targets(rows)
    batch = rows.reshape(-1)
    expected = loss(batch)
    loss.learn_for(0)
    actual = loss(batch)
    for key in expected.keys():
        if key != "loss_actor":
            assert torch.equal(actual[key], expected[key]), key
    actual["loss_actor"].backward()
    assert all(p.grad is None for p in loss.actor_network_params.values(True, True))
    assert loss.pause.grad is not None


def test_actors_learn_always_unless_told() -> None:
    loss, rows = make_coma(), collected({})
    loss.write_targets(rows)
    expected = loss(rows.reshape(-1))["loss_actor"]
    for _ in range(3):
        assert torch.equal(loss(rows.reshape(-1))["loss_actor"], expected)


def kept(rows: TensorDict, options: dict[str, Any]) -> TensorDict:
    """Rows with the hidden states that the loss has networks for."""
    memory = options.get("critic_memory", False)
    return rows if memory else rows.exclude(CRITIC_MEMORY)


@ALL_MODES
@pytest.mark.parametrize("n_agents", [1, 5])
def test_last_masks_may_allow_nothing(mode: str, n_agents: int) -> None:
    options = {**MODES[mode], "n_agents": n_agents}
    loss = make_coma(**options)
    truncated = kept(ended_batch(options, terminated=False), options)
    made = outcome(loss, with_last_mask(truncated, False))
    assert_finite(made)
    # As if the first action were the only one.
    first = (torch.arange(N_ACTIONS) == 0).expand(truncated[NEXT_MASK].shape)
    assert_same(made, outcome(loss, with_last_mask(truncated, first)))
    terminated = kept(ended_batch(options, terminated=True), options)
    assert_finite(outcome(loss, with_last_mask(terminated, False)))


@ALL_MODES
@pytest.mark.parametrize("share_of_uniform", [0.0, 0.25])
@pytest.mark.parametrize("any_action", [False, True])
def test_the_dead_may_do_one_thing_or_nothing(
    mode: str, share_of_uniform: float, any_action: bool
) -> None:
    loss = make_coma(**MODES[mode], share_of_uniform=share_of_uniform)
    rows = with_dead(collected(MODES[mode]), any_action=any_action)
    assert_finite(outcome(loss, rows))


def test_nothing_after_a_terminal_step_counts() -> None:
    loss, rows = make_coma(), kept(ended_batch({}, terminated=True), {})
    expected = outcome(loss, rows)
    ends = rows["next", "done"].squeeze(-1)
    rows["next"].get(OBSERVATION)[ends] = 9.0
    assert_same(outcome(loss, rows), expected)
    rows["next"].get("state")[ends] = torch.nan
    assert_same(outcome(loss, rows), expected)


@pytest.mark.parametrize("pattern", [(), (1,), (2,), (0, 3)], ids=str)
def test_chained_rows_equal_one_long_row(pattern: tuple[int, ...]) -> None:
    options = MODES["recurrent-critic"]
    loss = make_coma(**options).double()
    rows = to_double(collected(options)).exclude("initial_state", CRITIC_MEMORY)
    rows["next", "done"] = torch.zeros(*rows.shape, 1, dtype=torch.bool)
    rows["next", "done"][:, list(pattern)] = True
    rows["next", "terminated"] = rows["next", "done"].clone()
    rows["is_init"] = rows["next", "done"].roll(1, 1)
    rows["is_init"][:, 0] = True
    loss.write_targets(rows)
    first, second = rows[:, :2].clone(), rows[:, 2:].clone()
    # Written by the loss itself, as of rows that are new.
    first, second = (
        half.exclude(("agents", "joint_action"), "value_target")
        for half in (first, second)
    )
    zeros = {name: torch.zeros(3, 3, HIDDEN).double() for name in (ACTOR, CRITIC)}
    before, states = loss.hidden_states(first, zeros)
    assert set(before) == {"initial_state", CRITIC_MEMORY}
    starts, _ = loss.hidden_states(second, states)
    for key, state in starts.items():
        second[key] = pack_rows(state, second.shape[1])
    halves, whole = loss._passes(second), loss._passes(rows)
    keys = Keys()
    for name, key in ((ACTOR, keys.logits), (CRITIC, keys.action_value)):
        now, exact = halves.now(name, key), whole.now(name, key)[:, 2:]
        torch.testing.assert_close(now, exact, rtol=0, atol=1e-12)
        after, exact = halves.after(name, key), whole.after(name, key)[:, 2:]
        torch.testing.assert_close(after, exact, rtol=0, atol=1e-12)


@ALL_MODES
def test_rows_gain_targets_and_joint_actions_and_nothing_else(mode: str) -> None:
    loss, rows = make_coma(**MODES[mode]), collected(MODES[mode])
    before = rows.clone()
    loss.write_targets(rows)
    assert rows["value_target"].shape == (*rows.shape, 3, 1)
    assert not rows["value_target"].requires_grad
    batch = drawn_from(loss, rows)
    read = batch.clone()
    loss(batch)
    for after, same in ((rows.exclude(*WRITTEN), before), (batch, read)):
        assert set(after.keys(True, True)) == set(same.keys(True, True))
        assert (after == same).all()


@pytest.mark.parametrize("missing", [WRITTEN, WRITTEN[:1]], ids=["all", "targets"])
def test_targets_that_were_not_written_are_missed(missing: tuple) -> None:
    loss, rows = make_coma(), collected({})
    loss.write_targets(rows)
    match = "value_target.*call write_targets" if len(missing) == 1 else "joint_action"
    with pytest.raises(KeyError, match=match):
        loss(rows.reshape(-1).exclude(*missing))


def test_masks_that_are_missing_are_missed() -> None:
    loss, rows = make_coma(), make_batch(3, 4, rows=True)
    with pytest.raises(KeyError, match="action_mask"):
        loss.write_targets(rows.exclude(NEXT_MASK))
    loss.write_targets(rows)
    with pytest.raises(KeyError, match="action_mask"):
        loss(rows.reshape(-1).exclude(("agents", "action_mask")))


def test_results_are_scalar_floats() -> None:
    loss, rows = make_coma(), collected({})
    loss.write_targets(rows)
    result = loss(rows.reshape(-1))
    assert set(result.keys()) == set(loss.out_keys)
    for key, value in result.items():
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert value.requires_grad == (key in ("loss_actor", "loss_critic"))


def test_a_coefficient_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="entropy_coef"):
        make_coma(entropy_coef=-0.5)
