"""The GRU with resets against a loop over steps written here."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from torch import Tensor, nn

from remix_plugin.modules.gru import MultiAgentGRU, ResettableGRU, Timeline

FEATURES, HIDDEN, STEPS = 5, 4, 7
PROPERTY = settings(max_examples=40, deadline=None, derandomize=True)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}

# Steps that begin an episode, of each row.
PATTERNS: dict[str, list[list[int]]] = {
    "none": [[], []],
    "first": [[0], [0]],
    "last": [[STEPS - 1], []],
    **{f"at {step}": [[step], []] for step in range(1, STEPS - 1)},
    "consecutive": [[2, 3, 4], [0, 1]],
    "uneven": [[1, 3, 6], [], [0], [5]],
    "every": [list(range(STEPS)), [3]],
}


def resets(rows: list[list[int]], steps: int = STEPS) -> Tensor:
    is_init = torch.zeros(len(rows), steps, 1, dtype=torch.bool)
    for row, begins in enumerate(rows):
        is_init[row, begins] = True
    return is_init


def unroll(net: ResettableGRU, input: Tensor, is_init: Tensor, h_0: Tensor) -> Tensor:
    """Step by step, the formula of ``torch.nn.GRU`` written out."""
    memory = list(h_0.unbind(-2))
    states = []
    for step in range(input.shape[1]):
        x = input[:, step]
        begins = is_init[:, step].view(-1, *[1] * (x.ndim - 1))
        for layer in range(net.n_layers):
            h = torch.where(begins, 0, memory[layer])
            x = memory[layer] = cell(net, layer, x, h)
        states.append(torch.stack(memory, dim=-2))
    return torch.stack(states, dim=1)


def cell(net: ResettableGRU, layer: int, x: Tensor, h: Tensor) -> Tensor:
    def weight(name: str) -> Tensor | None:
        return getattr(net, f"{name}_l{layer}", None)

    from_x = nn.functional.linear(x, weight("weight_ih"), weight("bias_ih"))
    from_h = nn.functional.linear(h, weight("weight_hh"), weight("bias_hh"))
    x_r, x_z, x_n = from_x.chunk(3, dim=-1)
    h_r, h_z, h_n = from_h.chunk(3, dim=-1)
    z = torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
    return (1 - z) * n + z * h


def build(
    n_layers: int = 1, bias: bool = True, dtype: torch.dtype = torch.float32
) -> ResettableGRU:
    torch.manual_seed(0)
    return ResettableGRU(FEATURES, HIDDEN, n_layers=n_layers, bias=bias).to(dtype)


def draw(
    net: ResettableGRU, is_init: Tensor, between: tuple[int, ...] = ()
) -> tuple[Tensor, Tensor]:
    """Inputs and initial memory, of the parameters' type."""
    dtype = net.weight_ih_l0.dtype
    batch, steps, _ = is_init.shape
    generator = torch.Generator().manual_seed(1)
    shapes = (
        (batch, steps, *between, FEATURES),
        (
            batch,
            *between,
            net.n_layers,
            HIDDEN,
        ),
    )
    input, h_0 = (torch.randn(s, generator=generator, dtype=dtype) for s in shapes)
    return input, h_0


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("n_layers, bias", [(1, True), (1, False), (3, True)])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_equals_a_loop_over_steps(
    pattern: str, n_layers: int, bias: bool, dtype: torch.dtype
) -> None:
    net = build(n_layers, bias, dtype)
    is_init = resets(PATTERNS[pattern])
    for between in [(), (3,)]:
        input, h_0 = draw(net, is_init, between)
        states = net(input, is_init, h_0)
        assert states.dtype == dtype
        assert states.shape == (*input.shape[:-1], n_layers, HIDDEN)
        expected = unroll(net, input, is_init, h_0)
        torch.testing.assert_close(states, expected, atol=TOLERANCE[dtype], rtol=0)


