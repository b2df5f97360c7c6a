"""What all tests share: one thread, small experiments, configs composed by Hydra."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.hydra_config import load_experiment_from_hydra
from benchmarl.models import GruConfig, MlpConfig
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

import remix_plugin  # noqa: F401  registers algorithms and tasks
from remix_plugin.commands.main import main

# Most of the time of SMAX's tests is JAX's compiler's: let it optimize little, as in
# JAX's own tests, and keep its results for other processes and later runs. JAX reads
# this when it is imported, in subprocesses too.
JAX_OPTIONS = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_COMPILATION_CACHE_DIR": str(
        Path(__file__).parents[1] / ".pytest_cache" / "jax_compilations"
    ),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
}
for _option, _value in JAX_OPTIONS.items():
    os.environ.setdefault(_option, _value)

ROOT = Path(__file__).parents[1]
TINY = {
    "max_n_frames": 48,
    "off_policy_collected_frames_per_batch": 16,
    "off_policy_n_envs_per_worker": 4,
    "off_policy_n_optimizer_steps": 2,
    "off_policy_train_batch_size": 16,
    "off_policy_memory_size": 64,
    "on_policy_collected_frames_per_batch": 16,
    "on_policy_n_envs_per_worker": 4,
    "on_policy_n_minibatch_iters": 1,
    "on_policy_minibatch_size": 16,
    "exploration_eps_init": 1.0,
    "exploration_eps_end": 0.05,
    "exploration_anneal_frames": 32,
    "lr": 0.001,
    "evaluation": False,
    "evaluation_interval": 16,
    "evaluation_episodes": 2,
    "render": False,
    "loggers": [],
    "create_json": False,
}


@pytest.fixture(scope="session", autouse=True)
def one_thread_in_all() -> Iterator[None]:
    """Run torch on one thread: the tensors are small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run_remix(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a subcommand of ``remix`` in this process, which has imported all.

    What it prints; SystemExit if it ends with another code than 0.
    """

    def run(*arguments: object) -> str:
        code = main([str(argument) for argument in arguments])
        if code:
            raise SystemExit(code)
        return capsys.readouterr().out

    return run


@pytest.fixture
def run_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a script of the repository in this process: what it prints."""

    def run(name: str, *arguments: object) -> str:
        path = ROOT / name
        monkeypatch.syspath_prepend(str(path.parent))
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture
def save_folder(tmp_path: Path) -> Path:
    """Where experiments of the test write; empty at first."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def tiny_experiment(save_folder: Path) -> ExperimentConfig:
    """Three iterations of 4 steps in 4 environments and 2 updates of 16 frames.

    On policy it is one update.
    """
    config = ExperimentConfig.get_from_yaml()
    for field, value in TINY.items():
        setattr(config, field, value)
    config.save_folder = str(save_folder)
    return config


@pytest.fixture
def tiny_model() -> MlpConfig:
    """One hidden layer of 16."""
    return MlpConfig(
        num_cells=[16],
        layer_class=torch.nn.Linear,
        activation_class=torch.nn.ReLU,
    )


@pytest.fixture
def tiny_gru() -> GruConfig:
    """A GRU of 8 units and a hidden layer of 8."""
    return GruConfig(
        hidden_size=8,
        n_layers=1,
        bias=True,
        dropout=0,
        compile=False,
        mlp_num_cells=[8],
        mlp_layer_class=torch.nn.Linear,
        mlp_activation_class=torch.nn.ReLU,
    )


@pytest.fixture(scope="session")
def compose_benchmarl() -> Callable[..., DictConfig]:
    """Compose BenchMARL's config from overrides, as its ``run.py`` does."""

    def compose_overrides(*overrides: str) -> DictConfig:
        with initialize_config_module("benchmarl.conf", version_base=None):
            return compose("config", list(overrides), return_hydra_config=True)

    return compose_overrides


@pytest.fixture
def experiment_from_hydra(
    compose_benchmarl: Callable[..., DictConfig], save_folder: Path
) -> Callable[..., Experiment]:
    """Build a tiny experiment from overrides, as BenchMARL's ``run.py`` does."""
    tiny = [f"experiment.{field}={value}" for field, value in TINY.items()]
    tiny += [f"experiment.save_folder={save_folder}", "model.num_cells=[16]"]

    def build(*overrides: str) -> Experiment:
        cfg = compose_benchmarl(*tiny, *overrides)
        task = cfg.hydra.runtime.choices.task
        return load_experiment_from_hydra(cfg, task_name=task)

    return build
