"""Ranges of BenchMARL's experiment options, which BenchMARL hardly checks itself."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from benchmarl.experiment import ExperimentConfig

from remix_plugin.experiment.loggers import check_logger_packages, check_loggers
from remix_plugin.validation import check_flag, check_number

FLAGS = (
    *("share_policy_params", "prefer_continuous_actions", "collect_with_grad"),
    *("parallel_collection", "clip_grad_norm", "soft_target_update"),
    *("off_policy_use_prioritized_replay_buffer", "evaluation", "render"),
    *("evaluation_deterministic_actions", "evaluation_static", "create_json"),
    *("checkpoint_at_end", "exclude_buffer_from_checkpoint"),
)
# Each environment has a state of its own, and TorchRL steps all of them at once.
MOST_ENVIRONMENTS = 100_000
Bounds = dict[str, Any]
COUNT: Bounds = {"low": 1, "integer": True}
ENVIRONMENTS: Bounds = {**COUNT, "high": MOST_ENVIRONMENTS}
SHARE: Bounds = {"low": 0, "high": 1}
POSITIVE: Bounds = {"above": 0}
NOT_NEGATIVE: Bounds = {"low": 0}
COMMON: dict[str, Bounds] = {
    "gamma": SHARE,
    "lr": POSITIVE,
    "adam_eps": NOT_NEGATIVE,
    "polyak_tau": {"above": 0, "high": 1},
    "hard_target_update_frequency": COUNT,
    "exploration_eps_init": SHARE,
    "exploration_eps_end": SHARE,
    "evaluation_interval": COUNT,
    "evaluation_episodes": ENVIRONMENTS,
    "checkpoint_interval": {"low": 0, "integer": True},
}
# Null is no limit, or derived from the length of the run.
NULLABLE: dict[str, Bounds] = {
    "clip_grad_val": POSITIVE,
    "exploration_anneal_frames": COUNT,
    "max_n_iters": COUNT,
    "max_n_frames": COUNT,
    "keep_checkpoints_num": COUNT,
}
ON_POLICY: dict[str, Bounds] = {
    "on_policy_collected_frames_per_batch": COUNT,
    "on_policy_n_envs_per_worker": ENVIRONMENTS,
    "on_policy_n_minibatch_iters": COUNT,
    "on_policy_minibatch_size": COUNT,
}
OFF_POLICY: dict[str, Bounds] = {
    "off_policy_collected_frames_per_batch": COUNT,
    "off_policy_n_envs_per_worker": ENVIRONMENTS,
    "off_policy_n_optimizer_steps": COUNT,
    "off_policy_train_batch_size": COUNT,
    "off_policy_memory_size": COUNT,
    "off_policy_init_random_frames": {"low": 0, "integer": True},
    "off_policy_prb_alpha": NOT_NEGATIVE,
    "off_policy_prb_beta": NOT_NEGATIVE,
}


def check_experiment(
    config: ExperimentConfig, on_policy: bool, *, here: bool = True
) -> None:
    """Check all options that an algorithm of a kind reads, before anything is built.

    Those of the other kind are left alone: BenchMARL's YAML gives both.

    Args:
        config (ExperimentConfig): the options.
        on_policy (bool): the algorithm's kind.

    Keyword Args:
        here (bool): whether it is to run on this machine, with its devices, packages
            and folders.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range, or values do not go together.
        ModuleNotFoundError: if a logger's package is not installed.
    """
    _check_names(config)
    for field in FLAGS:
        check_flag(f"experiment.{field}", getattr(config, field))
    for field, bounds in {**COMMON, **(ON_POLICY if on_policy else OFF_POLICY)}.items():
        check_number(f"experiment.{field}", getattr(config, field), **bounds)
    for field, bounds in NULLABLE.items():
        check_number(
            f"experiment.{field}", getattr(config, field), nullable=True, **bounds
        )
    if config.max_n_frames is None and config.max_n_iters is None:
        raise ValueError(
            "experiment.max_n_frames=None and experiment.max_n_iters=None are not "
            "allowed: one of them must be an integer >= 1."
        )
    if not on_policy:
        _check_exploration(config)
        _check_memory(config)
    _check_optimizer(config)
    check_loggers(config.loggers)
    _check_project(config)
    if here:
        check_logger_packages(config.loggers)
        _check_devices(config)
        _check_folder(config.save_folder)


def _check_names(config: ExperimentConfig) -> None:
    """Refuse options that a script, or ``+experiment.option`` in Hydra, has added."""
    known = [field.name for field in fields(config)]
    unknown = sorted(set(vars(config)) - set(known))
    if unknown:
        raise TypeError(
            f"experiment.{unknown[0]} is not an option of BenchMARL's: it must be one "
            f"of {', '.join(known)}."
        )


def _check_exploration(config: ExperimentConfig) -> None:
    if config.exploration_eps_end > config.exploration_eps_init:
        raise ValueError(
            f"experiment.exploration_eps_end={config.exploration_eps_end!r} is not "
            "allowed: it must be <= experiment.exploration_eps_init="
            f"{config.exploration_eps_init!r}."
        )
    # TorchRL divides by it: two equal epsilons become NaN, which never explores.
    if config.get_exploration_anneal_frames(on_policy=False) < 1:
        raise ValueError(
            "experiment.exploration_anneal_frames=None, a third of the run, is not "
            f"allowed with a run of {config.get_max_n_frames(on_policy=False)} frames: "
            "it must be an integer >= 1."
        )


def _check_memory(config: ExperimentConfig) -> None:
    for field in ("collected_frames_per_batch", "train_batch_size"):
        batch = getattr(config, f"off_policy_{field}")
        if config.off_policy_memory_size < batch:
            raise ValueError(
                f"experiment.off_policy_memory_size={config.off_policy_memory_size} is "
                f"not allowed: it must be >= experiment.off_policy_{field}={batch}."
            )
    # Memory maps are the CPU's, and BenchMARL makes them on the training device.
    device = str(config.train_device)
    if config.buffer_device == "disk" and device.partition(":")[0] != "cpu":
        raise ValueError(
            f"experiment.buffer_device='disk' with experiment.train_device={device!r} "
            "is not allowed: it must be cpu or the training device, or the training "
            "device must be cpu."
        )


def _check_devices(config: ExperimentConfig) -> None:
    for field in ("sampling_device", "train_device", "buffer_device"):
        value = getattr(config, field)
        if field == "buffer_device" and value == "disk":
            continue
        _check_device(f"experiment.{field}", value)


def _check_device(field: str, value: Any) -> None:
    """Refuse what PyTorch does not know, and a GPU that this machine does not have."""
    kinds = {"cuda": torch.cuda, "mps": torch.mps}
    name = str(value)
    kind, _, index = name.partition(":")
    if not isinstance(value, (str, torch.device)) or (index and not index.isdigit()):
        raise TypeError(
            f"{field}={value!r} is not allowed: it must be a device's name, such as "
            "cpu, cuda or cuda:1."
        )
    if kind in kinds and int(index or 0) >= kinds[kind].device_count():
        raise ValueError(
            f"{field}={name!r} is not allowed: it must be a device that PyTorch "
            f"{torch.__version__} sees on this machine, where it sees "
            f"{kinds[kind].device_count()} of this kind."
        )
    if kind not in kinds and kind != "cpu":
        _check_backend(field, name)


def _check_backend(field: str, name: str) -> None:
    """Refuse a name that stands for no device of PyTorch's."""
    try:
        torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f"{field}={name!r} is not allowed: it must be a device of PyTorch's, such "
            "as cpu or cuda."
        ) from error