@PROPERTY
@given(
    pattern=st.integers(1, 9).flatmap(
        lambda steps: st.lists(
            st.lists(st.booleans(), min_size=steps, max_size=steps),
            min_size=1,
            max_size=5,
        )
    ),
    n_layers=st.integers(1, 2),
    agents=st.integers(0, 3),
)
def test_equals_a_loop_for_any_resets(
    pattern: list[list[bool]], n_layers: int, agents: int
) -> None:
    net = build(n_layers, dtype=torch.float64)
    is_init = torch.tensor(pattern).unsqueeze(-1)
    input, h_0 = draw(net, is_init, (agents,) if agents else ())
    expected = unroll(net, input, is_init, h_0)
    actual = net(input, is_init, h_0)
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=0)


def test_without_resets_is_torch_gru() -> None:
    net = build(n_layers=2)
    torch.manual_seed(0)
    torch_net = nn.GRU(FEATURES, HIDDEN, num_layers=2, batch_first=True)
    # Same names, same shapes, same draws.
    assert net.state_dict().keys() == torch_net.state_dict().keys()
    for name, value in torch_net.state_dict().items():
        assert torch.equal(net.state_dict()[name], value)
    is_init = resets(PATTERNS["none"])
    input, h_0 = draw(net, is_init)
    output, last = torch_net(input, h_0.transpose(0, 1).contiguous())
    states = net(input, is_init, h_0)
    torch.testing.assert_close(states[:, :, -1], output)
    torch.testing.assert_close(states[:, -1].transpose(0, 1), last)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("n_layers, bias", [(1, True), (1, False), (2, True)])
@pytest.mark.parametrize("pattern", ["none", "consecutive", "uneven", "every"])
def test_derivatives_equal_those_of_the_loop(
    pattern: str, n_layers: int, bias: bool, dtype: torch.dtype
) -> None:
    net = build(n_layers, bias, dtype)
    is_init = resets(PATTERNS[pattern])
    leaves = [x.requires_grad_() for x in draw(net, is_init, (2,))]
    input, h_0 = leaves
    leaves += net.parameters()
    states = net(input, is_init, h_0)
    weights = torch.randn_like(states)
    actual = torch.autograd.grad((weights * states).sum(), leaves)
    looped = unroll(net, input, is_init, h_0)
    expected = torch.autograd.grad((weights * looped).sum(), leaves)
    # Sums over all steps are rounded differently, hence the relative part.
    rtol = TOLERANCE[dtype]
    torch.testing.assert_close(actual, expected, atol=TOLERANCE[dtype], rtol=rtol)


@pytest.mark.parametrize("pattern", ["none", "uneven", "consecutive"])
def test_derivatives_equal_finite_differences(pattern: str) -> None:
    net = build(n_layers=2, dtype=torch.float64)
    is_init = resets([row[:2] for row in PATTERNS[pattern]][:2])[:, :5]
    leaves = [x.requires_grad_() for x in (*draw(net, is_init), *net.parameters())]

    def states(input: Tensor, h_0: Tensor, *_: Tensor) -> Tensor:
        return net(input, is_init, h_0)

    assert torch.autograd.gradcheck(states, leaves)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_nothing_leaks_across_a_reset(n_layers: int) -> None:
    net = build(n_layers)
    is_init = resets([[3], [3, 5]])
    input, h_0 = draw(net, is_init, (2,))
    input.requires_grad_()
    h_0.requires_grad_()
    other = input.detach().clone()
    other[:, :3] = 100 * torch.randn_like(other[:, :3])
    states = net(input, is_init, h_0)
    changed = net(other, is_init, 50 * torch.randn_like(h_0))
    assert torch.equal(states[:, 3:], changed[:, 3:])
    assert not torch.equal(states[:, :3], changed[:, :3])
    to_input, to_start = torch.autograd.grad(states[:, 3:].sum(), [input, h_0])
    assert (to_input[:, :3] == 0).all()
    assert (to_start == 0).all()
    assert (to_input[:, 3:] != 0).any()


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_after_a_reset_is_a_new_sequence(scale: float) -> None:
    net = build(n_layers=2, dtype=torch.float64)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(scale)
    is_init = resets([[4], [4]])
    input, h_0 = draw(net, is_init)
    begun = net(input[:, 4:], is_init[:, :3], torch.zeros_like(h_0))
    actual = net(input, is_init, h_0)[:, 4:]
    torch.testing.assert_close(actual, begun, atol=1e-10, rtol=0)


