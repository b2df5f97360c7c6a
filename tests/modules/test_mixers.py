"""Mixers: their layers, monotonicity, shapes, and the gradient of one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchrl.modules import QMixer, VDNMixer
from torchrl.modules.models.multiagent import Mixer

from remix_plugin.modules.mixers import (
    AgentFeatures,
    DeepQMixer,
    MixerState,
    UnrestrictedMixer,
    mixer_gradient,
)

N_AGENTS, STATE, EMBED = 3, 5, 4
PROPERTY = settings(max_examples=50, deadline=None, derandomize=True)


def q_mixer() -> QMixer:
    return QMixer(
        state_shape=(STATE,), mixing_embed_dim=EMBED, n_agents=N_AGENTS, device="cpu"
    )


def deep_q_mixer() -> DeepQMixer:
    return DeepQMixer(
        hypernet_dim=7,
        state_shape=(STATE,),
        mixing_embed_dim=EMBED,
        n_agents=N_AGENTS,
        device="cpu",
    )


def unrestricted_mixer(state_shape: tuple[int, ...] = (STATE,)) -> UnrestrictedMixer:
    return UnrestrictedMixer(
        state_shape=torch.Size(state_shape),
        embed_dim=6,
        n_agents=N_AGENTS,
        device="cpu",
    )


MONOTONIC = [q_mixer, deep_q_mixer]


def build(make: Callable[[], Mixer], seed: int = 0, scale: float = 1.0) -> Mixer:
    """A mixer with random parameters; a large scale reaches both arms of the ELU."""
    torch.manual_seed(seed)
    mixer = make()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.mul_(scale)
    return mixer


def draw(*batch: int, seed: int = 1, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Utilities ``[*B, n, 1]`` and states ``[*B, S]``."""
    generator = torch.Generator().manual_seed(seed)
    utilities = scale * torch.randn(*batch, N_AGENTS, 1, generator=generator)
    return utilities, torch.randn(*batch, STATE, generator=generator)


def gradient_of(mixer: Mixer, utilities: Tensor, *state: Tensor) -> Tensor:
    utilities = utilities.clone().requires_grad_()
    return mixer_gradient(mixer(utilities, *state), utilities)


def slow_layer(layer: nn.Linear, inputs: list[float]) -> list[float]:
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [
        sum(w * x for w, x in zip(row, inputs, strict=True)) + b
        for row, b in zip(weight, bias, strict=True)
    ]


def slow_network(network: nn.Module, inputs: list[float]) -> list[float]:
    """Linear and ReLU layers one after the other, in plain Python."""
    if isinstance(network, nn.Linear):
        return slow_layer(network, inputs)
    for layer in network:
        if isinstance(layer, nn.Linear):
            inputs = slow_layer(layer, inputs)
        else:
            assert isinstance(layer, nn.ReLU)
            inputs = [max(x, 0.0) for x in inputs]
    return inputs


def slow_q_mixer(
    mixer: QMixer, utilities: list[float], state: list[float]
) -> tuple[float, list[float]]:
    """Value and gradient ``sum_j elu'(z_j) |W1|_aj |w2|_j`` of one transition."""
    w1 = [abs(w) for w in slow_network(mixer.hyper_w_1, state)]
    w2 = [abs(w) for w in slow_network(mixer.hyper_w_final, state)]
    z = slow_network(mixer.hyper_b_1, state)
    value = slow_network(mixer.V, state)[0]
    gradient = [0.0] * len(utilities)
    for j in range(len(z)):
        for a, utility in enumerate(utilities):
            z[j] += utility * w1[a * len(z) + j]
        value += (z[j] if z[j] > 0 else math.exp(z[j]) - 1) * w2[j]
        slope = 1.0 if z[j] > 0 else math.exp(z[j])
        for a in range(len(utilities)):
            gradient[a] += slope * w1[a * len(z) + j] * w2[j]
    return value, gradient


