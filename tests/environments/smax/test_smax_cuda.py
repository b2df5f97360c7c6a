"""SMAX on a GPU: the simulation runs there, and nothing is read before it is there."""

from __future__ import annotations

import pytest
import torch
from smax_battles import N_ENVS, TASK, focused_actions, needs_jaxmarl
from torchrl.envs.utils import check_env_specs

from remix_plugin.environments.smax.config import SmaxConfig
from remix_plugin.environments.smax.env import SmaxEnv

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    needs_jaxmarl,
]


def make_env(device: str) -> SmaxEnv:
    return SmaxEnv(SmaxConfig(**TASK), num_envs=N_ENVS, seed=0, device=device)


def test_specs_on_cuda() -> None:
    check_env_specs(make_env("cuda"), seed=0)


def test_battles_are_simulated_where_the_tensors_are() -> None:
    import jax

    if jax.default_backend() != "gpu":
        pytest.skip("needs JAX for CUDA")
    env = make_env("cuda")
    observed = env.reset()
    assert {d.platform for d in env.battles.state.step.devices()} == {"gpu"}
    assert observed["agents", "observation"].device.type == "cuda"
    env.to("cpu")
    assert {d.platform for d in env.battles.state.step.devices()} == {"cpu"}


def test_same_battles_as_on_the_cpu() -> None:
    # Random keys do not depend on the device; sums are taken in another order.
    cuda, cpu = make_env("cuda"), make_env("cpu")
    one, other = cuda.reset(), cpu.reset()
    for _ in range(60):
        action = focused_actions(other["agents", "action_mask"])
        other["agents", "action"], one["agents", "action"] = action, action.cuda()
        stepped, one = cuda.step_and_maybe_reset(one)
        _, other = cpu.step_and_maybe_reset(other)
        torch.testing.assert_close(
            one["agents", "observation"].cpu(),
            other["agents", "observation"],
            rtol=1e-3,
            atol=1e-3,
        )
        assert stepped["next", "reward"].device.type == "cuda"
