"""The whole algorithm in one file is the plugin's, in its loss and in its defaults."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from remix_options import DEFAULTS, remix_weighting
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.objectives import ValueEstimators

from remix_plugin import get_experiment_config
from remix_plugin.modules.mixers import DeepQMixer, UnrestrictedMixer
from remix_plugin.objectives.weighted_projection import WeightedProjectionLoss

pytestmark = pytest.mark.slow

FILE = Path(__file__).parents[1] / "examples" / "remix_single_file.py"
AGENTS = "agents"
# The file's networks by the loss's names for them
PARTS = {
    "local_value": "utilities",
    "mixer": "mixer",
    "unrestricted_value": "unrestricted_utilities",
    "unrestricted_mixer": "unrestricted_mixer",
}


@pytest.fixture(scope="module")
def single() -> ModuleType:
    spec = importlib.util.spec_from_file_location("remix_single_file", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def networks(single: ModuleType, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return single.Networks(single.Options())


def random_batch(single: ModuleType, size: int = 32):
    """Transitions as no matrix game has them: every entry differs, some go on."""
    return single.Batch(
        observation=torch.randn(size, 2, 3),
        state=torch.randn(size, 1),
        action=torch.randint(3, (size, 2)),
        reward=3.0 * torch.randn(size, 1),
        next_observation=torch.randn(size, 2, 3),
        next_state=torch.randn(size, 1),
        terminated=torch.rand(size, 1) < 0.3,
    )


def tensordict_of(batch) -> TensorDict:
    size = len(batch.action)
    outcome = {
        "state": batch.next_state,
        AGENTS: TensorDict({"observation": batch.next_observation}, [size, 2]),
        "reward": batch.reward,
        "done": batch.terminated,
        "terminated": batch.terminated,
    }
    agents = {"observation": batch.observation, "action": batch.action}
    return TensorDict(
        {
            AGENTS: TensorDict(agents, [size, 2]),
            "state": batch.state,
            "next": TensorDict(outcome, [size]),
        },
        [size],
    )


def library_loss(online: nn.Module, delayed: nn.Module) -> WeightedProjectionLoss:
    """The plugin's loss over copies of the file's networks."""

    keys = WeightedProjectionLoss.default_keys()
    seen = (AGENTS, "observation")
    entries = {
        "local_value": ([seen], keys.action_value),
        "mixer": ([keys.local_value, "state"], keys.global_value),
        "unrestricted_value": ([seen], keys.unrestricted_action_value),
        "unrestricted_mixer": (
            [keys.unrestricted_local_value, "state"],
            keys.unrestricted_global_value,
        ),
    }

    def parts(of: nn.Module) -> dict[str, TensorDictModule]:
        return {
            name: TensorDictModule(copy.deepcopy(getattr(of, PARTS[name])), read, [key])
            for name, (read, key) in entries.items()
        }

    loss = WeightedProjectionLoss(
        *parts(online).values(), remix_weighting(), use_action_mask=False
    )
    loss.make_value_estimator(ValueEstimators.TD0, gamma=0.99)
    for name, part in parts(delayed).items():
        target = getattr(loss, f"target_{name}_network_params")
        for key, value in part.named_parameters():
            target[tuple(key.split("."))].data.copy_(value.data)
    return loss


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_and_its_gradients_are_the_plugins(single, seed: int) -> None:
    online, delayed = networks(single, seed), networks(single, 100 + seed)
    batch = random_batch(single)
    ours = single.remix_loss(online, delayed, batch, single.Options())
    ours["loss"].backward()

    loss, read = library_loss(online, delayed), tensordict_of(batch)
    theirs = loss(read)
    theirs["loss"].backward()
    for key in ("loss", "loss_projection", "loss_unrestricted"):
        torch.testing.assert_close(ours[key], theirs[key], rtol=1e-6, atol=1e-6)
    weight = ours["projection_weight"]
    torch.testing.assert_close(weight, read["projection_weight"], rtol=1e-6, atol=1e-6)
    assert weight.unique().numel() > 3

    for name, part in PARTS.items():
        gradients = dict(getattr(online, part).named_parameters())
        parameters = getattr(loss, f"{name}_network_params").flatten_keys(".")
        assert len(gradients) == len(parameters.keys()) > 0
        for key, parameter in gradients.items():
            expected = parameters[f"module.{key}"].grad
            torch.testing.assert_close(parameter.grad, expected, rtol=1e-5, atol=1e-6)


def test_mixers_are_the_plugins(single) -> None:
    options = single.Options()
    utility, state = torch.randn(7, 2, 1), torch.randn(7, 1)
    shape = {"state_shape": torch.Size([1]), "n_agents": 2, "device": "cpu"}
    for mine, theirs in (
        (
            single.MonotonicMixer(options.mixing_embed_dim),
            DeepQMixer(mixing_embed_dim=options.mixing_embed_dim, **shape),
        ),
        (
            single.UnrestrictedMixer(options.unrestricted_embed_dim),
            UnrestrictedMixer(embed_dim=options.unrestricted_embed_dim, **shape),
        ),
    ):
        mine.load_state_dict(theirs.state_dict())
        torch.testing.assert_close(mine(utility, state), theirs(utility, state))


def test_options_are_those_of_the_yaml(single) -> None:
    options = vars(single.Options())
    shared = set(options) & set(DEFAULTS)
    assert len(shared) == 10
    assert {name: options[name] for name in shared} == {
        name: DEFAULTS[name] for name in shared
    }
    experiment = get_experiment_config("matrix_game")
    for name in ("gamma", "lr", "clip_grad_val", "polyak_tau"):
        assert options[name] == getattr(experiment, name), name


def test_it_finds_the_optimum(single) -> None:
    torch.manual_seed(0)
    assert single.train(3_200, single.Options()) == (0, 0)