def closed_form(mixer: QMixer, utilities: Tensor, state: Tensor) -> Tensor:
    """The same gradient for a whole batch ``[B]`` at once."""
    w1 = mixer.hyper_w_1(state).abs().unflatten(-1, (N_AGENTS, -1))
    w2 = mixer.hyper_w_final(state).abs()
    z = (utilities * w1).sum(-2) + mixer.hyper_b_1(state)
    slope = torch.where(z > 0, torch.ones_like(z), z.exp())
    return torch.einsum("bj,baj,bj->ba", slope, w1, w2).unsqueeze(-1).detach()


@pytest.mark.parametrize("make", MONOTONIC)
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_value_and_gradient_equal_plain_loops(
    make: Callable[[], QMixer], scale: float
) -> None:
    mixer = build(make, scale=scale)
    utilities, state = draw(12)
    value = mixer(utilities, state)
    gradient = gradient_of(mixer, utilities, state)
    assert gradient.shape == (12, N_AGENTS, 1)
    for i in range(12):
        expected, slopes = slow_q_mixer(
            mixer, utilities[i].flatten().tolist(), state[i].tolist()
        )
        assert value[i].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)
        assert gradient[i].flatten().tolist() == pytest.approx(slopes, rel=1e-5)


@pytest.mark.parametrize("make", MONOTONIC)
def test_gradient_equals_the_closed_form(make: Callable[[], QMixer]) -> None:
    mixer = build(make, scale=3.0)
    utilities, state = draw(400)
    gradient = gradient_of(mixer, utilities, state)
    expected = closed_form(mixer, utilities, state)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-5)


def test_the_derivative_of_the_activation_belongs_inside_the_sum() -> None:
    mixer = build(q_mixer, scale=3.0)
    utilities, state = draw(50)
    w1 = mixer.hyper_w_1(state).abs().unflatten(-1, (N_AGENTS, -1))
    w2 = mixer.hyper_w_final(state).abs()
    z = (utilities * w1).sum(-2) + mixer.hyper_b_1(state)
    slope = torch.where(z > 0, torch.ones_like(z), z.exp())
    outside = slope.mean(-1, keepdim=True) * torch.einsum("baj,bj->ba", w1, w2)
    gradient = gradient_of(mixer, utilities, state)
    assert (gradient.squeeze(-1) - outside).abs().max() > 0.1


def test_gradient_of_a_sum_is_1() -> None:
    utilities, _ = draw(4, 6)
    gradient = gradient_of(VDNMixer(n_agents=N_AGENTS, device="cpu"), utilities)
    assert torch.equal(gradient, torch.ones(4, 6, N_AGENTS, 1))


def test_gradient_of_a_mixer_of_a_users_own() -> None:
    class Squares(Mixer):
        def mix(self, chosen_action_value: Tensor, state: Tensor) -> Tensor:
            return chosen_action_value.square().sum(-2) * state[..., :1]

    utilities, state = draw(7)
    mixer = Squares(N_AGENTS, True, (STATE,), "cpu")
    expected = 2 * utilities * state[:, None, :1]
    torch.testing.assert_close(gradient_of(mixer, utilities, state), expected)


def test_gradient_is_detached_and_leaves_the_graph() -> None:
    mixer = build(q_mixer)
    utilities, state = draw(3)
    utilities.requires_grad_()
    value = mixer(utilities, state)
    gradient = mixer_gradient(value, utilities)
    assert not gradient.requires_grad
    assert utilities.grad is None
    value.sum().backward()
    torch.testing.assert_close(utilities.grad, gradient)


@PROPERTY
@given(
    make=st.sampled_from(MONOTONIC),
    seed=st.integers(0, 999),
    agent=st.integers(0, N_AGENTS - 1),
    rise=st.floats(0.0, 100.0),
)
def test_property_the_value_does_not_fall_when_a_utility_rises(
    make: Callable[[], Mixer], seed: int, agent: int, rise: float
) -> None:
    mixer = build(make, seed=seed, scale=2.0)
    utilities, state = draw(16, seed=seed + 1)
    before = mixer(utilities, state)
    higher = utilities.clone()
    higher[:, agent] += rise
    after = mixer(higher, state)
    assert (after >= before - 1e-5 * (1 + before.abs())).all()
    assert (gradient_of(mixer, utilities, state) >= 0).all()


