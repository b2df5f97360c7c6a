"""Wrong options of algorithms are refused by name and leave nothing behind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from benchmarl.algorithms.common import AlgorithmConfig
from hydra.errors import ConfigCompositionException
from refusals import FromHydra, is_empty, write_yaml

from remix_plugin.algorithms.dop import DopConfig
from remix_plugin.algorithms.fop import FopConfig
from remix_plugin.algorithms.qatten import QattenConfig
from remix_plugin.algorithms.qplex import QplexConfig
from remix_plugin.algorithms.qtran import QtranConfig
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.algorithms.vdac import VdacConfig
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

QATTEN_SIZES = ("n_heads", "embed_dim", "query_dim", "head_dim", "constant_dim")
TERMS = "'bellman_error', 'value_underestimation', 'mixer_gradient', 'on_policyness'"

# Field, value, and what the message says besides them.
SHARED_RANGES = [
    ("loss_function", "l3", "one of 'l1', 'l2', 'smooth_l1'"),
    ("td_lambda", -0.1, "a number >= 0 and <= 1"),
    ("td_lambda", 1.1, "a number >= 0 and <= 1"),
    ("burn_in", "warm", "one of 'stored', 'zero'"),
    ("absolute_metric_factor", -1, "an integer >= 0"),
]
MONOTONIC_RANGES = [
    ("mixing_embed_dim", 0, "an integer >= 1"),
    ("mixing_embed_dim", 10**9, "an integer >= 1 and <= 16384"),
    ("hypernet_layers", 3, "one of 1, 2"),
]
PROJECTION_RANGES = [
    *MONOTONIC_RANGES,
    ("unrestricted_embed_dim", -1, "an integer >= 1"),
    ("unrestricted_embed_dim", 10**9, "an integer >= 1 and <= 16384"),
    ("unrestricted_coef", 0.0, "a number > 0"),
    ("unrestricted_coef", float("nan"), "a number > 0"),
]
REMIX_RANGES = [
    *PROJECTION_RANGES,
    ("w_min", 2.0, "> 0 and <= 1.0"),
    ("w_min", 0.0, "a number > 0 and <= 1.0"),
    ("w_min", -0.1, "a number > 0 and <= 1.0"),
    ("w_min", float("nan"), "a number"),
    ("w_max", 0.0, "a number > 0"),
    ("w_max", float("inf"), "a number > 0"),
    ("recent_fraction", 1.5, "a number >= 0 and <= 1"),
    ("recent_fraction", -0.1, "a number >= 0 and <= 1"),
    ("recent_size", 0, "an integer >= 1"),
    ("normalization", "sum", "one of 'mean', 'mean_positive', 'max', 'clipped'"),
    ("mean_multiple", 0.0, "a number > 0"),
    ("unrestricted_value", "both", "one of 'online', 'target'"),
    ("policy_support", "none", "one of 'available', 'all'"),
    ("warm_up_frames", -1, "an integer >= 0"),
    ("exponent_clip", -1.0, "a number >= 0"),
    ("exponent_clip", 101.0, "a number >= 0 and <= 100"),
    ("gradient_floor", 0.0, "a number >= 1e-12"),
]
WQMIX_RANGES = [
    *PROJECTION_RANGES,
    ("alpha", 0.0, "a number > 0 and <= 1"),
    ("alpha", -1.0, "a number > 0 and <= 1"),
    ("alpha", 1.5, "a number > 0 and <= 1"),
]
TD_RANGES = [
    ("td_coef", 0.0, "a number > 0"),
    ("td_coef", float("inf"), "a number > 0"),
]
QPLEX_RANGES = [
    *TD_RANGES,
    ("n_heads", 0, "an integer >= 1"),
    ("n_heads", 10**9, "an integer >= 1 and <= 16384"),
    ("importance_layers", 0, "one of 1, 2, 3"),
    ("importance_layers", 4, "one of 1, 2, 3"),
    ("hypernet_dim", 0, "an integer >= 1"),
    ("hypernet_dim", 10**9, "an integer >= 1 and <= 16384"),
]
QATTEN_RANGES = [
    *TD_RANGES,
    *((size, 0, "an integer >= 1") for size in QATTEN_SIZES),
    *((size, 10**9, "an integer >= 1 and <= 16384") for size in QATTEN_SIZES),
    ("attend_reg_coef", -0.1, "a number >= 0"),
    ("attend_reg_coef", float("inf"), "a number >= 0"),
]
QTRAN_RANGES = [
    ("arch", "qtran_paper", "one of 'coma', 'features'"),
    ("embed_dim", 0, "an integer >= 1"),
    ("embed_dim", 10**9, "an integer >= 1 and <= 16384"),
    ("feature_dim", 0, "an integer >= 1"),
    ("feature_dim", 10**9, "an integer >= 1 and <= 16384"),
    ("lambda_opt", 0.0, "a number > 0"),
    ("lambda_nopt", 0.0, "a number > 0"),
    ("lambda_nopt", float("nan"), "a number > 0"),
]
ACTOR_CRITIC_RANGES = [("epsilon", "half", "one of 'none', 'collection', 'everywhere'")]
VDAC_RANGES = [
    *ACTOR_CRITIC_RANGES,
    ("critic_coef", 0.0, "a number > 0"),
    ("entropy_coef", -0.1, "a number >= 0"),
]
DOP_RANGES = [
    *ACTOR_CRITIC_RANGES,
    ("n_steps", 0, "an integer >= 1"),
    ("tree_lambda", 1.1, "a number >= 0 and <= 1"),
    ("replay_share", -0.1, "a number >= 0 and <= 1"),
    ("recent_fraction", 1.5, "a number >= 0 and <= 1"),
    ("recent_size", 0, "an integer >= 1"),
    ("actor_data", "old", "one of 'recent', 'replay'"),
    ("actor_gradient", "exact", "one of 'expected', 'sampled'"),
    ("actor_update_period", 0, "an integer >= 1"),
    ("critic_lr", 0.0, "null or a number > 0"),
    ("mixing_embed_dim", 10**9, "an integer >= 1 and <= 16384"),
]
FOP_RANGES = [
    *ACTOR_CRITIC_RANGES,
    ("alpha_init", 0.01, "a number >= 0.05"),
    ("alpha_min", 0.0, "a number > 0"),
    ("alpha_anneal_frames", 0, "an integer >= 1"),
    ("entropy_target", "hard", "one of 'soft', 'reference'"),
    ("n_heads", 0, "an integer >= 1"),
    ("mixing_embed_dim", 0, "an integer >= 1"),
]
COMA_RANGES = [*ACTOR_CRITIC_RANGES, ("entropy_coef", float("nan"), "a number >= 0")]
MADDPG_RANGES = [
    *ACTOR_CRITIC_RANGES,
    ("temperature", 0.0, "a number > 0"),
    ("others", "all", "one of 'policy', 'replay'"),
    ("logit_coef", -0.1, "a number >= 0"),
]
RANGES = {
    "remix": REMIX_RANGES,
    "owqmix": WQMIX_RANGES,
    "cwqmix": WQMIX_RANGES,
    "tunedqmix": [*MONOTONIC_RANGES, *TD_RANGES],
    "qplex": QPLEX_RANGES,
    "qatten": QATTEN_RANGES,
    "qtran": QTRAN_RANGES,
    "vdac": [*VDAC_RANGES, *MONOTONIC_RANGES],
    "vdacsum": VDAC_RANGES,
    "dop": DOP_RANGES,
    "fop": FOP_RANGES,
    "coma": COMA_RANGES,
    "discretemaddpg": MADDPG_RANGES,
}
OUT_OF_RANGE = [
    (config, *case)
    for config in ALGORITHM_CONFIGS
    for case in [*SHARED_RANGES, *RANGES[config.associated_class().__name__.lower()]]
]
# Composing a config takes time and the check is the one of Python: each field once, the
# shared ones of one algorithm each.
ON_THE_COMMAND_LINE = list({case[1]: case for case in OUT_OF_RANGE}.values())
# Field, value, and what the messages of Hydra and ours say.
NUMBER, INTEGER = ("Float", "a number"), ("Integer", "an integer")
FLAG, CHOICE = ("bool", "true or false"), ("not Optional", "one of")
WRONG_TYPES = [
    (RemixConfig, "w_min", "abc", *NUMBER),
    (RemixConfig, "w_max", True, *NUMBER),
    (RemixConfig, "recent_fraction", None, "not Optional", "a number"),
    (RemixConfig, "exponent_clip", [1], *NUMBER),
    (RemixConfig, "mixing_embed_dim", 1.5, *INTEGER),
    (RemixConfig, "unrestricted_embed_dim", "many", *INTEGER),
    (RemixConfig, "recent_size", 1e3, *INTEGER),
    (RemixConfig, "warm_up_frames", 1.5, *INTEGER),
    (RemixConfig, "mean_multiple", "twice", *NUMBER),
    (RemixConfig, "double_q", "maybe", *FLAG),
    (RemixConfig, "delay_value", None, "not Optional", "true or false"),
    (RemixConfig, "td_lambda", "most", *NUMBER),
    (RemixConfig, "absolute_metric_factor", 1.5, *INTEGER),
    (RemixConfig, "absolute_metric_factor", True, *INTEGER),
    (RemixConfig, "absolute_metric_factor", "x", *INTEGER),
    (TunedQmixConfig, "td_lambda", True, *NUMBER),
    (TunedQmixConfig, "mixing_embed_dim", 1.5, *INTEGER),
    (TunedQmixConfig, "hypernet_layers", None, *CHOICE),
    (QplexConfig, "n_heads", 1.5, *INTEGER),
    (QplexConfig, "importance_layers", None, *CHOICE),
    (QplexConfig, "hypernet_dim", "many", *INTEGER),
    *((QattenConfig, size, 1.5, *INTEGER) for size in QATTEN_SIZES),
    (QattenConfig, "weighted_heads", "maybe", *FLAG),
    (QattenConfig, "attend_reg_coef", "abc", *NUMBER),
    (QtranConfig, "burn_in", None, *CHOICE),
    (QtranConfig, "arch", None, *CHOICE),
    (QtranConfig, "embed_dim", 1.5, *INTEGER),
    (QtranConfig, "feature_dim", True, *INTEGER),
    (QtranConfig, "lambda_opt", "abc", *NUMBER),
    (QtranConfig, "lambda_nopt", None, "not Optional", "a number"),
    (VdacConfig, "share_param_critic", "maybe", *FLAG),
    (VdacConfig, "entropy_coef", "high", *NUMBER),
    (DopConfig, "n_steps", 1.5, *INTEGER),
    (DopConfig, "critic_lr", "fast", *NUMBER),
    (DopConfig, "normalize_k", "maybe", *FLAG),
    (DopConfig, "use_bias", "maybe", *FLAG),
    (FopConfig, "alpha_anneal_frames", 1.5, *INTEGER),
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


@pytest.mark.parametrize(
    ("config", "field", "value", "allowed"), ON_THE_COMMAND_LINE, ids=_id
)
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


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS, ids=_id)
def test_every_option_has_been_tried(config: type[AlgorithmConfig]) -> None:
    tried = {case[1] for case in OUT_OF_RANGE if case[0] is config}
    tried |= {case[1] for case in WRONG_TYPES if case[0] is config}
    flags = {"double_q", "delay_value", "share_param_critic"}
    assert tried | flags | {"terms"} >= set(vars(config.get_from_yaml()))


@pytest.mark.parametrize(
    ("config", "field", "value", "hydra_says", "allowed"), WRONG_TYPES, ids=_id
)
def test_option_of_the_wrong_type_is_refused(
    config: type[AlgorithmConfig],
    field: str,
    value: Any,
    hydra_says: str,
    allowed: str,
    experiment_from_hydra: FromHydra,
    save_folder: Path,
    tmp_path: Path,
) -> None:
    options = _options(config, **{field: value})
    # A choice is of a few values, of whatever type.
    error = ValueError if allowed == "one of" else TypeError
    with pytest.raises(error, match=_refused(field, value, allowed)):
        config(**options)
    path = write_yaml(tmp_path / "bad.yaml", options)
    with pytest.raises(error, match=_refused(field, value, allowed)):
        config.get_from_yaml(path)

    override = f"algorithm.{field}={_literal(value)}"
    with pytest.raises(
        ConfigCompositionException, match=re.escape(override)
    ) as refusal:
        experiment_from_hydra(
            f"algorithm={_name(config)}", "task=predator_prey/punish_2", override
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
    assert getattr(experiment.algorithm.weighting, field) == 1
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
    del options["burn_in"]
    with pytest.raises(TypeError, match="burn_in"):
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
