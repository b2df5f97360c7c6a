"""Runs with options out of range are refused by whichever way they come, traceless."""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarl.algorithms import algorithm_config_registry
from benchmarl.experiment import Callback, Experiment, ExperimentConfig
from benchmarl.hydra_config import reload_experiment_from_file
from benchmarl.models import MlpConfig, SequenceModelConfig
from config_files import read
from omegaconf import DictConfig, OmegaConf
from refusals import FromHydra, is_empty, write_yaml
from small_tasks import SmallTask
from tiny_experiments import tiny_fused_gru
from torchrl.envs import EnvBase

import remix_plugin
from remix_plugin.algorithms.remix import Remix, RemixConfig
from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.checkpoints import collection
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.experiment.config import CheckedExperimentConfig
from remix_plugin.registration import ALGORITHM_CONFIGS

pytestmark = pytest.mark.slow

Compose = Callable[..., DictConfig]
NAMES = [config.associated_class().__name__.lower() for config in ALGORITHM_CONFIGS]
TASK = "task=predator_prey/punish_2"
PARTS = ["experiment", "algorithm", "task", "model", "critic_model", "seed"]
# Of each way in which a value is wrong, by a field that BenchMARL would take
OVERRIDES = {
    "gamma": "1.5",
    "lr": "inf",
    "clip_grad_val": "nan",
    "hard_target_update_frequency": "0",
    "exploration_anneal_frames": "-5",
    "off_policy_n_optimizer_steps": "0",
    "off_policy_memory_size": "15",
    "evaluation_episodes": "1_000_000_000",
    "loggers": "[cvs]",
}


WORDS = (TASK, "experiment=predator_prey", "experiment.gamma=0.5")


@pytest.fixture(scope="module")
def theirs(compose_benchmarl: Compose) -> DictConfig:
    """What BenchMARL makes of the same words with an algorithm of its own."""
    return compose_benchmarl("algorithm=qmix", *WORDS)


@pytest.mark.parametrize("name", [*NAMES, "paper/remix"])
def test_command_line_has_checked_options_of_the_same_values(
    name: str, theirs: DictConfig, compose_benchmarl: Compose
) -> None:
    ours = compose_benchmarl(f"algorithm={name}", *WORDS)
    assert type(OmegaConf.to_object(ours.experiment)) is CheckedExperimentConfig
    assert type(OmegaConf.to_object(theirs.experiment)) is ExperimentConfig
    assert OmegaConf.to_yaml(ours.experiment) == OmegaConf.to_yaml(theirs.experiment)
    assert set(ours) == set(theirs)
    choices = ours.hydra.runtime.choices
    assert {**choices, "algorithm": "qmix"} == theirs.hydra.runtime.choices


def test_algorithm_of_the_users_own_has_checked_options(
    compose_benchmarl: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mine(Remix):
        """A user's algorithm."""

    @dataclasses.dataclass
    class MineConfig(RemixConfig):
        """Its options."""

        @staticmethod
        def associated_class() -> type[Any]:
            return Mine

    monkeypatch.setitem(algorithm_config_registry, "mine", MineConfig)
    remix_plugin.register_algorithm(MineConfig)
    options = {"defaults": ["mine_config", "_self_"], **read("algorithm", "remix")}
    (tmp_path / "algorithm").mkdir()
    write_yaml(tmp_path / "algorithm" / "mine.yaml", options)
    ours = compose_benchmarl(
        "algorithm=mine", TASK, f"hydra.searchpath=[file://{tmp_path}]"
    )
    assert type(OmegaConf.to_object(ours.algorithm)) is MineConfig
    assert type(OmegaConf.to_object(ours.experiment)) is CheckedExperimentConfig


@pytest.mark.parametrize("field", OVERRIDES)
def test_override_out_of_range_is_refused_before_anything_is_made(
    field: str,
    experiment_from_hydra: FromHydra,
    save_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What BenchMARL does first once the options are valid
    monkeypatch.setattr(Experiment, "_perform_checks", lambda self: pytest.fail("late"))
    override = f"experiment.{field}={OVERRIDES[field]}"
    with pytest.raises(ValueError, match=rf"experiment\.{field}=.*it must be "):
        experiment_from_hydra("algorithm=remix", TASK, override)
    assert is_empty(save_folder)


class Script:
    """A script's experiment, with BenchMARL's own class of options."""

    def __init__(self, config: ExperimentConfig, model: MlpConfig) -> None:
        self.settings: dict[str, Any] = {
            "task": SmallTask(),
            "algorithm_config": TunedQmixConfig.get_from_yaml(),
            "model_config": model,
            "seed": 0,
            "config": config,
        }

    def build(self, **settings: Any) -> Experiment:
        return Experiment(**{**self.settings, **settings})


@pytest.fixture
def script(tiny_experiment: ExperimentConfig, tiny_model: MlpConfig) -> Script:
    """Its options are in range."""
    return Script(tiny_experiment, tiny_model)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gamma", 1.5),
        ("lr", float("nan")),
        ("off_policy_n_optimizer_steps", 0),
        ("off_policy_memory_size", 10**15),
        ("off_policy_n_envs_per_worker", 10**9),
        ("off_policy_train_batch_size", 0),
        ("hard_target_update_frequency", 2.5),
        ("adam_extra_kwargs", {"beta": 1}),
        ("exploration_eps_init", float("nan")),
        ("soft_target_update", 1),
        ("gama", 0.9),
    ],
)
def test_option_of_a_script_out_of_range_leaves_no_folder(
    field: str, value: Any, script: Script, save_folder: Path
) -> None:
    setattr(script.settings["config"], field, value)
    with pytest.raises((TypeError, ValueError), match=rf"experiment\.{field}"):
        script.build()
    assert is_empty(save_folder)