def test_an_unrestricted_value_can_fall_when_a_utility_rises() -> None:
    mixer = build(unrestricted_mixer, scale=2.0)
    utilities, state = draw(64)
    gradient = gradient_of(mixer, utilities, state)
    assert (gradient < -1e-3).any()
    assert (gradient > 1e-3).any()
    row, agent = (gradient < -1e-3).squeeze(-1).nonzero()[0].tolist()
    higher = utilities.clone()
    higher[row, agent] += 1e-2
    assert mixer(higher, state)[row] < mixer(utilities, state)[row]


def layers(network: nn.Module) -> list[str]:
    """``in-out`` of each linear layer, the class name of any other."""
    modules = [network] if isinstance(network, nn.Linear) else list(network)
    return [
        f"{module.in_features}-{module.out_features}"
        if isinstance(module, nn.Linear)
        else type(module).__name__
        for module in modules
    ]


def parameter_count(*widths: int) -> int:
    pairs = itertools.pairwise(widths)
    return sum(below * above + above for below, above in pairs)


def test_layers_of_the_unrestricted_mixer() -> None:
    mixer = unrestricted_mixer()
    joint = ["8-6", "ReLU", "6-6", "ReLU", "6-6", "ReLU", "6-1"]
    assert layers(mixer.joint_value) == joint
    assert layers(mixer.state_value) == ["5-6", "ReLU", "6-1"]
    expected = parameter_count(8, 6, 6, 6, 1) + parameter_count(5, 6, 1)
    assert sum(p.numel() for p in mixer.parameters()) == expected
    assert all(p.requires_grad for p in mixer.parameters())


def test_layers_of_the_deep_hypernetworks() -> None:
    mixer = deep_q_mixer()
    assert layers(mixer.hyper_w_1) == ["5-7", "ReLU", f"7-{N_AGENTS * EMBED}"]
    assert layers(mixer.hyper_w_final) == ["5-7", "ReLU", f"7-{EMBED}"]
    assert layers(mixer.hyper_b_1) == [f"5-{EMBED}"]
    assert layers(mixer.V) == [f"5-{EMBED}", "ReLU", f"{EMBED}-1"]
    expected = parameter_count(5, 7, 12) + parameter_count(5, 7, 4)
    expected += parameter_count(5, 4) + parameter_count(5, 4, 1)
    assert sum(p.numel() for p in mixer.parameters()) == expected


def test_deep_hypernetworks_have_64_hidden_units_by_default() -> None:
    mixer = DeepQMixer(state_shape=(2,), mixing_embed_dim=32, n_agents=2, device="cpu")
    assert layers(mixer.hyper_w_1) == ["2-64", "ReLU", "64-64"]
    assert layers(mixer.hyper_w_final) == ["2-64", "ReLU", "64-32"]


def test_the_unrestricted_value_equals_plain_loops() -> None:
    mixer = build(unrestricted_mixer)
    utilities, state = draw(10)
    value = mixer(utilities, state)
    for i in range(10):
        own, joint = state[i].tolist(), utilities[i].flatten().tolist()
        expected = slow_network(mixer.joint_value, own + joint)[0]
        expected += slow_network(mixer.state_value, own)[0]
        assert value[i].item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("make", [*MONOTONIC, unrestricted_mixer])
@pytest.mark.parametrize("batch", [(), (6,), (2, 3), (1, 1), (2, 3, 4)])
def test_any_batch_shape_equals_its_flattened_batch(
    make: Callable[[], Mixer], batch: tuple[int, ...]
) -> None:
    mixer = build(make)
    utilities, state = draw(*batch)
    value = mixer(utilities, state)
    assert value.shape == (*batch, 1)
    flat = mixer(utilities.reshape(-1, N_AGENTS, 1), state.reshape(-1, STATE))
    torch.testing.assert_close(value.reshape(-1, 1), flat, rtol=1e-5, atol=1e-6)
    assert gradient_of(mixer, utilities, state).shape == (*batch, N_AGENTS, 1)


