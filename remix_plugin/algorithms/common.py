"""What the plugin's value-based algorithms share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from benchmarl.algorithms.common import Algorithm, AlgorithmConfig
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.common import Model, ModelConfig
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.data import Categorical, Composite, OneHot, ReplayBuffer, Unbounded
from torchrl.envs import Transform
from torchrl.modules import EGreedyModule, QMixer, QValueModule
from torchrl.objectives import LossModule

from remix_plugin.configs import config_path
from remix_plugin.data.prioritized import PrioritizedSampler
from remix_plugin.modules.mixers import DeepQMixer, MixerState
from remix_plugin.validation import check_choice, check_flag, check_number

STATE = "mixer_state"


class ValueFactorisation(Algorithm):
    """Decentralised greedy agents whose utilities are mixed into a joint value.

    Utilities come from ``model``, exploration is epsilon-greedy over available
    actions, the state that mixers condition on is the task's, or the group's
    observations side by side where a task has none. A subclass makes the loss.

    Args:
        mixing_embed_dim (int): embedding size of the monotonic mixer, at least 1.
        hypernet_layers (int): layers of its hypernetworks: 1 is TorchRL's ``QMixer``,
            2 that of the Weighted QMIX code.
        double_q (bool): whether the online utilities choose the next action.
        delay_value (bool): whether targets come from delayed copies of the networks.
        loss_function (str): ``"l2"``, ``"l1"`` or ``"smooth_l1"``.
        **kwargs: ``experiment``, as BenchMARL passes it.

    Raises:
        ValueError: if the experiment's options or the task's action mask do not fit.
        NotImplementedError: if a group's actions are not discrete.
    """

    experiment_config: ExperimentConfig

    def __init__(
        self,
        mixing_embed_dim: int,
        hypernet_layers: int,
        double_q: bool,
        delay_value: bool,
        loss_function: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mixing_embed_dim = mixing_embed_dim
        self.hypernet_layers = hypernet_layers
        self.double_q = double_q
        self.delay_value = delay_value
        self.loss_function = loss_function
        self._check_experiment()

    #############################
    # Overridden abstract methods
    #############################

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
        return batch.exclude(
            (group, "action_value"), (group, "chosen_action_value"), ("next", "info")
        )

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

    def get_mixer(self, group: str) -> TensorDictModule:
        """The monotonic mixer."""
        mixer_class = QMixer if self.hypernet_layers == 1 else DeepQMixer
        mixer = mixer_class(
            state_shape=(self.state_size(group),),
            mixing_embed_dim=self.mixing_embed_dim,
            n_agents=len(self.group_map[group]),
            device=self.device,
        )
        return TensorDictModule(
            mixer,
            in_keys=[(group, "chosen_action_value"), STATE],
            out_keys=["chosen_action_value"],
        )

    def get_utilities(self, group: str, model_config: ModelConfig, name: str) -> Model:
        """One value per action of each agent, from its own observation."""
        n_agents = len(self.group_map[group])
        n_actions = self.action_spec[group, "action"].space.n
        output = Composite({name: Unbounded((n_agents, n_actions))}, shape=(n_agents,))
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

    def _state_specs(self, group: str) -> dict[NestedKey, tuple[int, ...]]:
        """Entries that make up the mixers' state, with their shapes."""
        if self.state_spec is not None:
            return {
                key: tuple(spec.shape)
                for key, spec in self.state_spec.items(True, True)
            }
        observations = self.observation_spec[group].items(True, True)
        return {
            (group, *(key if isinstance(key, tuple) else (key,))): tuple(spec.shape)
            for key, spec in observations
        }

    def state_size(self, group: str) -> int:
        """Length S of the state that mixers condition on."""
        return sum(math.prod(shape) for shape in self._state_specs(group).values())

    def _check_experiment(self) -> None:
        """Refuse what would fail, or silently do something else, during training."""
        name = type(self).__name__
        config = self.experiment_config
        if config.collect_with_grad:
            raise ValueError(
                f"experiment.collect_with_grad=True is not allowed with {name}: it "
                "must be False, as the algorithm learns from replay."
            )
        available = self.experiment.test_env.full_observation_spec.keys(True, True)
        for group in self.group_map:
            spec = self.action_spec[group, "action"]
            # Their subclasses hold several choices per agent.
            if type(spec) not in (Categorical, OneHot):
                raise NotImplementedError(
                    f"{name} needs discrete actions: the action of group {group!r} is "
                    f"{type(spec).__name__}, it must be Categorical or OneHot."
                )
            key = self.action_mask_key(group)
            if key is not None and key not in available:
                raise ValueError(
                    f"action_mask={key!r} is missing: the task declares it in its "
                    "action_mask_spec, but its environment does not have it. It must "
                    "be in the environment's observation_spec."
                )


@dataclass
class ValueFactorisationConfig(AlgorithmConfig):
    """Options that all algorithms share, see :class:`ValueFactorisation`.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a value is out of range.
    """

    mixing_embed_dim: int
    hypernet_layers: int
    double_q: bool
    delay_value: bool
    loss_function: str

    def __post_init__(self) -> None:
        """Validate the shared options."""
        check_number("mixing_embed_dim", self.mixing_embed_dim, low=1, integer=True)
        check_choice("hypernet_layers", self.hypernet_layers, (1, 2))
        check_flag("double_q", self.double_q)
        check_flag("delay_value", self.delay_value)
        check_choice("loss_function", self.loss_function, ("l1", "l2", "smooth_l1"))

    @classmethod
    def get_from_yaml(cls, path: str | None = None) -> ValueFactorisationConfig:
        """Load from ``path``, or from the plugin's YAML of the algorithm's name."""
        if path is None:
            name = cls.associated_class().__name__.lower()
            path = str(config_path("algorithm", name))
        return super().get_from_yaml(path)

    def get_algorithm(self, experiment: Experiment) -> Algorithm:
        """Build the algorithm; if it refuses, leave no empty run folder behind."""
        algorithm = None
        try:
            self._check_again()
            algorithm = super().get_algorithm(experiment)
        finally:
            if algorithm is None:
                _discard_run_folder(experiment)
        return algorithm

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


def _discard_run_folder(experiment: Experiment) -> None:
    """Remove the folder of a run that has not begun: it holds its config alone."""
    if experiment.config.restore_file is None:
        (experiment.folder_name / "config.pkl").unlink()
        experiment.folder_name.rmdir()