def test_memory_need_not_be_finite_before_the_first_step() -> None:
    net = build()
    is_init = resets([[0], [0, 2]])
    input, h_0 = draw(net, is_init)
    states = net(input, is_init, torch.full_like(h_0, torch.nan))
    assert torch.equal(states, net(input, is_init, h_0))


def test_positions_leave_a_step_before_each_reset() -> None:
    timeline = Timeline.from_resets(resets([[0, 2, 3], [], [4]], steps=5))
    assert timeline.first.tolist() == [True, False, False]
    expected = [[0, 1, 3, 5, 6], [0, 1, 2, 3, 4], [0, 1, 2, 3, 5]]
    assert timeline.positions.tolist() == expected
    assert timeline.length == 7


def test_single_steps_equal_the_sequence() -> None:
    net = build(n_layers=2, dtype=torch.float64)
    is_init = resets(PATTERNS["uneven"])
    input, memory = draw(net, is_init, (3,))
    expected = net(input, is_init, memory)
    for step in range(STEPS):
        now = slice(step, step + 1)
        memory = net(input[:, now], is_init[:, now], memory)[:, 0]
        torch.testing.assert_close(memory, expected[:, step], atol=1e-10, rtol=0)


@pytest.mark.parametrize("share_params", [True, False])
def test_parameters_can_be_swapped(share_params: bool) -> None:
    torch.manual_seed(0)
    net = MultiAgentGRU(
        FEATURES, HIDDEN, n_agents=3, share_params=share_params, n_layers=2
    )
    is_init = resets(PATTERNS["uneven"])
    input = torch.randn(4, STEPS, 3, FEATURES)
    h_0 = torch.randn(4, 3, 2, HIDDEN)
    doubled = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in doubled.parameters():
            parameter.mul_(2)
    expected, before = doubled(input, is_init, h_0), net(input, is_init, h_0)
    # As TorchRL's losses call networks.
    with (TensorDict.from_module(net).data.clone() * 2).to_module(net):
        assert torch.equal(net(input, is_init, h_0), expected)
    assert torch.equal(net(input, is_init, h_0), before)
    params = TensorDict.from_module(net).data.clone().requires_grad_()
    with params.to_module(net):
        net(input, is_init, h_0).sum().backward()
    gradients = params.grad.flatten_keys().values()
    assert all((gradient != 0).any() for gradient in gradients)
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("pattern", ["none", "uneven"])
def test_agents_have_their_own_parameters_or_share_them(pattern: str) -> None:
    torch.manual_seed(0)
    is_init = resets(PATTERNS[pattern])
    batch = len(is_init)
    input = torch.randn(batch, STEPS, 3, FEATURES)
    h_0 = torch.randn(batch, 3, 2, HIDDEN)
    shared, separate = (
        MultiAgentGRU(FEATURES, HIDDEN, n_agents=3, share_params=share, n_layers=2)
        for share in (True, False)
    )
    assert len(shared.nets) == 1 and len(separate.nets) == 3
    for net in (shared, separate):
        states = net(input, is_init, h_0)
        assert states.shape == (batch, STEPS, 3, 2, HIDDEN)
        for agent in range(3):
            own = net.nets[0 if net is shared else agent]
            expected = unroll(own, input[:, :, agent], is_init, h_0[:, agent])
            torch.testing.assert_close(states[:, :, agent], expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("pattern", ["none", "uneven", "every"])
def test_gpu_equals_the_loop(pattern: str) -> None:
    net = build(n_layers=2, dtype=torch.float64)
    is_init = resets(PATTERNS[pattern])
    leaves = [x.cuda().requires_grad_() for x in draw(net, is_init, (2,))]
    net, is_init = net.cuda(), is_init.cuda()
    input, h_0 = leaves
    leaves += net.parameters()
    states, looped = net(input, is_init, h_0), unroll(net, input, is_init, h_0)
    torch.testing.assert_close(states, looped, atol=1e-10, rtol=0)
    actual = torch.autograd.grad(states.square().sum(), leaves)
    expected = torch.autograd.grad(looped.square().sum(), leaves)
    torch.testing.assert_close(actual, expected, atol=1e-9, rtol=1e-9)
