"""Wrong options of tasks are refused by name and leave nothing behind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import ConfigCompositionException
from refusals import FromHydra, is_empty, write_yaml

from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.environments.predator_prey.common import PredatorPreyTask

pytestmark = pytest.mark.slow

TASK_RANGES = [
    ("n_prey", 200, "n_predators=8 and n_prey=200 are not allowed.* at most 100"),
    ("n_predators", 0, "n_predators=0 is not allowed.* an integer >= 1"),
    ("capture_size", 9, "capture_size=9 is not allowed.* >= 1 and <= 8"),
    ("punishment", 1.0, r"punishment=1\.0 is not allowed.* <= 0"),
    ("window_size", 4, "window_size=4 is not allowed.* odd"),
    ("prey_rest_probability", 2.0, r"prey_rest_probability=2\.0 .* <= 1"),
]


def test_option_that_is_added_to_a_task_is_refused(
    experiment_from_hydra: FromHydra, save_folder: Path
) -> None:
    message = r"task\.n_wolves is not an option of PredatorPreyConfig: .* n_prey, "
    with pytest.raises(TypeError, match=message):
        experiment_from_hydra(
            "algorithm=remix", "task=predator_prey/punish_2", "+task.n_wolves=3"
        )
    assert is_empty(save_folder)


@pytest.mark.parametrize(("field", "value", "message"), TASK_RANGES)
def test_task_option_out_of_range_is_refused(
    field: str,
    value: Any,
    message: str,
    experiment_from_hydra: FromHydra,
    save_folder: Path,
    tmp_path: Path,
) -> None:
    options = {**PredatorPreyTask.PUNISH_2.get_from_yaml().config, field: value}
    with pytest.raises(ValueError, match=message):
        PredatorPreyTask.PUNISH_2.get_task(options)
    path = write_yaml(tmp_path / "bad.yaml", options)
    with pytest.raises(ValueError, match=message):
        PredatorPreyTask.PUNISH_2.get_from_yaml(path)
    with pytest.raises(ValueError, match=message):
        experiment_from_hydra(
            "algorithm=remix", "task=predator_prey/punish_2", f"task.{field}={value}"
        )
    assert is_empty(save_folder)


@pytest.mark.parametrize(
    ("field", "value"), [("n_prey", "abc"), ("n_prey", 2.5), ("mask_occupied", "maybe")]
)
def test_task_option_of_the_wrong_type_is_refused(
    field: str,
    value: Any,
    experiment_from_hydra: FromHydra,
    save_folder: Path,
    tmp_path: Path,
) -> None:
    options = {**PredatorPreyTask.PUNISH_2.get_from_yaml().config, field: value}
    path = write_yaml(tmp_path / "bad.yaml", options)
    with pytest.raises(TypeError, match=f"{field}={value!r} is not allowed"):
        PredatorPreyTask.PUNISH_2.get_from_yaml(path)
    override = f"task.{field}={value}"
    with pytest.raises(ConfigCompositionException, match=re.escape(override)):
        experiment_from_hydra(
            "algorithm=remix", "task=predator_prey/punish_2", override
        )
    assert is_empty(save_folder)


@pytest.mark.parametrize(
    ("payoff", "error", "message"),
    [
        ("[[1,2],[3]]", ValueError, "payoff row .* same length"),
        ("[[1,2,3],[4,5,6]]", ValueError, r"payoff of shape \(2, 3\)"),
        ("[1,2]", ValueError, r"payoff of shape \(2,\)"),
        ("[[1]]", ValueError, r"payoff of shape \(1, 1\)"),
        ("[[1,a],[3,4]]", TypeError, "payoff entry='a'"),
        ("[[1,inf],[3,4]]", ValueError, "payoff entry=inf"),
        ("[]", ValueError, r"payoff row \[\]"),
    ],
)
def test_bad_payoff_is_refused(
    payoff: str,
    error: type[Exception],
    message: str,
    experiment_from_hydra: FromHydra,
    save_folder: Path,
) -> None:
    with pytest.raises(error, match=message):
        experiment_from_hydra(
            "algorithm=remix", "task=matrix_game/custom", f"task.payoff={payoff}"
        )
    assert is_empty(save_folder)


def test_payoff_that_is_no_list_is_refused() -> None:
    with pytest.raises(TypeError, match="payoff='high' is not allowed"):
        MatrixGameTask.CUSTOM.get_task({"payoff": "high"})


def test_option_that_a_script_adds_or_leaves_out_is_named() -> None:
    task = PredatorPreyTask.PUNISH_2.get_from_yaml()
    with pytest.raises(TypeError, match=r"task\.n_prex is not .* n_prey, "):
        PredatorPreyTask.PUNISH_2.get_task({**task.config, "n_prex": 3})
    task.config.pop("n_prey")
    with pytest.raises(TypeError, match=r"task\.n_prey is missing"):
        task.supports_continuous_actions()


@pytest.mark.parametrize(
    "sizes",
    [{"window_size": 100_001}, {"grid_height": 10**6, "grid_width": 10**6}],
)
def test_world_that_no_memory_holds_is_refused(sizes: dict[str, int]) -> None:
    options = {**PredatorPreyTask.PUNISH_2.get_from_yaml().config, **sizes}
    field, value = next(iter(sizes.items()))
    with pytest.raises(ValueError, match=rf"{field}={value}.*not allowed: .* GB"):
        PredatorPreyTask.PUNISH_2.get_task(options)
