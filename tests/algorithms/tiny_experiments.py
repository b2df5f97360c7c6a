"""Experiments that train in a second, and what the tests ask of their results."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import torch
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import TaskClass
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models import GruConfig, MlpConfig
from benchmarl.models.common import ModelConfig
from small_tasks import Recorder
from tensordict import TensorDictBase
from torchrl.modules import EGreedyModule

from remix_plugin.algorithms.discrete_maddpg import DiscreteMaddpgConfig
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.models.fused_gru import FusedGruConfig
from remix_plugin.objectives.base import TeamLoss

PROJECTION = {
    "loss",
    "loss_projection",
    "loss_unrestricted",
    "projection_weight_mean",
    "underestimated_fraction",
    "mixer_gradient_mean",
}
FACTORIZED = {"loss", "loss_td", "chosen_value_mean", "target_value_mean"}
ACTOR_CRITIC = {
    "entropy",
    "chosen_value_mean",
    "target_value_mean",
    "advantage_mean",
    "advantage_std",
}
SEPARATE = ACTOR_CRITIC | {"loss_actor", "loss_critic"}
# What the loss of each algorithm reports.
LOGGED = {
    "remix": PROJECTION,
    "owqmix": PROJECTION,
    "cwqmix": PROJECTION,
    "tunedqmix": FACTORIZED,
    "qplex": FACTORIZED | {"advantage_importance_mean"},
    "qatten": FACTORIZED | {"attention_entropy_mean"},
    "qtran": FACTORIZED | {"loss_opt", "loss_nopt"},
    "vdac": SEPARATE | {"loss"},
    "vdacsum": SEPARATE | {"loss"},
    "dop": SEPARATE,
    "fop": ACTOR_CRITIC | {"loss_actor", "loss_qvalue", "alpha"},
    "coma": SEPARATE,
    "discretemaddpg": SEPARATE,
}
# What each algorithm's optimizers learn.
OPTIMIZED = {
    name: {"loss"} if "loss" in logged else {key for key in logged if "loss" in key}
    for name, logged in LOGGED.items()
}
# What the parts count in the loss, QTRAN's with its default weights.
PARTS = {
    "loss_projection": 1.0,
    "loss_unrestricted": 1.0,
    "loss_td": 1.0,
    "loss_penalty": 1.0,
    "loss_opt": 1.0,
    "loss_nopt": 0.1,
}
MONOTONIC = {"local_value_network", "mixer_network"}
FOUR = MONOTONIC | {"unrestricted_value_network", "unrestricted_mixer_network"}
ACTORS = {"actor_network"}
TWINS = {
    f"{twin}_{network}_network"
    for twin in ("first", "second")
    for network in ("critic", "mixer")
}
LINEAR = {"critic_network", "mixer_network"}
LOCAL = ACTORS | {"local_value_network"}
QTRAN_TARGETS = {"joint_value_network", "feature_network"}
# The networks of each loss, and those of them that have a copy for targets.
NETWORKS = {
    "remix": (FOUR, FOUR),
    "owqmix": (FOUR, FOUR),
    "cwqmix": (FOUR, FOUR),
    "tunedqmix": (MONOTONIC, MONOTONIC),
    "qplex": (MONOTONIC, MONOTONIC),
    "qatten": (MONOTONIC, MONOTONIC),
    "qtran": (
        QTRAN_TARGETS | {"local_value_network", "state_value_network"},
        QTRAN_TARGETS,
    ),
    "vdac": (LOCAL | {"mixer_network"}, set()),
    # The sum of local values has no parameters.
    "vdacsum": (LOCAL, set()),
    "dop": (ACTORS | LINEAR, LINEAR),
    "fop": (ACTORS | TWINS, TWINS),
    "coma": (ACTORS | {"critic_network"}, {"critic_network"}),
    "discretemaddpg": (ACTORS | {"critic_network"},) * 2,
}
STEPS = 4  # of each of the 4 environments in an iteration

Build = Callable[..., Experiment]


def predator_prey(**options: Any) -> TaskClass:
    """Three predators and two prey on a grid of 4 x 4."""
    task = PredatorPreyTask.PUNISH_2.get_from_yaml()
    size = {"grid_height": 4, "grid_width": 4, "n_predators": 3, "n_prey": 2}
    task.config.update(size, window_size=3, max_steps=6, **options)
    return task


def tiny_fused_gru() -> FusedGruConfig:
    """Two layers of 3 units, so that a state does not fit its steps evenly."""
    return FusedGruConfig(
        encoder_num_cells=[8],
        hidden_size=3,
        n_layers=2,
        bias=True,
        mlp_num_cells=[],
        activation_class=torch.nn.ReLU,
    )


def experiment_builder(
    tiny_experiment: ExperimentConfig, tiny_model: MlpConfig, tiny_gru: GruConfig
) -> Build:
    """A function of task, algorithm, model, callbacks and changed settings.

    A model is that of utilities and, where it is not the same, that of the critic.
    """

    def build_experiment(
        task: TaskClass,
        algorithm: AlgorithmConfig,
        *,
        model: str = "mlp",
        seed: int = 0,
        callbacks: tuple[Any, ...] = (),
        **settings: Any,
    ) -> Experiment:
        models: dict[str, tuple[ModelConfig, ModelConfig]] = {
            "mlp": (tiny_model, copy.deepcopy(tiny_model)),
            "gru_mlp": (tiny_gru, tiny_model),
            "mlp_gru": (tiny_model, tiny_gru),
            "gru": (tiny_gru, copy.deepcopy(tiny_gru)),
            "fused_gru": (tiny_fused_gru(), tiny_fused_gru()),
            "fused_gru_mlp": (tiny_fused_gru(), tiny_model),
        }
        config = copy.deepcopy(tiny_experiment)
        for field, value in settings.items():
            assert hasattr(config, field)
            setattr(config, field, value)
        policy, critic = models[model]
        return Experiment(
            task=task,
            algorithm_config=algorithm,
            model_config=policy,
            critic_model_config=critic,
            seed=seed,
            config=config,
            callbacks=list(callbacks),
        )

    return build_experiment


def changed(config: type[AlgorithmConfig], **options: Any) -> AlgorithmConfig:
    """The plugin's settings of an algorithm but for some options."""
    return config(**{**vars(config.get_from_yaml()), **options})


