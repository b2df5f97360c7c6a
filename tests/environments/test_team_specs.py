"""The specs that batched environments share lie on the environment's device."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDictBase
from torchrl.data import Composite
from torchrl.envs import EnvBase

from remix_plugin.environments.specs import set_team_specs


class Bare(EnvBase):
    """An environment on the one device besides the CPU that every machine has."""

    def __init__(self) -> None:
        super().__init__(device=torch.device("meta"), batch_size=torch.Size([3]))

    def _reset(self, tensordict: TensorDictBase | None) -> TensorDictBase:
        raise AssertionError

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        raise AssertionError

    def _set_seed(self, seed: int | None) -> None:
        raise AssertionError


@pytest.mark.parametrize("truncates", [True, False])
def test_every_spec_is_on_the_device_of_the_environment(truncates: bool) -> None:
    env = Bare()
    set_team_specs(env, n_agents=2, n_actions=5, truncates=truncates)
    specs = Composite(
        action=env.full_action_spec,
        reward=env.full_reward_spec,
        done=env.full_done_spec,
    )
    devices = {key: spec.device for key, spec in specs.items(True, True)}
    ends = {"done", "terminated", *(["truncated"] if truncates else [])}
    assert set(devices) == {
        ("action", "agents", "action"),
        ("reward", "reward"),
        *(("done", end) for end in ends),
    }
    assert {device.type for device in devices.values()} == {"meta"}