def test_states_of_several_dimensions_are_flattened() -> None:
    of_image, of_vector = unrestricted_mixer((2, 2)), unrestricted_mixer((4,))
    of_vector.load_state_dict(of_image.state_dict())
    utilities, _ = draw(4, 3)
    image = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = of_vector(utilities, image.flatten(-2))
    assert torch.equal(of_image(utilities, image), expected)


@pytest.mark.parametrize("batch", [(), (4,), (4, 3)])
def test_mixer_state_lays_inputs_side_by_side(batch: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    position = torch.randn(*batch, 2, generator=generator)
    observation = torch.randn(*batch, 3, 2, generator=generator)
    image = torch.randint(0, 255, (*batch, 2, 1, 2), generator=generator)
    state = MixerState((1, 2, 3))(position, observation, image.to(torch.uint8))
    assert state.shape == (*batch, 2 + 6 + 4)
    assert state.dtype == torch.float32
    assert torch.equal(state[..., :2], position)
    for agent in range(3):
        part = state[..., 2 + 2 * agent : 4 + 2 * agent]
        assert torch.equal(part, observation[..., agent, :])
    assert torch.equal(state[..., 8:], image.flatten(-3).float())


def test_mixer_state_of_one_input_is_that_input_flattened() -> None:
    observation = torch.arange(12.0).view(2, 3, 2)
    expected = [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert MixerState((2,))(observation).tolist() == expected


def test_mixer_state_refuses_another_number_of_inputs() -> None:
    with pytest.raises(ValueError, match=r"zip\(\)"):
        MixerState((1, 1))(torch.zeros(2, 1))


@pytest.mark.parametrize("batch", [(), (4,), (4, 3)])
def test_agent_features_lay_each_agents_inputs_side_by_side(
    batch: tuple[int, ...],
) -> None:
    generator = torch.Generator().manual_seed(0)
    position = torch.randn(*batch, N_AGENTS, 2, generator=generator)
    health = torch.randint(0, 9, (*batch, N_AGENTS), generator=generator)
    image = torch.randn(*batch, N_AGENTS, 2, 1, 3, generator=generator)
    features = AgentFeatures((1, 0, 3))(position, health, image)
    assert features.shape == (*batch, N_AGENTS, 2 + 1 + 6)
    assert features.dtype == torch.float32
    assert torch.equal(features[..., :2], position)
    assert torch.equal(features[..., 2], health.float())
    for agent in range(N_AGENTS):
        own = image[..., agent, :, :, :].flatten(-3)
        assert torch.equal(features[..., agent, 3:], own)


@pytest.mark.parametrize("ndim", [0, 1, 2])
def test_agent_features_of_one_agent_and_one_input(ndim: int) -> None:
    shape = (4, 5, 1, *(2, 3)[:ndim])
    observation = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    features = AgentFeatures((ndim,))(observation.transpose(0, 1))
    assert features.is_contiguous()
    assert torch.equal(features, observation.transpose(0, 1).reshape(5, 4, 1, -1))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float64])
@pytest.mark.parametrize("module", [MixerState, AgentFeatures])
def test_inputs_of_any_type_become_float32(
    module: type[nn.Module], dtype: torch.dtype
) -> None:
    inputs = torch.ones(2, N_AGENTS, 4, dtype=dtype)
    for number in (1, 2):
        assert module((1,) * number)(*[inputs] * number).dtype == torch.float32


def test_agent_features_refuse_another_number_of_inputs() -> None:
    with pytest.raises(ValueError, match=r"zip\(\)"):
        AgentFeatures((1, 1))(torch.zeros(2, N_AGENTS, 1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("make", [*MONOTONIC, unrestricted_mixer])
def test_mixers_on_a_gpu_equal_those_on_the_cpu(make: Callable[[], Mixer]) -> None:
    mixer = build(make)
    utilities, state = draw(8, 2)
    expected = mixer(utilities, state), gradient_of(mixer, utilities, state)
    mixer.to("cuda")
    utilities, state = utilities.cuda(), state.cuda()
    actual = mixer(utilities, state), gradient_of(mixer, utilities, state)
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a.cpu(), e, rtol=1e-4, atol=1e-4)
