"""Refusals of what would fail, or silently do something else, during training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.common import ModelConfig
from tensordict import NestedKey
from torchrl.data import Categorical, Composite, OneHot
from torchrl.envs import EnvBase

from remix_plugin.algorithms.sizes import check_frames, check_model_sizes
from remix_plugin.callbacks.videos import check_can_write_videos
from remix_plugin.experiment.ranges import check_experiment
from remix_plugin.models.fused_gru import FusedGruConfig

# What options of targets over several steps must be where there are single ones
ONE_STEP = {"td_lambda": 0, "n_steps": 1}


def check_setup(experiment: Experiment) -> None:
    """Refuse options that no algorithm of ours can run with, or this machine cannot.

    Args:
        experiment (Experiment): so far that it has its task.

    Raises:
        TypeError: if an option of the experiment or a model has the wrong type.
        ValueError: if one is out of range, or takes more memory than there is.
        ModuleNotFoundError: if a logger's package is not installed.
    """
    # A script's own ExperimentConfig has not been checked yet.
    check_experiment(experiment.config, experiment.on_policy)
    check_model_sizes("model", experiment.model_config)
    check_model_sizes("critic_model", experiment.critic_model_config)
    check_frames(experiment)
    check_can_write_videos(experiment)


def check_collection(name: str, config: ExperimentConfig) -> None:
    """Refuse collection with gradients.

    Raises:
        ValueError: if the experiment asks for it.
    """
    if config.collect_with_grad:
        raise ValueError(
            f"experiment.collect_with_grad=True is not allowed with {name}: it "
            "must be False, as its losses run the networks themselves."
        )


def check_models(
    policy: ModelConfig,
    networks: Sequence[ModelConfig],
    *,
    row_option: str | None,
    burn_in: str,
    in_ensemble: bool,
) -> None:
    """Refuse models that do not go together, or not with the options.

    Args:
        policy: the policy's model.
        networks: all models that the loss runs agent by agent.

    Keyword Args:
        row_option: an option, with its value, for which the loss needs rows of steps.
        burn_in: hidden state at the start of rows.
        in_ensemble: whether an ensemble makes the replay.

    Raises:
        ValueError: if they do not.
    """
    recurrent = [config for config in networks if config.is_rnn]
    if recurrent and not policy.is_rnn:
        raise ValueError(
            f"critic_model={recurrent[0].associated_class().__name__} with "
            f"model={policy.associated_class().__name__} is not "
            "allowed: a recurrent critic_model needs a recurrent model, as "
            "BenchMARL marks the starts of episodes only for that."
        )
    if row_option is not None and in_ensemble and not policy.is_rnn:
        option, _, _ = row_option.partition("=")
        raise ValueError(
            f"{row_option} is not allowed inside an ensemble with a model that is not "
            f"recurrent: its replay holds single steps, so {option} must be "
            f"{ONE_STEP[option]}."
        )
    for config in (recurrent or [policy]) if burn_in == "stored" else []:
        if not isinstance(config, FusedGruConfig):
            raise ValueError(
                "burn_in='stored' is not allowed with a model of class "
                f"{config.associated_class().__name__}: it must be 'zero', or "
                "recurrent models must be model=layers/fused_gru, which start "
                "from a given hidden state."
            )


def check_rows(config: ExperimentConfig, on_policy: bool) -> None:
    """Warn of rows that leave longer targets, or an update, too little.

    Args:
        config: the experiment's, which keeps rows of steps in replay.
        on_policy: whether the algorithm is.
    """
    kind = "on_policy" if on_policy else "off_policy"
    size = "minibatch_size" if on_policy else "train_batch_size"
    n_envs = config.n_envs_per_worker(on_policy)
    frames = config.collected_frames_per_batch(on_policy)
    batch = config.train_minibatch_size(on_policy)
    steps = -(-frames // n_envs)
    given = (
        f"experiment.{kind}_collected_frames_per_batch={frames} with "
        f"{kind}_n_envs_per_worker={n_envs} makes rows of {steps} "
    )
    if steps == 1:
        warnings.warn(
            f"{given}step: targets are one-step and recurrent models have no memory "
            "in training. Collect more frames, or in fewer environments.",
            stacklevel=2,
        )
    elif batch <= steps:
        warnings.warn(
            f"{given}steps: with {kind}_{size}={batch} an update sees a single row. "
            "Use larger batches, or more environments.",
            stacklevel=2,
        )


def check_actions(
    name: str,
    actions: Composite,
    masks: Mapping[str, NestedKey | None],
    env: EnvBase,
) -> None:
    """Refuse actions that are not discrete, and masks that the task does not give.

    Args:
        name: the algorithm's, for messages.
        actions: the action spec of all groups.
        masks: by group, the entry of its action mask.
        env: an environment of the task.

    Raises:
        NotImplementedError: if a group's actions are not discrete.
        ValueError: if an environment lacks a mask that its task declares.
    """
    available = env.full_observation_spec.keys(True, True)
    for group, key in masks.items():
        spec = actions[group, "action"]
        # Their subclasses hold several choices per agent.
        if type(spec) not in (Categorical, OneHot):
            raise NotImplementedError(
                f"{name} needs discrete actions: the action of group {group!r} is "
                f"{type(spec).__name__}, it must be Categorical or OneHot."
            )
        if key is not None and key not in available:
            raise ValueError(
                f"action_mask={key!r} is missing: the task declares it in its "
                "action_mask_spec, but its environment does not have it. It must "
                "be in the environment's observation_spec."
            )
