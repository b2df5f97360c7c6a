"""Wrong options of algorithms are refused by name and leave nothing behind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from benchmarl.algorithms.common import AlgorithmConfig
from hydra.errors import ConfigCompositionException
from refusals import FromHydra, is_empty, write_yaml

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import CwqmixConfig, OwqmixConfig
from remix_plugin.registration import ALGORITHM_CONFIGS

TERMS = "'bellman_error', 'value_underestimation', 'mixer_gradient', 'on_policyness'"

# Field, value, and what the message says besides them.
SHARED_RANGES = [
    ("mixing_embed_dim", 0, "an integer >= 1"),
    ("hypernet_layers", 3, "one of 1, 2"),
    ("unrestricted_embed_dim", -1, "an integer >= 1"),
    ("loss_function", "l3", "one of 'l1', 'l2', 'smooth_l1'"),
]
REMIX_RANGES = [
    ("w_min", 2.0, "> 0 and <= 1.0"),
    ("w_min", 0.0, "a number > 0 and <= 1.0"),
    ("w_min", -0.1, "a number > 0 and <= 1.0"),
    ("w_min", float("nan"), "a number"),
    ("w_max", 0.0, "a number > 0"),
    ("w_max", float("inf"), "a number > 0"),
    ("recent_fraction", 1.5, "a number >= 0 and <= 1"),
    ("recent_fraction", -0.1, "a number >= 0 and <= 1"),
    ("recent_size", 0, "an integer >= 1"),
    ("normalization", "sum", "one of 'mean', 'mean_positive', 'max'"),
    ("exponent_clip", -1.0, "a number >= 0"),
    ("exponent_clip", 101.0, "a number >= 0 and <= 100"),
    ("gradient_floor", 0.0, "a number >= 1e-12"),
]
WQMIX_RANGES = [
    ("alpha", 0.0, "a number > 0 and <= 1"),
    ("alpha", -1.0, "a number > 0 and <= 1"),
    ("alpha", 1.5, "a number > 0 and <= 1"),
]
OUT_OF_RANGE = [
    *((config, *case) for config in ALGORITHM_CONFIGS for case in SHARED_RANGES),
    *((RemixConfig, *case) for case in REMIX_RANGES),
    *((config, *c) for config in (OwqmixConfig, CwqmixConfig) for c in WQMIX_RANGES),
]
# Field, value, and what the messages of Hydra and ours say.
WRONG_TYPES = [
    ("w_min", "abc", "Float", "a number"),
    ("w_max", True, "Float", "a number"),
    ("recent_fraction", None, "not Optional", "a number"),
    ("exponent_clip", [1], "Float", "a number"),
    ("mixing_embed_dim", 1.5, "Integer", "an integer"),
    ("unrestricted_embed_dim", "many", "Integer", "an integer"),
    ("recent_size", 1e3, "Integer", "an integer"),
    ("double_q", "maybe", "bool", "true or false"),
    ("delay_value", None, "not Optional", "true or false"),
]


def _id(value: Any) -> str | None:
    return value.__name__[:-6] if isinstance(value, type) else None


def _name(config: type[AlgorithmConfig]) -> str:
    return config.associated_class().__name__.lower()


def _literal(value: Any) -> str:
    """The value as on the command line."""
    text = "null" if value is None else str(value)
    return text.replace(" ", "").replace("'", "")


def _refused(field: str, value: Any, allowed: str) -> str:
    """Pattern of a message."""
    text = re.escape(f"{field}={value!r} is not allowed")
    return text + ".*: it must be .*" + re.escape(allowed)


def _options(config: type[AlgorithmConfig], **changes: Any) -> dict[str, Any]:
    return {**vars(config.get_from_yaml()), **changes}


@pytest.mark.parametrize(("config", "field", "value", "allowed"), OUT_OF_RANGE, ids=_id)
def test_option_out_of_range_is_refused_in_python_and_yaml(
    config: type[AlgorithmConfig], field: str, value: Any, allowed: str, tmp_path: Path
) -> None:
    options = _options(config, **{field: value})
    with pytest.raises(ValueError, match=_refused(field, value, allowed)):
        config(**options)
    path = write_yaml(tmp_path / "bad.yaml", options)
    with pytest.raises(ValueError, match=_refused(field, value, allowed)):
        config.get_from_yaml(path)


@pytest.mark.parametrize(("config", "field", "value", "allowed"), OUT_OF_RANGE, ids=_id)
def test_option_out_of_range_is_refused_on_the_command_line(
    config: type[AlgorithmConfig],
    field: str,
    value: Any,
    allowed: str,
    experiment_from_hydra: FromHydra,
    save_folder: Path,
) -> None:
    with pytest.raises(ValueError, match=_refused(field, value, allowed)):
        experiment_from_hydra(
            f"algorithm={_name(config)}",
            "task=predator_prey/punish_2",
            f"algorithm.{field}={_literal(value)}",
        )
    assert is_empty(save_folder)


@pytest.mark.parametrize(("field", "value", "hydra_says", "allowed"), WRONG_TYPES)
def test_option_of_the_wrong_type_is_refused(
    field: str,
    value: Any,
    hydra_says: str,
    allowed: str,
    experiment_from_hydra: FromHydra,
    save_folder: Path,
    tmp_path: Path,
) -> None:
    options = _options(RemixConfig, **{field: value})
    with pytest.raises(TypeError, match=_refused(field, value, allowed)):
        RemixConfig(**options)
    path = write_yaml(tmp_path / "bad.yaml", options)
    with pytest.raises(TypeError, match=_refused(field, value, allowed)):
        RemixConfig.get_from_yaml(path)

    override = f"algorithm.{field}={_literal(value)}"
    with pytest.raises(
        ConfigCompositionException, match=re.escape(override)
    ) as refusal:
        experiment_from_hydra(
            "algorithm=remix", "task=predator_prey/punish_2", override
        )
    assert hydra_says in str(refusal.value.__cause__)
    assert f"full_key: algorithm.{field}" in str(refusal.value.__cause__)
    assert is_empty(save_folder)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (["bellman"], f"terms entry='bellman' is not allowed.* {TERMS}"),
        (["bellman_error", 3], f"terms entry=3 is not allowed.* {TERMS}"),
        (["on_policyness"] * 2, "terms=.* is not allowed: a name is repeated"),
    ],
)
def test_bad_terms_are_refused(terms: list[Any], message: str, tmp_path: Path) -> None:
    options = _options(RemixConfig, terms=terms)
    with pytest.raises(ValueError, match=message):
        RemixConfig(**options)
    with pytest.raises(ValueError, match=message):
        RemixConfig.get_from_yaml(write_yaml(tmp_path / "bad.yaml", options))


def test_unknown_term_is_refused_on_the_command_line(
    experiment_from_hydra: FromHydra, save_folder: Path
) -> None:
    message = f"terms entry='regret' is not allowed: it must be one of {TERMS}"
    with pytest.raises(ValueError, match=message):
        experiment_from_hydra(
            "algorithm=remix",
            "task=predator_prey/punish_2",
            "algorithm.terms=[bellman_error,regret]",
        )
    assert is_empty(save_folder)


@pytest.mark.parametrize("terms", [3, None, "bellman_error"])
def test_terms_that_are_no_list_are_refused(terms: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"terms={terms!r}"):
        RemixConfig(**_options(RemixConfig, terms=terms))


@pytest.mark.parametrize("field", ["w_min", "w_max"])
def test_whole_numbers_are_fine_where_a_float_is_expected(
    field: str, experiment_from_hydra: FromHydra, tmp_path: Path
) -> None:
    options = _options(RemixConfig, **{field: 1})
    path = write_yaml(tmp_path / "good.yaml", options)
    assert getattr(RemixConfig.get_from_yaml(path), field) == 1
    experiment = experiment_from_hydra(
        "algorithm=remix", "task=predator_prey/punish_2", f"algorithm.{field}=1"
    )
    assert getattr(experiment.algorithm, field) == 1
    experiment.close()


def test_equal_bounds_are_fine() -> None:
    config = RemixConfig(**_options(RemixConfig, w_min=0.5, w_max=0.5))
    assert config.w_min == config.w_max


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_missing_and_unknown_options_are_refused(
    config: type[AlgorithmConfig], tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match="learning_rate"):
        config(**_options(config, learning_rate=0.1))
    path = write_yaml(tmp_path / "more.yaml", _options(config, learning_rate=0.1))
    with pytest.raises(TypeError, match="learning_rate"):
        config.get_from_yaml(path)
    options = _options(config)
    del options["double_q"]
    with pytest.raises(TypeError, match="double_q"):
        config.get_from_yaml(write_yaml(tmp_path / "fewer.yaml", options))


@pytest.mark.parametrize(
    "override",
    ["algorithm.learning_rate=0.1", "task.n_wolves=3", "algorithm.w_minimum=0.1"],
)
def test_unknown_override_is_refused(
    override: str, experiment_from_hydra: FromHydra, save_folder: Path
) -> None:
    key = override.split("=")[0]
    with pytest.raises(ConfigCompositionException, match=f"Could not override '{key}'"):
        experiment_from_hydra(
            "algorithm=remix", "task=predator_prey/punish_2", override
        )
    assert is_empty(save_folder)


def test_option_that_is_added_to_an_algorithm_is_refused(
    experiment_from_hydra: FromHydra, save_folder: Path
) -> None:
    with pytest.raises(TypeError, match="learning_rate"):
        experiment_from_hydra(
            "algorithm=remix",
            "task=predator_prey/punish_2",
            "+algorithm.learning_rate=0.1",
        )
    assert is_empty(save_folder)
