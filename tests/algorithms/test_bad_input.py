"""Whatever is wrong is refused before training, by name, and leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmarl.algorithms import EnsembleAlgorithmConfig
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import TaskClass, VmasTask
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models import GruConfig, MlpConfig
from hydra.errors import ConfigCompositionException
from small_tasks import SmallTask

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import CwqmixConfig, OwqmixConfig
from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.registration import ALGORITHM_CONFIGS

FromHydra = Callable[..., Experiment]
TERMS = "'bellman_error', 'value_underestimation', 'mixer_gradient', 'on_policyness'"

# Field, value, and what the message says besides them.
SHARED_RANGES = [
    ("mixing_embed_dim", 0, "an integer >= 1"),
    ("hypernet_layers", 3, "one of 1, 2"),
    ("unrestricted_embed_dim", -1, "an integer >= 1"),
    ("loss_function", "l3", "one of 'l1', 'l2', 'smooth_l1'"),
]
REMIX_RANGES = [
    ("w_min", 2.0, "a number > 0 and <= 1.0"),
    ("w_min", 0.0, "a number > 0 and <= 1.0"),
    ("w_min", -0.1, "a number > 0 and <= 1.0"),
    ("w_min", float("nan"), "a number > 0 and <= 1.0"),
    ("w_max", 0.0, "a number > 0"),
    ("w_max", float("inf"), "a number > 0"),
    ("recent_fraction", 1.5, "a number >= 0 and <= 1"),
    ("recent_fraction", -0.1, "a number >= 0 and <= 1"),
    ("recent_size", 0, "an integer >= 1"),
    ("normalization", "sum", "one of 'mean', 'mean_positive', 'max'"),
    ("exponent_clip", -1.0, "a number >= 0"),
    ("exponent_clip", 101.0, "a number <= 100"),
    ("gradient_floor", 0.0, "a number > 0"),
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
TASK_RANGES = [
    ("n_prey", 200, "n_predators=8 and n_prey=200 are not allowed.* at most 100"),
    ("n_predators", 0, "n_predators=0 is not allowed.* an integer >= 1"),
    ("capture_size", 9, "capture_size=9 is not allowed.* >= 1 and <= 8"),
    ("punishment", 1.0, r"punishment=1\.0 is not allowed.* <= 0"),
    ("window_size", 4, "window_size=4 is not allowed.* odd"),
    ("prey_rest_probability", 2.0, r"prey_rest_probability=2\.0 .* <= 1"),
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
    text = re.escape(f"{field}={value!r} is not allowed: it must be ")
    return text + ".*" + re.escape(allowed)


def _write(path: Path, content: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump(content))
    return str(path)


def _is_empty(folder: Path) -> bool:
    assert folder.is_dir()
    return not any(folder.iterdir())


def _options(config: type[AlgorithmConfig], **changes: Any) -> dict[str, Any]:
    return {**vars(config.get_from_yaml()), **changes}


@pytest.mark.parametrize(("config", "field", "value", "allowed"), OUT_OF_RANGE, ids=_id)
def test_option_out_of_range_is_refused_in_python_and_yaml(
    config: type[AlgorithmConfig], field: str, value: Any, allowed: str, tmp_path: Path
) -> None:
    options = _options(config, **{field: value})
    with pytest.raises(ValueError, match=_refused(field, value, allowed)):
        config(**options)
    path = _write(tmp_path / "bad.yaml", options)
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
    assert _is_empty(save_folder)


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
    path = _write(tmp_path / "bad.yaml", options)
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
    assert _is_empty(save_folder)


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
        RemixConfig.get_from_yaml(_write(tmp_path / "bad.yaml", options))


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
    assert _is_empty(save_folder)


@pytest.mark.parametrize("terms", [3, None, "bellman_error"])
def test_terms_that_are_no_list_are_refused(terms: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"terms={terms!r}"):
        RemixConfig(**_options(RemixConfig, terms=terms))


@pytest.mark.parametrize("field", ["w_min", "w_max"])
def test_whole_numbers_are_fine_where_a_float_is_expected(
    field: str, experiment_from_hydra: FromHydra, tmp_path: Path
) -> None:
    options = _options(RemixConfig, **{field: 1})
    path = _write(tmp_path / "good.yaml", options)
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
    path = _write(tmp_path / "more.yaml", _options(config, learning_rate=0.1))
    with pytest.raises(TypeError, match="learning_rate"):
        config.get_from_yaml(path)
    options = _options(config)
    del options["double_q"]
    with pytest.raises(TypeError, match="double_q"):
        config.get_from_yaml(_write(tmp_path / "fewer.yaml", options))


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
    assert _is_empty(save_folder)


def test_option_that_is_added_to_a_task_is_refused(
    experiment_from_hydra: FromHydra, save_folder: Path
) -> None:
    with pytest.raises(TypeError, match="n_wolves"):
        experiment_from_hydra(
            "algorithm=remix", "task=predator_prey/punish_2", "+task.n_wolves=3"
        )
    assert _is_empty(save_folder)


def test_option_that_is_added_to_an_algorithm_is_refused(
    experiment_from_hydra: FromHydra, save_folder: Path
) -> None:
    with pytest.raises(TypeError, match="learning_rate"):
        experiment_from_hydra(
            "algorithm=remix",
            "task=predator_prey/punish_2",
            "+algorithm.learning_rate=0.1",
        )
    assert _is_empty(save_folder)


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
    path = _write(tmp_path / "bad.yaml", options)
    with pytest.raises(ValueError, match=message):
        PredatorPreyTask.PUNISH_2.get_from_yaml(path)
    with pytest.raises(ValueError, match=message):
        experiment_from_hydra(
            "algorithm=remix", "task=predator_prey/punish_2", f"task.{field}={value}"
        )
    assert _is_empty(save_folder)


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
    path = _write(tmp_path / "bad.yaml", options)
    with pytest.raises(TypeError, match=f"{field}={value!r} is not allowed"):
        PredatorPreyTask.PUNISH_2.get_from_yaml(path)
    override = f"task.{field}={value}"
    with pytest.raises(ConfigCompositionException, match=re.escape(override)):
        experiment_from_hydra(
            "algorithm=remix", "task=predator_prey/punish_2", override
        )
    assert _is_empty(save_folder)


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
    assert _is_empty(save_folder)


def test_payoff_that_is_no_list_is_refused() -> None:
    with pytest.raises(TypeError, match="payoff='high' is not allowed"):
        MatrixGameTask.CUSTOM.get_task({"payoff": "high"})


Build = Callable[..., Experiment]


@pytest.fixture
def build(tiny_experiment: ExperimentConfig, tiny_model: MlpConfig) -> Build:
    """Make an experiment out of a task, an algorithm and changed settings."""

    def build_experiment(
        task: TaskClass,
        algorithm: AlgorithmConfig,
        critic: Any = None,
        **settings: Any,
    ) -> Experiment:
        for field, value in settings.items():
            setattr(tiny_experiment, field, value)
        return Experiment(
            task=task,
            algorithm_config=algorithm,
            model_config=tiny_model,
            critic_model_config=critic,
            seed=0,
            config=tiny_experiment,
        )

    return build_experiment


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_recurrent_critic_without_recurrent_model_is_refused(
    config: type[AlgorithmConfig],
    build: Build,
    tiny_gru: GruConfig,
    save_folder: Path,
) -> None:
    message = r"critic_model=Gru with model=Mlp is not allowed.* recurrent model"
    with pytest.raises(ValueError, match=message):
        build(SmallTask(), config.get_from_yaml(), tiny_gru)
    assert _is_empty(save_folder)


def test_recurrent_critic_is_refused_on_the_command_line(
    experiment_from_hydra: FromHydra, save_folder: Path
) -> None:
    with pytest.raises(ValueError, match="critic_model=Gru with model=Mlp"):
        experiment_from_hydra(
            "algorithm=remix",
            "task=predator_prey/punish_2",
            "model@critic_model=layers/gru",
        )
    assert _is_empty(save_folder)


def test_recent_data_with_prioritised_replay_is_refused(
    build: Build, save_folder: Path
) -> None:
    message = r"recent_fraction=0.25 with .*prioritized.*=True is not allowed.*=0"
    with pytest.raises(ValueError, match=message):
        build(
            SmallTask(),
            RemixConfig.get_from_yaml(),
            off_policy_use_prioritized_replay_buffer=True,
        )
    assert _is_empty(save_folder)


def test_recent_data_inside_an_ensemble_is_refused(
    build: Build, save_folder: Path
) -> None:
    ensemble = EnsembleAlgorithmConfig(
        {
            "adversary": OwqmixConfig.get_from_yaml(),
            "agent": RemixConfig.get_from_yaml(),
        }
    )
    message = "recent_fraction=0.25 is not allowed inside an ensemble.* must be 0"
    with pytest.raises(ValueError, match=message):
        build(VmasTask.SIMPLE_TAG.get_from_yaml(), ensemble)
    assert _is_empty(save_folder)


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_collection_with_gradients_is_refused(
    config: type[AlgorithmConfig], build: Build, save_folder: Path
) -> None:
    message = "collect_with_grad=True is not allowed .* must be False"
    with pytest.raises(ValueError, match=message):
        build(SmallTask(), config.get_from_yaml(), collect_with_grad=True)
    assert _is_empty(save_folder)


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_task_with_continuous_actions_alone_is_refused(
    config: type[AlgorithmConfig], build: Build, save_folder: Path
) -> None:
    with pytest.raises(ValueError, match="not compatible with the action space"):
        build(SmallTask(actions="continuous"), config.get_from_yaml())
    assert _is_empty(save_folder)


def test_continuous_actions_that_are_said_to_be_discrete_are_refused(
    build: Build, save_folder: Path
) -> None:
    with pytest.raises(NotImplementedError, match="Remix needs discrete actions"):
        build(SmallTask(actions="disguised"), RemixConfig.get_from_yaml())
    assert _is_empty(save_folder)


@pytest.mark.parametrize("config", ALGORITHM_CONFIGS)
def test_declared_action_mask_that_is_missing_is_refused(
    config: type[AlgorithmConfig], build: Build, save_folder: Path
) -> None:
    message = r"action_mask=\('agents', 'action_mask'\) is missing"
    with pytest.raises(ValueError, match=message):
        build(SmallTask(mask="declared"), config.get_from_yaml())
    assert _is_empty(save_folder)


def test_action_mask_that_is_there_is_accepted(build: Build) -> None:
    experiment = build(SmallTask(mask="real"), RemixConfig.get_from_yaml())
    assert experiment.algorithm.action_mask_key("agents") == ("agents", "action_mask")
    experiment.close()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("w_min", -1.0),
        ("terms", ["regret"]),
        ("recent_fraction", 2.0),
        ("loss_function", "l3"),
        ("hypernet_layers", 3),
        ("mixing_embed_dim", 0),
    ],
)
def test_option_changed_by_a_script_is_refused(
    field: str, value: Any, build: Build, save_folder: Path
) -> None:
    config = RemixConfig.get_from_yaml()
    setattr(config, field, value)
    with pytest.raises(ValueError, match=field):
        build(SmallTask(), config)
    assert _is_empty(save_folder)


def test_task_option_changed_by_a_script_is_refused(
    build: Build, save_folder: Path
) -> None:
    task = PredatorPreyTask.PUNISH_2.get_from_yaml()
    task.config["n_prey"] = 200
    with pytest.raises(ValueError, match="n_prey=200"):
        build(task, RemixConfig.get_from_yaml())
    assert _is_empty(save_folder)
