"""Refusals of sizes that no memory holds, in place of an allocator's error."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from benchmarl.experiment import Experiment
from benchmarl.models import SequenceModelConfig
from benchmarl.models.common import ModelConfig
from tensordict import TensorDict, TensorDictBase
from torchrl.envs import EnvBase, Transform

from remix_plugin.validation import MOST_UNITS, check_number, check_size, machine_memory

# Options of BenchMARL's models that count layers or their units, by their last words
COUNTS = ("num_cells", "hidden_size", "n_layers", "intermediate_sizes")


def check_model_sizes(name: str, config: ModelConfig) -> None:
    """Check all whole numbers among a model's options.

    Args:
        name (str): what the model is chosen by, ``model`` or ``critic_model``.
        config (ModelConfig): BenchMARL's, ours, or another.

    Raises:
        TypeError: if layers or units are not counted in whole numbers.
        ValueError: if they are below 1, or any number is above ``MOST_UNITS``.
    """
    if isinstance(config, SequenceModelConfig):
        for index, layer in enumerate(config.model_configs, start=1):
            check_model_sizes(f"{name}.layers.l{index}", layer)
    for option, value in vars(config).items():
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        for index, number in enumerate(value if is_list else [value]):
            place = f"[{index}]" if is_list else ""
            _check_model_number(f"{name}.{option}{place}", option, number)


def _check_model_number(field: str, option: str, value: Any) -> None:
    if option.endswith(COUNTS):
        check_size(field, value)
    elif isinstance(value, int) and not isinstance(value, bool):
        check_number(field, value, high=MOST_UNITS, integer=True)


def check_frames(experiment: Experiment) -> None:
    """Check that what an off-policy run keeps at a time fits into memory.

    That is a collected batch, a batch to learn from, the replay buffer, and, of
    environments that are stepped together, all steps of an evaluation. Of the buffer,
    each entry must be there whole, and the frames that the run fills it with, together.

    Args:
        experiment (Experiment): so far that it has its task.

    Raises:
        ValueError: if one of them is too large; the message says how large it may be.
    """
    config, env = experiment.config, experiment.test_env
    entries = _entry_sizes(_frame(env))
    frame = sum(entries.values())
    n_envs = config.off_policy_n_envs_per_worker
    collected = config.off_policy_collected_frames_per_batch
    sampling, train = config.sampling_device, config.train_device
    _check_fits("off_policy_n_envs_per_worker", n_envs, frame, sampling)
    _check_fits("off_policy_collected_frames_per_batch", collected, frame, sampling)
    _check_fits(
        "off_policy_train_batch_size", config.off_policy_train_batch_size, frame, train
    )
    if config.evaluation and env.batch_size:
        episode = frame * experiment.max_steps
        episodes = config.evaluation_episodes
        _check_fits("evaluation_episodes", episodes, episode, sampling, "an episode")
    for group in experiment.group_map:
        _check_replay(experiment, group)


def _check_replay(experiment: Experiment, group: str) -> None:
    config = experiment.config
    transforms = experiment.task.get_replay_buffer_transforms(
        experiment.test_env, group
    )
    others = [other for other in experiment.group_map if other != group]
    stored = _frame(experiment.test_env).exclude(
        *("info", ("next", "info"), *others, *(("next", other) for other in others))
    )
    entries = _entry_sizes(_as_stored(stored, transforms))
    size, device = config.off_policy_memory_size, config.buffer_device
    if device == "disk":
        device = str(experiment.folder_name)
    _check_fits("off_policy_memory_size", size, max(entries.values()), device)
    if size <= config.get_max_n_frames(on_policy=False):
        _check_fits("off_policy_memory_size", size, sum(entries.values()), device)


def _frame(env: EnvBase) -> TensorDictBase:
    """A frame of an environment, of zeros, as a collector makes it."""
    before = TensorDict(env.full_observation_spec_unbatched.zero())
    before.update(env.full_done_spec_unbatched.zero())
    after = before.clone().update(env.full_reward_spec_unbatched.zero())
    before.update(env.full_action_spec_unbatched.zero())
    return before.set("next", after)


def _as_stored(
    frame: TensorDictBase, transforms: Iterable[Transform]
) -> TensorDictBase:
    for transform in reversed(list(transforms)):
        frame = transform.inv(frame)
    return frame


def _entry_sizes(frame: TensorDictBase) -> dict[Any, int]:
    """Bytes of each entry."""
    return {
        key: value.numel() * value.element_size()
        for key, value in frame.items(True, True)
    }


def _check_fits(
    option: str, value: int, n_bytes: int, place: str, what: str = "a frame"
) -> None:
    memory = _memory(place)
    if value * n_bytes > memory:
        raise ValueError(
            f"experiment.{option}={value} is not allowed: at {n_bytes:,} bytes {what} "
            f"or more, {place} has room for {int(memory // n_bytes)}, in "
            f"{memory / 1e9:,.0f} GB. It must be an integer >= 1, and less than that."
        )


def _memory(place: str) -> float:
    """Bytes of a device, or free ones of the disk that a folder is on."""
    kind = str(place).partition(":")[0]
    if kind == "cuda":
        return torch.cuda.get_device_properties(place).total_memory
    return machine_memory() if kind in ("cpu", "mps") else shutil.disk_usage(place).free