def _check_optimizer(config: ExperimentConfig) -> None:
    """Make Adam once, of nothing, as BenchMARL makes it in the middle of a set-up."""
    try:
        torch.optim.Adam(
            [torch.zeros(1)],
            lr=config.lr,
            eps=config.adam_eps,
            **config.adam_extra_kwargs,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"experiment.adam_extra_kwargs={config.adam_extra_kwargs!r} is not "
            f"allowed: it must hold keyword arguments of torch.optim.Adam ({error})."
        ) from error


def _check_project(config: ExperimentConfig) -> None:
    if not isinstance(config.wandb_extra_kwargs, dict):
        raise TypeError(
            f"experiment.wandb_extra_kwargs={config.wandb_extra_kwargs!r} is not "
            "allowed: it must map names to values."
        )
    project = config.wandb_extra_kwargs.get("project", config.project_name)
    if config.loggers and project != config.project_name:
        raise ValueError(
            f"experiment.wandb_extra_kwargs.project={project!r} is not allowed: it "
            f"must be experiment.project_name={config.project_name!r}."
        )


def _check_folder(save_folder: Any) -> None:
    if save_folder is not None and not Path(save_folder).is_dir():
        raise ValueError(
            f"experiment.save_folder={str(save_folder)!r} is not allowed: it must be "
            "null, or a folder that is there."
        )
