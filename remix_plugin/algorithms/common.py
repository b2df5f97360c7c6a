"""What the plugin's value-based algorithms share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from benchmarl.algorithms import EnsembleAlgorithmConfig
from benchmarl.algorithms.common import Algorithm, AlgorithmConfig
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.common import Model, ModelConfig
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.data import Composite, OneHot, ReplayBuffer, Unbounded
from torchrl.envs import Transform
from torchrl.modules import EGreedyModule, QValueModule
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
from remix_plugin.callbacks.evaluation import EvaluationData
from remix_plugin.callbacks.exact_resume import ExactResume
from remix_plugin.callbacks.finite import StopNotFinite
from remix_plugin.callbacks.videos import Videos
from remix_plugin.configs import config_path, read_options
from remix_plugin.data.prioritized import PrioritizedSampler
from remix_plugin.modules.mixers import MixerState
from remix_plugin.objectives.common import ValueFactorisationLoss
from remix_plugin.validation import check_choice, check_flag, check_number

STATE = "mixer_state"


class ValueFactorisation(LeavesNoFolder):
    """Decentralised greedy agents whose utilities are mixed into a joint value.

    Utilities come from ``model``, exploration is epsilon-greedy over available
    actions, the state that mixers condition on is the task's, or the group's
    observations side by side where a task has none. A subclass makes the loss.

    With a recurrent model, or targets over several steps, replay holds rows of
    consecutive steps (BenchMARL's ``has_rnn``): as many as an environment takes between
    two iterations. Sizes of memory and batches, in frames, are then rounded up to rows.

    Args:
        double_q (bool): whether the online utilities choose the next action.
        delay_value (bool): whether targets come from delayed copies of the networks.
        loss_function (str): ``"l2"``, ``"l1"`` or ``"smooth_l1"``.
        td_lambda (float): share of longer returns in targets, 0 (one-step) to 1.
        burn_in (str): hidden state of recurrent models at the start of a row that
            begins within an episode: ``"zero"``, or ``"stored"``, as it was at
            collection.
        absolute_metric_factor (int, optional): episodes of the absolute metric in
            evaluations, see :class:`~.evaluation.EvaluationData`.
        **kwargs: ``experiment``, as BenchMARL passes it.

    Raises:
        ValueError: if the experiment's options, its models or the task's action mask
            do not fit.
        NotImplementedError: if a group's actions are not discrete.
    """

    experiment_config: ExperimentConfig

    def __init__(
        self,
        double_q: bool,
        delay_value: bool,
        loss_function: str,
        td_lambda: float,
        burn_in: str,
        absolute_metric_factor: int | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.double_q = double_q
        self.delay_value = delay_value
        self.loss_function = loss_function
        self.td_lambda = td_lambda
        self.burn_in = burn_in
        self._check()
        # BenchMARL then keeps rows of steps together. Left alone it would do so for a
        # recurrent critic_model that the algorithm has no use for, too.
        self.has_rnn = td_lambda > 0 or self.model_config.is_rnn
        if self.has_rnn:
            check_rows(self.experiment_config)
        attach(
            self.experiment,
            StopNotFinite(),
            EvaluationData(absolute_metric_factor),
            ExactResume(),
        )
        if burn_in == "stored":
            self._stored_states = attached(self.experiment, StoredStates())

    @abstractmethod
    def get_loss(
        self, group: str, utilities: Model, options: dict[str, Any]
    ) -> ValueFactorisationLoss:
        """The loss of a group.

        Args:
            group (str): the group.
            utilities (Model): the agents' utilities, of the policy.
            options: keyword arguments of every ``ValueFactorisationLoss``.
        """

    def get_loss_keys(self, group: str) -> dict[str, NestedKey]:
        """Entries of the loss that lie within the group, by name."""
        return {
            "action": (group, "action"),
            "action_mask": (group, "action_mask"),
            "action_value": (group, "action_value"),
            "local_value": (group, "chosen_action_value"),
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
        one_hot = isinstance(self.action_spec[group, "action"], OneHot)
        options = {
            "state_network": self.get_state_network(group),
            "action_space": "one-hot" if one_hot else "categorical",
            "use_action_mask": self.action_mask_key(group) is not None,
            "double_q": self.double_q,
            "delay_value": self.delay_value,
            "loss_function": self.loss_function,
            "sequential": self.has_rnn,
        }
        loss = self.get_loss(group, policy_for_loss[0], options)
        loss.set_keys(**self.get_loss_keys(group))
        gamma = self.experiment_config.gamma
        if self.td_lambda > 0:
            loss.make_value_estimator(
                ValueEstimators.TDLambda, gamma=gamma, lmbda=self.td_lambda
            )
        else:
            loss.make_value_estimator(ValueEstimators.TD0, gamma=gamma)
        return loss, self.delay_value

    def _get_parameters(self, group: str, loss: LossModule) -> dict[str, Iterable]:
        return {"loss": [p for p in loss.parameters() if p.requires_grad]}

    def _get_policy_for_loss(
        self, group: str, model_config: ModelConfig, continuous: bool
    ) -> TensorDictModule:
        spec = self.action_spec[group, "action"]
        greedy = QValueModule(
            action_value_key=(group, "action_value"),
            action_mask_key=self.action_mask_key(group),
            out_keys=[
                (group, "action"),
                (group, "action_value"),
                (group, "chosen_action_value"),
            ],
            spec=spec,
            action_space=None,
        )
        utilities = self.get_utilities(group, model_config, "action_value")
        return TensorDictSequential(utilities, greedy)

    def _get_policy_for_collection(
        self, policy_for_loss: TensorDictModule, group: str, continuous: bool
    ) -> TensorDictModule:
        config = self.experiment_config
        explore = EGreedyModule(
            spec=self.action_spec[group, "action"],
            eps_init=config.exploration_eps_init,
            eps_end=config.exploration_eps_end,
            annealing_num_steps=config.get_exploration_anneal_frames(self.on_policy),
            action_key=(group, "action"),
            action_mask_key=self.action_mask_key(group),
            device=self.device,
        )
        return TensorDictSequential(*policy_for_loss, explore)

    def get_replay_buffer(
        self, group: str, transforms: list[Transform] | None = None
    ) -> ReplayBuffer:
        """BenchMARL's replay buffer, prioritised by a sampler that always runs."""
        config = self.experiment_config
        if not config.off_policy_use_prioritized_replay_buffer:
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
        batch = batch.exclude(
            (group, "action_value"), (group, "chosen_action_value"), ("next", "info")
        )
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

    def get_state_network(self, group: str) -> TensorDictModule:
        """Writes what the mixers condition on, ``[*B, S]``."""
        specs = self._state_specs(group)
        return TensorDictModule(
            MixerState(tuple(len(shape) for shape in specs.values())),
            in_keys=list(specs),
            out_keys=[STATE],
        )

    def get_utilities(self, group: str, model_config: ModelConfig, name: str) -> Model:
        """One value per action of each agent, from its own observation."""
        n_actions = self.action_spec[group, "action"].space.n
        return self.get_agent_network(group, model_config, name, n_actions)

    def get_agent_network(
        self, group: str, model_config: ModelConfig, name: str, size: int
    ) -> Model:
        """Writes ``name`` ``[*B, n, size]``, from each agent's own observation."""
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
            share_params=self.experiment_config.share_policy_params,
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
            td_lambda=self.td_lambda,
            burn_in=self.burn_in,
            in_ensemble=isinstance(
                self.experiment.algorithm_config, EnsembleAlgorithmConfig
            ),
        )
        masks = {group: self.action_mask_key(group) for group in self.group_map}
        check_actions(name, self.action_spec, masks, self.experiment.test_env)


@dataclass
class ValueFactorisationConfig(AlgorithmConfig):
    """Options that all algorithms share, see :class:`ValueFactorisation`.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    double_q: bool
    delay_value: bool
    loss_function: str
    td_lambda: float
    burn_in: str
    absolute_metric_factor: int | None

    def __post_init__(self) -> None:
        """Validate the shared options."""
        check_flag("double_q", self.double_q)
        check_flag("delay_value", self.delay_value)
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
    def get_from_yaml(cls, path: str | None = None) -> ValueFactorisationConfig:
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
    def on_policy() -> bool:
        """Never."""
        return False

    @staticmethod
    def supports_continuous_actions() -> bool:
        """Never: the greedy action is a maximum over all actions."""
        return False

    @staticmethod
    def supports_discrete_actions() -> bool:
        """Always."""
        return True
