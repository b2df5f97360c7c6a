"""The projection loss against a slow implementation in float64, and its gradients."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from loss_batches import assert_gradients, gradients, make_batch, target_gradients
from projection_reference import Reference, reference
from projection_setup import (
    NETWORKS,
    WEIGHTINGS,
    Recorder,
    make_loss,
    make_weighting,
    target_parameters,
)
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss
from remix_plugin.weighting.base import QUANTITIES, WEIGHT, Weighting
from remix_plugin.weighting.wqmix import UniformWeighting

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")


class Given(Weighting):
    """Weights that stand in the batch."""

    in_keys = ["given_weight"]

    def weight(self, *inputs: Tensor) -> Tensor:
        return inputs[0]


def assert_equals_reference(
    loss: WeightedProjectionLoss, batch: TensorDict, expected: Reference
) -> None:
    result = loss(batch)
    result["loss"].backward()
    for key, value in expected.scalars.items():
        assert result[key].item() == pytest.approx(value, rel=1e-5, abs=1e-6), key
    weights = batch["projection_weight"].flatten().tolist()
    kept = batch.get(("collector", "mask"), torch.ones(batch.shape)).flatten().tolist()
    for actual, exact, valid in zip(weights, expected.weights, kept, strict=True):
        assert not valid or actual == pytest.approx(exact, rel=1e-4)
    for actual in batch["agents", "td_error"].squeeze(-1).unbind(-1):
        assert actual.flatten().tolist() == pytest.approx(
            expected.priorities, rel=1e-4, abs=1e-5
        )
    assert_gradients(gradients(loss), expected.gradients)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize(
    ("double_q", "delay_value", "hypernet_layers"),
    list(itertools.product([True, False], [True, False], [1, 2])),
)
def test_loss_and_gradients_equal_a_slow_implementation(
    weighting: str, double_q: bool, delay_value: bool, hypernet_layers: int
) -> None:
    loss = make_loss(
        make_weighting(weighting),
        double_q=double_q,
        delay_value=delay_value,
        hypernet_layers=hypernet_layers,
    )
    batch = make_batch(7)
    assert_equals_reference(loss, batch, reference(loss, batch, weighting))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize(
    "batch_options",
    [
        {"n_agents": 1},
        {"n_agents": 2, "one_hot": True},
        {"rows": True},
        {"rows": True, "padded": True, "prioritized": True},
        {"recurrent": True},
        {"recurrent": True, "stored": True},
        {"recurrent": True, "stored": True, "padded": True, "prioritized": True},
        {"recurrent": True, "double_q": False},
        {"recurrent": True, "delay_value": False},
        {"padded": True},
        {"prioritized": True},
        {"padded": True, "prioritized": True},
        {"unmasked": True},
        {"loss_function": "l1"},
        {"loss_function": "smooth_l1"},
        {"unrestricted_coef": 0.5, "padded": True, "prioritized": True},
    ],
    ids=lambda options: "-".join(str(x) for pair in options.items() for x in pair),
)
def test_options_equal_a_slow_implementation(
    weighting: str, batch_options: dict[str, Any]
) -> None:
    made = dict(batch_options)
    loss = make_loss(
        make_weighting(weighting),
        n_agents=made.get("n_agents", 3),
        recurrent=made.get("recurrent", False),
        sequential=made.get("rows", made.get("recurrent", False)),
        double_q=made.pop("double_q", True),
        delay_value=made.pop("delay_value", True),
        action_space="one-hot" if made.get("one_hot") else "categorical",
        use_action_mask=not made.pop("unmasked", False),
        loss_function=made.pop("loss_function", "l2"),
        unrestricted_coef=made.pop("unrestricted_coef", 1.0),
    )
    batch = make_batch(2, 4, seed=3, **made)
    assert_equals_reference(loss, batch, reference(loss, batch, weighting))


def test_the_examples_above_are_not_trivial() -> None:
    loss = make_loss(make_weighting("remix-mean"))
    batch = make_batch(7)
    expected = reference(loss, batch, "remix-mean")
    assert 0.2 < expected.scalars["underestimated_fraction"] < 0.8
    assert len({round(weight, 4) for weight in expected.weights}) > 2
    greedy = make_loss(make_weighting("remix-mean"), double_q=False)
    other = reference(greedy, batch, "remix-mean")
    assert other.scalars["loss"] != pytest.approx(expected.scalars["loss"])
    terminated, done = batch["next", "terminated"], batch["next", "done"]
    assert terminated.any()
    assert (done & ~terminated).any()
    chosen = make_batch(7)["agents", "action_value"].argmax(-1, keepdim=True)
    assert not batch["agents", "action_mask"].gather(-1, chosen).all()


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("sequential", [False, True])
def test_sequences_equal_their_flattened_batch(
    weighting: str, sequential: bool
) -> None:
    # Without memory, what follows a step tells no more than the next step does.
    loss = make_loss(make_weighting(weighting), sequential=sequential)
    sequences = make_batch(3, 4, rows=True)
    flat = sequences.reshape(-1)
    expected = make_loss(make_weighting(weighting))(flat)
    actual = loss(sequences)
    for key in loss.out_keys:
        torch.testing.assert_close(actual[key], expected[key])
    weight = sequences["projection_weight"]
    assert weight.shape == (3, 4, 1)
    torch.testing.assert_close(weight.flatten(0, 1), flat["projection_weight"])


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_one_hot_actions_equal_indices(weighting: str) -> None:
    categorical = make_loss(make_weighting(weighting))
    one_hot = make_loss(make_weighting(weighting), action_space="one-hot")
    expected = categorical(make_batch(9))
    actual = one_hot(make_batch(9, one_hot=True))
    for key in expected.keys():
        assert torch.equal(actual[key], expected[key]), key


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_no_gradient_through_the_weights(weighting: str) -> None:
    loss = make_loss(make_weighting(weighting))
    batch = make_batch(9)
    result = loss(batch)
    result["loss"].backward()
    assert not batch["projection_weight"].requires_grad

    manual = make_loss(Given())
    batch["given_weight"] = batch["projection_weight"].clone()
    manual(batch)["loss"].backward()
    for (name, actual), expected in zip(
        gradients(loss).items(), gradients(manual).values(), strict=True
    ):
        assert torch.equal(actual, expected), name


def test_a_weighting_sees_no_gradient() -> None:
    class Watched(Recorder):
        in_keys = list(QUANTITIES)

        def weight(self, *inputs: Tensor) -> Tensor:
            assert not torch.is_grad_enabled()
            return super().weight(*inputs)

    watched = Watched()
    make_loss(watched)(make_batch(5))["loss"].backward()
    assert len(watched.seen) == 10
    assert not any(entry.requires_grad for entry in watched.seen.values())


def test_a_weighting_with_parameters_gets_no_gradient() -> None:
    module = nn.Linear(1, 1)
    loss = make_loss(TensorDictModule(module, ["target_value"], [WEIGHT]))
    loss(make_batch(5))["loss"].backward()
    assert module.weight.grad is None
    assert module.bias.grad is None


def test_the_two_terms_share_no_parameter() -> None:
    batch = make_batch(9)
    batch["given_weight"] = torch.rand(9, 1, generator=torch.Generator().manual_seed(0))
    both = make_loss(Given())
    both(batch)["loss"].backward()
    batch["given_weight"] = torch.zeros(9, 1)
    central_only = make_loss(Given())
    result = central_only(batch)
    result["loss"].backward()
    assert result["loss_projection"].item() == 0.0
    for name, gradient in gradients(central_only).items():
        if name.startswith("unrestricted"):
            # The projection adds nothing here.
            assert torch.equal(gradient, gradients(both)[name]), name
            assert gradient.abs().max() > 0, name
        else:
            # The unrestricted loss adds nothing there.
            assert (gradient == 0).all(), name
            assert gradients(both)[name].abs().max() > 0, name


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("recurrent", [False, True])
def test_target_networks_get_no_gradient(weighting: str, recurrent: bool) -> None:
    loss = make_loss(make_weighting(weighting), recurrent=recurrent)
    loss(make_batch(2, 4, recurrent=recurrent))["loss"].backward()
    assert all(gradient is None for gradient in target_gradients(loss))
    for network in NETWORKS:
        assert target_parameters(loss, network)
        for target in target_parameters(loss, network).values():
            assert not target.requires_grad


@pytest.mark.parametrize("name", ["optimistic", "central"])
def test_an_alpha_of_1_is_exactly_uniform(name: str) -> None:
    kind, _ = WEIGHTINGS[name]
    batch = make_batch(9)
    loss, uniform = make_loss(kind(1.0)), make_loss(UniformWeighting())
    actual, expected = loss(batch), uniform(batch)
    for key in expected.keys():
        assert torch.equal(actual[key], expected[key]), key
    actual["loss"].backward()
    expected["loss"].backward()
    for key, gradient in gradients(loss).items():
        assert torch.equal(gradient, gradients(uniform)[key]), key


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_padding_has_no_influence(weighting: str) -> None:
    batch = make_batch(4, 3, padded=True)
    valid = batch["collector", "mask"]
    assert 0 < valid.sum() < valid.numel()
    loss = make_loss(make_weighting(weighting))
    loss(batch)["loss"].backward()
    expected = gradients(loss)

    scrambled = batch.clone()
    other = make_batch(4, 3, seed=99)
    for key in (("next", "reward"), "state", ("agents", "observation")):
        scrambled[key][~valid] = 10.0 * other[key][~valid]
    again = make_loss(make_weighting(weighting))
    again(scrambled)["loss"].backward()
    for name, gradient in gradients(again).items():
        assert torch.equal(gradient, expected[name]), name


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_padding_equals_leaving_entries_out(weighting: str) -> None:
    loss = make_loss(make_weighting(weighting))
    batch = make_batch(4, 3, padded=True)
    kept = batch[batch["collector", "mask"]].exclude("collector")
    actual, expected = loss(batch), loss(kept)
    for key in loss.out_keys:
        torch.testing.assert_close(actual[key], expected[key])


def test_importance_weights_scale_each_transition_in_both_terms() -> None:
    loss = make_loss(make_weighting("remix-mean"))
    batch = make_batch(6, prioritized=True)
    importance = batch["priority_weight"].unsqueeze(-1)
    result = loss(batch)
    error = batch["agents", "td_error"][:, 0]
    weighted = importance * batch["projection_weight"] * error
    expected = (weighted.sum() / importance.sum()).item()
    assert result["loss_projection"].item() == pytest.approx(expected, rel=1e-5)

    plain = make_loss(make_weighting("remix-mean"))(batch.exclude("priority_weight"))
    for key in ("loss_projection", "loss_unrestricted"):
        assert result[key] != plain[key]
    for key in ("projection_weight_mean", "underestimated_fraction"):
        assert result[key] == plain[key]


def test_a_common_importance_weight_cancels() -> None:
    loss = make_loss(make_weighting("remix-mean"))
    batch = make_batch(6)
    expected = loss(batch)["loss"]
    batch["priority_weight"] = torch.full((6,), 0.25)
    torch.testing.assert_close(loss(batch)["loss"], expected)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_without_gradients_the_values_are_the_same(weighting: str) -> None:
    loss = make_loss(make_weighting(weighting))
    batch = make_batch(6)
    expected = loss(batch)
    assert expected["loss"].requires_grad
    with torch.no_grad():
        actual = loss(batch)
    assert not actual["loss"].requires_grad
    for key in expected.keys():
        assert torch.equal(actual[key], expected[key].detach()), key


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("options", [{}, {"padded": True}, {"prioritized": True}])
def test_results_are_scalar_floats_under_the_same_keys(
    weighting: str, options: dict[str, bool]
) -> None:
    loss = make_loss(make_weighting(weighting))
    result = loss(make_batch(6, **options))
    assert set(result.keys()) == {
        "loss",
        "loss_projection",
        "loss_unrestricted",
        "projection_weight_mean",
        "underestimated_fraction",
        "mixer_gradient_mean",
    }
    assert set(result.keys()) == set(loss.out_keys)
    for key, value in result.items():
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert value.requires_grad == (key == "loss")


def test_a_weighting_reads_the_batch() -> None:
    class Curious(Weighting):
        in_keys = [("agents", "curiosity"), "target_value", "age"]

        def weight(self, curiosity: Tensor, target: Tensor, age: Tensor) -> Tensor:
            return curiosity.mean(-2) * age + 0.0 * target

    batch = make_batch(4)
    batch["agents", "curiosity"] = torch.arange(12.0).view(4, 3, 1)
    batch["age"] = torch.tensor([[1.0], [2.0], [0.0], [1.0]])
    loss = make_loss(Curious())
    result = loss(batch)
    assert batch["projection_weight"].flatten().tolist() == [1.0, 8.0, 0.0, 10.0]
    assert result["projection_weight_mean"].item() == 4.75


def test_an_entry_that_nothing_offers_is_missed_by_name() -> None:
    class Greedy(Weighting):
        in_keys = ["target_value", "curiosity"]

    with pytest.raises(KeyError, match=r"Greedy reads 'curiosity'.*mixer_gradient"):
        make_loss(Greedy())(make_batch(4))


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 1), (1, 1)])
def test_weights_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    class Crooked(Weighting):
        in_keys = ["target_value"]

        def forward(self, tensordict: TensorDict) -> TensorDict:
            return TensorDict({WEIGHT: torch.ones(shape)})

    with pytest.raises(ValueError, match=r"Crooked .*must be \(4, 1\)"):
        make_loss(Crooked())(make_batch(4))


def test_a_tensordict_module_can_weigh() -> None:
    def sigmoid(target: Tensor, value: Tensor) -> Tensor:
        return (target - value).sigmoid()

    module = TensorDictModule(
        sigmoid, ["target_value", "chosen_action_value"], [WEIGHT]
    )
    batch = make_batch(4)
    make_loss(module)(batch)
    assert ((batch["projection_weight"] > 0) & (batch["projection_weight"] < 1)).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("recurrent", [False, True])
def test_on_a_gpu_the_loss_equals_the_slow_implementation(
    weighting: str, recurrent: bool
) -> None:
    loss = make_loss(make_weighting(weighting), recurrent=recurrent)
    batch = make_batch(
        2, 4, padded=True, prioritized=True, recurrent=recurrent, stored=recurrent
    )
    expected = reference(loss, batch, weighting)
    loss.to("cuda")
    result = loss(batch.to("cuda"))
    result["loss"].backward()
    for key, value in expected.scalars.items():
        assert result[key].item() == pytest.approx(value, rel=1e-4, abs=1e-5), key
    assert_gradients(gradients(loss), expected.gradients)
