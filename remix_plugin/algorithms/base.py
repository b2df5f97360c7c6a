"""What all algorithms of the plugin share."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from benchmarl.algorithms import EnsembleAlgorithmConfig
from benchmarl.algorithms.common import Algorithm, AlgorithmConfig
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.common import Model, ModelConfig
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModule
from torchrl.data import Composite, OneHot, ReplayBuffer, Unbounded
from torchrl.envs import Transform
from torchrl.modules import EGreedyModule
from torchrl.objectives import LossModule, ValueEstimators

from remix_plugin.algorithms.burn_in import StoredStates
from remix_plugin.algorithms.checks import (
    check_actions,
    check_collection,
    check_models,
    check_rows,
    check_setup,
)
from remix_plugin.algorithms.run_folder import LeavesNoFolder, leaving_no_folder
from remix_plugin.callbacks.attaching import attach, attached
from remix_plugin.callbacks.evaluation import EvaluationRecorder
from remix_plugin.callbacks.exact_resume import ExactResume
from remix_plugin.callbacks.finite import StopNotFinite
from remix_plugin.callbacks.videos import Videos
from remix_plugin.configs import config_path, read_options
from remix_plugin.data.prioritized import PrioritizedSampler
from remix_plugin.data.samplers import RecentSampler
from remix_plugin.modules.mixers import MixerState
from remix_plugin.objectives.base import TeamLoss
from remix_plugin.validation import check_choice, check_number

STATE = "mixer_state"


class TeamAlgorithm(LeavesNoFolder):
    """Decentralized agents with discrete actions and one reward for all.

    The state that joint values condition on is the task's, or the group's observations
    side by side where a task has none. A subclass makes the policy and the loss.

    With a recurrent model, or targets over several steps of replayed data, replay holds
    rows of consecutive steps (BenchMARL's ``has_rnn``): as many as an environment takes
    between two iterations. Sizes of memory and batches, in frames, are then rounded up
    to rows.

    Args:
        loss_function (str): ``"l2"``, ``"l1"`` or ``"smooth_l1"``, of values.
        td_lambda (float): share of longer returns in targets, 0 (one-step) to 1.
        burn_in (str): hidden state of recurrent models at the start of a row that
            begins within an episode: ``"zero"``, or ``"stored"``, as it was at
            collection.
        absolute_metric_factor (int, optional): episodes of the absolute metric in
            evaluations, see :class:`~.evaluation.EvaluationRecorder`.
        **kwargs: ``experiment``, as BenchMARL passes it.

    Attributes:
        delay_value (bool): whether targets come from delayed copies of the networks.
        stale (tuple of str): what the policy writes into the group at collection and no
            loss reads.

    Raises:
        ValueError: if the experiment's options, its models or the task's action mask
            do not fit.
        NotImplementedError: if a group's actions are not discrete.
    """

    experiment_config: ExperimentConfig
    delay_value: bool = False
    stale: tuple[str, ...] = ()

    def __init__(
        self,
        loss_function: str,
        td_lambda: float,
        burn_in: str,
        absolute_metric_factor: int | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.loss_function = loss_function
        self.td_lambda = td_lambda
        self.burn_in = burn_in
        self._check()
        # BenchMARL then keeps rows of steps together. Left alone it would do so for a
        # recurrent critic_model that the algorithm has no use for, too.
        self.has_rnn = self.row_option is not None or self.model_config.is_rnn
        if self.has_rnn:
            check_rows(self.experiment_config, self.on_policy)
        attach(
            self.experiment,
            StopNotFinite(),
            EvaluationRecorder(absolute_metric_factor),
            ExactResume(),
        )
        if burn_in == "stored":
            self._stored_states = attached(self.experiment, StoredStates())

    @property
    def row_option(self) -> str | None:
        """The option, with its value, for which the loss needs rows of steps, if any.

        On-policy data comes in rows, whatever is made of them.
        """
        is_needed = self.td_lambda > 0 and not self.on_policy
        return f"td_lambda={self.td_lambda}" if is_needed else None

    @abstractmethod
    def get_loss(
        self, group: str, policy: TensorDictModule, options: dict[str, Any]
    ) -> TeamLoss:
        """The loss of a group.

        Args:
            group (str): the group.
            policy: of the agents, whose first module is the network of ``model``.
            options: keyword arguments of the loss, see :meth:`get_loss_options`.
        """

    def get_loss_options(self, group: str) -> dict[str, Any]:
        """Keyword arguments of every ``TeamLoss``."""
        one_hot = isinstance(self.action_spec[group, "action"], OneHot)
        return {
            "state_network": self.get_state_network(group),
            "action_space": "one-hot" if one_hot else "categorical",
            "use_action_mask": self.action_mask_key(group) is not None,
            "delay_value": self.delay_value,
            "loss_function": self.loss_function,
            "sequential": self.has_rnn,
        }

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {
            "action": (group, "action"),
            "action_mask": (group, "action_mask"),
            "priority": (group, "td_error"),
        }

    def get_agent_model_configs(self) -> list[ModelConfig]:
        """Configs of the models that the loss runs agent by agent."""
        return [self.model_config]

    #############################
    # Overridden abstract methods
    #############################

    def _get_loss(
        self, group: str, policy_for_loss: TensorDictModule, continuous: bool
    ) -> tuple[LossModule, bool]:
        loss = self.get_loss(group, policy_for_loss, self.get_loss_options(group))
        loss.set_keys(**self.get_loss_keys(group))
        gamma = self.experiment_config.gamma
        if self.td_lambda > 0:
            loss.make_value_estimator(
                ValueEstimators.TDLambda, gamma=gamma, lmbda=self.td_lambda
            )
        else:
            loss.make_value_estimator(ValueEstimators.TD0, gamma=gamma)
        return loss, self.delay_value

    def get_replay_buffer(
        self, group: str, transforms: list[Transform] | None = None
    ) -> ReplayBuffer:
        """BenchMARL's replay buffer, prioritized by a sampler that always runs."""
        config = self.experiment_config
        if self.on_policy or not config.off_policy_use_prioritized_replay_buffer:
            return super().get_replay_buffer(group, transforms)
        self.experiment_config = replace(
            config, off_policy_use_prioritized_replay_buffer=False
        )
        try:
            buffer = super().get_replay_buffer(group, transforms)
        finally:
            self.experiment_config = config
        buffer.set_sampler(
            PrioritizedSampler(
                buffer.storage.max_size,
                config.off_policy_prb_alpha,
                config.off_policy_prb_beta,
            )
        )
        return buffer

    def process_batch(self, group: str, batch: TensorDictBase) -> TensorDictBase:
        """Give the batch team-level entries and drop what learning never reads.

        Where a task rewards and ends agents one by one, the team's reward is the mean
        over the group, and it is done when any agent is, as in BenchMARL's QMIX.
        """
        for key in ("done", "terminated"):
            if ("next", key) not in batch.keys(True):
                batch.set(("next", key), batch.get(("next", group, key)).any(-2))
        if ("next", "reward") not in batch.keys(True):
            batch.set(("next", "reward"), batch.get(("next", group, "reward")).mean(-2))
        # Values at the time of collection: stale, and larger than the observations.
        stale = [(group, name) for name in self.stale]
        batch = batch.exclude(*stale, ("next", "info"))
        if self.burn_in == "stored":
            loss = self.experiment.losses[group]
            self._stored_states.store(group, loss, batch)
        return batch

    #####################
    # Custom new methods
    #####################

    def action_mask_key(self, group: str) -> NestedKey | None:
        """The group's action mask, or None where it has none."""
        spec = self.action_mask_spec
        has_mask = spec is not None and group in spec.keys()
        return (group, "action_mask") if has_mask else None

    def get_epsilon_greedy(self, group: str) -> EGreedyModule:
        """Replaces a falling share of actions by uniform ones that are available."""
        config = self.experiment_config
        return EGreedyModule(
            spec=self.action_spec[group, "action"],
            eps_init=config.exploration_eps_init,
            eps_end=config.exploration_eps_end,
            annealing_num_steps=config.get_exploration_anneal_frames(self.on_policy),
            action_key=(group, "action"),
            action_mask_key=self.action_mask_key(group),
            device=self.device,
        )

    def get_state_network(self, group: str) -> TensorDictModule:
        """Writes what the mixers condition on, ``[*B, S]``."""
        specs = self._state_specs(group)
        return TensorDictModule(
            MixerState(tuple(len(shape) for shape in specs.values())),
            in_keys=list(specs),
            out_keys=[STATE],
        )

    def get_agent_network(
        self,
        group: str,
        model_config: ModelConfig,
        name: str,
        size: int,
        share_params: bool | None = None,
    ) -> Model:
        """Writes ``name`` ``[*B, n, size]``, from each agent's own observation.

        Agents share parameters as ``share_params`` says, by default as the policy's.
        """
        if share_params is None:
            share_params = self.experiment_config.share_policy_params
        n_agents = len(self.group_map[group])
        output = Composite({name: Unbounded((n_agents, size))}, shape=(n_agents,))
        return model_config.get_model(
            input_spec=Composite(
                {group: self.observation_spec[group].clone().to(self.device)}
            ),
            output_spec=Composite({group: output}),
            agent_group=group,
            input_has_agent_dim=True,
            n_agents=n_agents,
            centralised=False,
            share_params=share_params,
            device=self.device,
            action_spec=self.action_spec,
        )

    def observation_specs(self, group: str) -> dict[NestedKey, torch.Size]:
        """The observations of a group, with their shapes ``[n, ...]``."""
        return {
            (group, *(key if isinstance(key, tuple) else (key,))): spec.shape
            for key, spec in self.observation_spec[group].items(True, True)
        }

    def _state_specs(self, group: str) -> dict[NestedKey, torch.Size]:
        """Entries that make up the mixers' state, with their shapes."""
        if self.state_spec is None:
            return self.observation_specs(group)
        return {key: spec.shape for key, spec in self.state_spec.items(True, True)}

    def state_size(self, group: str) -> int:
        """Length S of the state that mixers condition on."""
        return sum(shape.numel() for shape in self._state_specs(group).values())

    def _check(self) -> None:
        """Refuse what would fail, or silently do something else, during training."""
        name = type(self).__name__
        check_collection(name, self.experiment_config)
        check_models(
            self.model_config,
            self.get_agent_model_configs(),
            row_option=self.row_option,
            burn_in=self.burn_in,
            in_ensemble=isinstance(
                self.experiment.algorithm_config, EnsembleAlgorithmConfig
            ),
        )
        masks = {group: self.action_mask_key(group) for group in self.group_map}
        check_actions(name, self.action_spec, masks, self.experiment.test_env)


class RecentData(TeamAlgorithm):
    """An off-policy algorithm part of whose batches is of the newest data.

    Args:
        recent_fraction (float): share of each batch drawn from the newest data.
        recent_size (int): frames that count as newest, rounded up to whole collected
            batches.
        **kwargs: as :class:`TeamAlgorithm`.

    Attributes:
        marks_recent (bool): whether batches tell which rows were drawn as the newest.

    Raises:
        ValueError: if recent data is asked for together with prioritized replay, or
            inside an ensemble, where neither could be honored.
    """

    marks_recent = False

    def __init__(self, recent_fraction: float, recent_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recent_fraction = recent_fraction
        self.recent_size = recent_size
        if self.recent_fraction > 0:
            self._check_recent_data()

    def get_replay_buffer(
        self, group: str, transforms: list[Transform] | None = None
    ) -> ReplayBuffer:
        """BenchMARL's replay buffer, drawing recent data if asked to."""
        buffer = super().get_replay_buffer(group, transforms)
        if self.recent_fraction > 0:
            sampler = RecentSampler(
                self.recent_fraction, self._recent_rows(), marks=self.marks_recent
            )
            buffer.set_sampler(sampler)
        return buffer

    def _recent_rows(self) -> int:
        """``recent_size`` in rows of the buffer, in whole collected batches."""
        config = self.experiment_config
        n_envs = config.n_envs_per_worker(self.on_policy)
        steps = -(-config.collected_frames_per_batch(self.on_policy) // n_envs)
        n_batches = -(-self.recent_size // (n_envs * steps))
        return n_batches * n_envs * (1 if self.has_rnn else steps)

    def _check_recent_data(self) -> None:
        config = self.experiment_config
        given = f"recent_fraction={self.recent_fraction}"
        if config.off_policy_use_prioritized_replay_buffer:
            raise ValueError(
                f"{given} with experiment.off_policy_use_prioritized_replay_buffer="
                "True is not allowed: one sampler draws a batch. Set recent_fraction=0 "
                "or switch prioritized replay off."
            )
        if isinstance(self.experiment.algorithm_config, EnsembleAlgorithmConfig):
            raise ValueError(
                f"{given} is not allowed inside an ensemble, which draws batches "
                "itself: it must be 0."
            )
        if self.recent_size >= config.replay_buffer_memory_size(self.on_policy):
            warnings.warn(
                f"recent_size={self.recent_size} reaches "
                "experiment.off_policy_memory_size="
                f"{config.replay_buffer_memory_size(self.on_policy)}: all data is "
                "recent, so recent_fraction has no effect.",
                stacklevel=2,
            )


@dataclass
class TeamAlgorithmConfig(AlgorithmConfig):
    """Options that all algorithms share, see :class:`TeamAlgorithm`.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    loss_function: str
    td_lambda: float
    burn_in: str
    absolute_metric_factor: int | None

    def __post_init__(self) -> None:
        """Validate the shared options."""
        check_choice("loss_function", self.loss_function, ("l1", "l2", "smooth_l1"))
        check_number("td_lambda", self.td_lambda, low=0, high=1)
        check_choice("burn_in", self.burn_in, ("stored", "zero"))
        if self.absolute_metric_factor is not None:
            check_number(
                "absolute_metric_factor",
                self.absolute_metric_factor,
                low=0,
                integer=True,
            )

    @classmethod
    def get_from_yaml(cls, path: str | None = None) -> TeamAlgorithmConfig:
        """Load from ``path``, or from the plugin's YAML of the algorithm's name."""
        name = cls.associated_class().__name__.lower()
        return cls(**read_options(path or config_path("algorithm", name)))

    def get_algorithm(self, experiment: Experiment) -> Algorithm:
        """Build the algorithm; whatever refuses, no run folder is left behind.

        Raises:
            TypeError: if an option of the algorithm, the experiment or a model has the
                wrong type, or is unknown.
            ValueError: if one is out of range, or takes more memory than there is.
            ModuleNotFoundError: if a logger's package is not installed.
        """
        with leaving_no_folder(experiment):
            self._check_again()
            check_setup(experiment)
            attach(experiment, Videos())
            return super().get_algorithm(experiment)

    def _check_again(self) -> None:
        """Check what a script, or ``+algorithm.option`` in Hydra, has changed since."""
        known = [field.name for field in fields(self)]
        unknown = sorted(set(self.__dict__) - set(known))
        if unknown:
            raise TypeError(
                f"{unknown[0]!r} is not an option of {type(self).__name__}: it must be "
                f"one of {', '.join(known)}."
            )
        self.__post_init__()

    @staticmethod
    def supports_continuous_actions() -> bool:
        """Always False: losses take maxima and means over all actions."""
        return False

    @staticmethod
    def supports_discrete_actions() -> bool:
        """Always True."""
        return True