def run(experiment: Experiment) -> dict[str, list[Any]]:
    """Run to the end; the losses of every iteration by group."""
    recorder = Recorder()
    recorder.experiment = experiment
    experiment.callbacks = [*experiment.callbacks, recorder]
    experiment.run()
    return recorder.losses


def results(experiment: Experiment) -> dict[str, Any]:
    """The results json of an experiment's run."""
    path = experiment.folder_name / f"{experiment.name}.json"
    return json.loads(path.read_text())


def epsilons(experiment: Experiment) -> list[float]:
    """Share of random actions of each group that has such."""
    last = [policy[-1] for policy in experiment.group_policies.values()]
    return [float(one.eps) for one in last if isinstance(one, EGreedyModule)]


def frames_in_replay(experiment: Experiment) -> int:
    """Frames that are learned from at the end: all, or the last 16 on policy."""
    return 16 if experiment.on_policy else experiment.total_frames


def fitting(config: type[AlgorithmConfig], model: str) -> str:
    """The model, with a critic without memory where no other is allowed."""
    no_memory = config is DiscreteMaddpgConfig and model.endswith("gru")
    return f"{model}_mlp" if no_memory else model


def total_loss(loss: TeamLoss, batch: TensorDictBase) -> float:
    """All that optimizers minimize, of the same draws each time."""
    torch.manual_seed(0)
    values = loss(batch)
    return sum(float(v) for name, v in values.items() if v.requires_grad)


def name_of(config: type[AlgorithmConfig]) -> str:
    """The algorithm's name."""
    return config.associated_class().__name__.lower()


def by_network(values: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Parameters of a loss, apart by network."""
    networks: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in values.items():
        networks.setdefault(name.split("_params.")[0], {})[name] = value
    return networks


def check_run(
    experiment: Experiment, groups: set[str], more: frozenset[str] = frozenset()
) -> None:
    """Run to the end: every update reports what the group's algorithm should.

    That is the entry of ``LOGGED``, with ``more``.
    """
    losses = run(experiment)
    assert set(losses) == groups == set(experiment.group_map)
    algorithm = experiment.algorithm
    for group, iterations in losses.items():
        own = getattr(algorithm, "algorithms_map", {}).get(group, algorithm)
        name = type(own).__name__.lower()
        norms = {f"grad_norm_{loss}" for loss in OPTIMIZED[name]}
        n_agents = len(experiment.group_map[group])
        assert len(iterations) == 3
        for updates in iterations:
            assert updates.batch_size == ((1,) if own.on_policy else (2,))
            assert set(updates.keys()) == LOGGED[name] | more | norms
            check_values(dict(updates.items()), n_agents)


def check_values(updates: dict[str, torch.Tensor], n_agents: int) -> None:
    """What holds of any metrics, each ``[n_updates]``."""
    assert all(torch.isfinite(value).all() for value in updates.values())
    norms = [value for name, value in updates.items() if name.startswith("grad_norm")]
    assert all((norm > 0).all() for norm in norms)
    if "entropy" in updates:
        check_actor_critic(updates)
    else:
        check_factorization(updates, n_agents)


def check_actor_critic(updates: dict[str, torch.Tensor]) -> None:
    """What holds of the metrics of stochastic actors, each ``[n_updates]``."""
    assert (updates["entropy"] > 0).all()
    assert (updates["entropy"] < math.log(10)).all()
    assert (updates["advantage_std"] >= 0).all()
    values = [
        updates[name] for name in ("loss_critic", "loss_qvalue") if name in updates
    ]
    assert all((value > 0).all() for value in values)


def check_factorization(updates: dict[str, torch.Tensor], n_agents: int) -> None:
    """What holds of the metrics of value factorization, each ``[n_updates]``."""
    assert (updates["loss"] > 0).all()
    parts = {name: updates[name] for name in PARTS if name in updates}
    assert all((part >= 0).all() for part in parts.values())
    total = torch.stack([PARTS[name] * part for name, part in parts.items()]).sum(0)
    torch.testing.assert_close(updates["loss"], total)
    if "projection_weight_mean" in updates:
        assert (updates["projection_weight_mean"] > 0).all()
        assert (updates["underestimated_fraction"] >= 0).all()
        assert (updates["underestimated_fraction"] <= 1).all()
        assert (updates["mixer_gradient_mean"] >= 0).all()
    if "advantage_importance_mean" in updates:
        assert (updates["advantage_importance_mean"] > 0).all()
    if "attention_entropy_mean" in updates:
        # Of a choice among agents; a float rounds the 0 of a single one.
        assert (updates["attention_entropy_mean"] >= -1e-5).all()
        assert (updates["attention_entropy_mean"] <= math.log(n_agents) + 1e-5).all()
