"""Refusals of sizes that no memory holds, in place of an allocator's error."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
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
    """Check that what a run keeps at a time fits into memory.

    That is a collected batch, a batch to learn from, the replay buffer of an off-policy
    run, and, of environments that are stepped together, all steps of an evaluation. Of
    the buffer, each entry must be there whole, and the frames that the run fills it
    with, together.

    Args:
        experiment (Experiment): so far that it has its task.

    Raises:
        ValueError: if one of them is too large; the message says how large it may be.
    """
    config, env = experiment.config, experiment.test_env
    entries = _entry_sizes(_frame(env))
    frame = sum(entries.values())
    sampling, train = config.sampling_device, config.train_device
    kind, learnt = "off_policy", "off_policy_train_batch_size"
    if experiment.on_policy:
        kind, learnt = "on_policy", "on_policy_minibatch_size"
    for field, place in (
        (f"{kind}_n_envs_per_worker", sampling),
        (f"{kind}_collected_frames_per_batch", sampling),
        (learnt, train),
    ):
        _check_fits(field, getattr(config, field), frame, place)
    if config.evaluation and env.batch_size:
        episode = frame * experiment.max_steps
        episodes = config.evaluation_episodes
        _check_fits("evaluation_episodes", episodes, episode, sampling)
    if not experiment.on_policy:
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
    size, place = config.off_policy_memory_size, config.buffer_device
    if place == "disk":
        place = experiment.folder_name
    # A run that does not fill its memory does not take it either: systems give what is
    # asked for as it is written, up to what there is, an entry at a time.
    is_filled = size <= config.get_max_n_frames(on_policy=False)
    taken = sum(entries.values()) if is_filled else max(entries.values())
    if size * taken > _memory(place):
        _refuse_size("off_policy_memory_size", size, sum(entries.values()), place)


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


def _check_fits(option: str, value: int, n_bytes: int, place: str | Path) -> None:
    """Refuse so many times so many bytes, if a device does not have them."""
    if value * n_bytes > _memory(place):
        _refuse_size(option, value, n_bytes, place)


def _refuse_size(option: str, value: int, n_bytes: int, place: str | Path) -> None:
    memory = _memory(place)
    raise ValueError(
        f"experiment.{option}={value} is not allowed: each takes {n_bytes:,} bytes or "
        f"more, and {place} has {memory / 1e9:,.0f} GB. It must be an integer >= 1 and "
        f"<= {int(memory // n_bytes)}."
    )


def _memory(place: str | Path) -> float:
    """Bytes of a device, or free ones of the disk that a folder is on."""
    if isinstance(place, Path):
        return shutil.disk_usage(place).free
    if torch.device(place).type == "cuda":
        return torch.cuda.get_device_properties(place).total_memory
    return machine_memory()