@pytest.mark.parametrize("logger", ["wandb", "tensorboard", "mlflow"])
def test_logger_without_its_package_is_named(
    logger: str, script: Script, save_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, logger, None)
    script.settings["config"].loggers = ["csv", logger]
    message = rf"pip install {logger} \(or do without .*: experiment.loggers=\[csv\]\)"
    with pytest.raises(ModuleNotFoundError, match=message):
        script.build()
    assert is_empty(save_folder)


@pytest.mark.parametrize("units", [10**9, 0])
def test_size_of_a_model_is_refused(
    units: int, script: Script, save_folder: Path, tiny_model: MlpConfig
) -> None:
    tiny_model.num_cells = [units]
    message = rf"model\.num_cells\[0\]={units} is not .* >= 1 and <= 16384"
    with pytest.raises(ValueError, match="^" + message):
        script.build()
    sequence = SequenceModelConfig([tiny_fused_gru(), tiny_model], [8])
    with pytest.raises(ValueError, match=r"^model\.layers\.l2\.num_cells\[0\]="):
        script.build(model_config=sequence)
    assert is_empty(save_folder)


def test_replay_that_fits_is_accepted_and_one_frame_more_is_not(
    script: Script, save_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = 4_000
    monkeypatch.setattr(
        "remix_plugin.algorithms.sizes.machine_memory", lambda: float(memory)
    )
    config = script.settings["config"]
    config.off_policy_memory_size = config.max_n_frames = 48
    with pytest.raises(ValueError, match=r"memory_size=48 .* and <= ") as refused:
        script.build()
    # Before and after a step: 2 agents' 5 floats, done and terminated; once: 2 actions
    # of 8 bytes, and a float of reward. In all 2 x 42 + 20 = 104 bytes.
    most = memory // 104
    assert str(refused.value).endswith(f"<= {most}.")
    config.off_policy_memory_size = most + 1
    with pytest.raises(ValueError, match=f"memory_size={most + 1} is not allowed"):
        script.build()
    assert is_empty(save_folder)
    config.off_policy_memory_size = most
    experiment = script.build()
    experiment.run()
    # BenchMARL adds 24 bytes of its own: returns, the index and the trajectory.
    assert _bytes_of_replay(experiment) == most * (104 + 24)


def _bytes_of_replay(experiment: Experiment) -> int:
    """Bytes that the whole replay of the one group takes."""
    stored = experiment.replay_buffers["agents"].storage._storage
    return sum(leaf.numel() * leaf.element_size() for leaf in stored.values(True, True))


def test_memory_that_a_run_does_not_fill_may_be_larger(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with BenchMARL's million in a run of minutes: no system takes it all at once.
    monkeypatch.setattr("remix_plugin.algorithms.sizes.machine_memory", lambda: 4_000.0)
    script.settings["config"].off_policy_memory_size = 60
    script.build().close()


class Broken(Callback):
    """Refuses as the last of all."""

    def on_setup(self) -> None:
        raise RuntimeError("a callback of the user's own")


class BrokenEnvTask(SmallTask):
    """Of which a test environment can be made, and no other."""

    def get_env_fun(self, num_envs: int, *args: Any, **kwargs: Any) -> Any:
        if num_envs == 2:
            return super().get_env_fun(num_envs, *args, **kwargs)

        def fail() -> EnvBase:
            raise RuntimeError("no game is installed")

        return fail


def test_environment_that_fails_leaves_no_folder(
    script: Script, save_folder: Path
) -> None:
    with pytest.raises(RuntimeError, match="no game is installed"):
        script.build(task=BrokenEnvTask())
    assert is_empty(save_folder)


def test_loss_that_fails_leaves_no_folder(
    script: Script, save_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("no loss")

    monkeypatch.setattr(Remix, "get_loss", fail)
    with pytest.raises(RuntimeError, match="no loss"):
        script.build(algorithm_config=RemixConfig.get_from_yaml())
    assert is_empty(save_folder)


def test_what_fails_last_leaves_no_folder_once_it_is_forgotten(
    script: Script, save_folder: Path
) -> None:
    script.settings["config"].loggers = ["csv"]
    script.settings["config"].create_json = True
    with pytest.raises(RuntimeError, match="user's own"):
        script.build(callbacks=[Broken()])
    gc.collect()
    assert is_empty(save_folder)


def test_callback_of_ours_that_refuses_leaves_no_folder(
    script: Script, save_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "torchrl_version", "0.12.0")
    with pytest.raises(RuntimeError, match=r"torchrl==0\.12\.0 is not allowed"):
        script.build()
    gc.collect()
    assert is_empty(save_folder)


def test_folder_of_a_run_that_is_ready_stays(script: Script, save_folder: Path) -> None:
    experiment = script.build()
    folder = experiment.folder_name
    experiment.close()
    del experiment
    gc.collect()
    assert (folder / "config.pkl").is_file()


def test_folder_of_a_run_that_is_continued_stays(script: Script) -> None:
    config = script.settings["config"]
    config.checkpoint_at_end = True
    experiment = script.build()
    experiment.run()
    (checkpoint,) = experiment.folder_name.glob("checkpoints/*.pt")
    config.restore_file, config.gamma = str(checkpoint), 1.5
    with pytest.raises(ValueError, match=r"experiment\.gamma"):
        script.build()
    del experiment
    gc.collect()
    assert checkpoint.is_file()


def test_continued_run_of_the_command_line_is_checked(
    experiment_from_hydra: FromHydra, compose_benchmarl: Compose, save_folder: Path
) -> None:
    words = ["algorithm=remix", TASK, "experiment.checkpoint_at_end=True", "seed=3"]
    experiment = experiment_from_hydra(*words)
    experiment.run()
    (checkpoint,) = save_folder.rglob("checkpoint_48.pt")
    # What Hydra writes, of which BenchMARL makes the run anew
    config = OmegaConf.masked_copy(compose_benchmarl(*words), PARTS)
    config.experiment = {**vars(experiment.config), "gamma": 0.5}
    config.model.num_cells = [16]
    folder = save_folder / ".hydra"
    folder.mkdir()
    OmegaConf.save(config, folder / "config.yaml")
    OmegaConf.save(OmegaConf.create(words), folder / "overrides.yaml")

    continued = reload_experiment_from_file(str(checkpoint))
    assert type(continued.config) is CheckedExperimentConfig
    assert (continued.config.gamma, continued.seed) == (0.5, 3)
    assert continued.total_frames == 48
    continued.close()
    config.experiment.gamma = 1.5
    OmegaConf.save(config, folder / "config.yaml")
    with pytest.raises(ValueError, match=r"experiment\.gamma=1\.5"):
        reload_experiment_from_file(str(checkpoint))
    assert checkpoint.is_file()


def test_episodes_that_no_memory_holds_are_named(script: Script) -> None:
    script.settings["config"].evaluation_episodes = 10**9
    task = PredatorPreyTask.PUNISH_2.get_from_yaml()
    with pytest.raises(ValueError, match=r"num_envs=1000000000 .*evaluation_episodes"):
        script.build(task=task)


def test_device_that_is_not_there_is_named(script: Script, save_folder: Path) -> None:
    device = f"cuda:{torch.cuda.device_count()}"
    script.settings["config"].train_device = device
    with pytest.raises(ValueError, match=f"train_device='{device}' is not allowed"):
        script.build()
    assert is_empty(save_folder)
