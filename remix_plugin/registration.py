"""The one place that tells BenchMARL and Hydra what the plugin adds."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from benchmarl.algorithms import algorithm_config_registry
from benchmarl.algorithms.common import AlgorithmConfig
from benchmarl.environments import Task, task_config_registry
from benchmarl.models import ModelConfig, model_config_registry
from hydra.core.config_store import ConfigStore

from remix_plugin.algorithms.coma import ComaConfig
from remix_plugin.algorithms.discrete_maddpg import DiscreteMaddpgConfig
from remix_plugin.algorithms.dop import DopConfig
from remix_plugin.algorithms.fop import FopConfig
from remix_plugin.algorithms.qatten import QattenConfig
from remix_plugin.algorithms.qplex import QplexConfig
from remix_plugin.algorithms.qtran import QtranConfig
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.tunedqmix import TunedQmixConfig
from remix_plugin.algorithms.vdac import VdacConfig, VdacSumConfig
from remix_plugin.algorithms.wqmix import CwqmixConfig, OwqmixConfig
from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.environments.smac.common import SmacTask
from remix_plugin.environments.smax.common import SmaxTask
from remix_plugin.environments.tasks import make_options
from remix_plugin.experiment.config import CheckedExperimentConfig
from remix_plugin.experiment.first_look import FirstLook
from remix_plugin.models.fused_gru import FusedGruConfig

ALGORITHM_CONFIGS: tuple[type[AlgorithmConfig], ...] = (
    RemixConfig,
    OwqmixConfig,
    CwqmixConfig,
    TunedQmixConfig,
    QplexConfig,
    QattenConfig,
    QtranConfig,
    VdacConfig,
    VdacSumConfig,
    DopConfig,
    FopConfig,
    ComaConfig,
    DiscreteMaddpgConfig,
)
TASKS: tuple[type[Task], ...] = (PredatorPreyTask, MatrixGameTask, SmacTask, SmaxTask)
MODELS: tuple[type[ModelConfig], ...] = (FusedGruConfig,)
EXPERIMENT_SCHEMA = "checked_experiment_config"
FIRST_LOOK = "remix_first_look"


def register() -> None:
    """Make BenchMARL know all that the plugin adds; harmless if repeated.

    Adds to ``benchmarl.algorithms.algorithm_config_registry``,
    ``benchmarl.environments.task_config_registry`` and
    ``benchmarl.models.model_config_registry``, and stores the dataclasses of algorithms
    and tasks as Hydra schemas, so that overrides are checked by type. BenchMARL has no
    schemas of models.

    Raises:
        ValueError: if another package has registered one of the names.
    """
    ConfigStore.instance().store(
        name=EXPERIMENT_SCHEMA, group="experiment", node=CheckedExperimentConfig
    )
    callback = {"_target_": f"{FirstLook.__module__}.{FirstLook.__name__}"}
    ConfigStore.instance().store(name=FIRST_LOOK, node={FIRST_LOOK: callback})
    for config in ALGORITHM_CONFIGS:
        register_algorithm(config)
    for tasks in TASKS:
        for task in tasks:
            _register_task(task)
    for model in MODELS:
        _add(model_config_registry, model.registry_name, model)


def register_algorithm(config: type[AlgorithmConfig]) -> None:
    """Make BenchMARL know one algorithm under the name of its class in lower case.

    Its YAML begins with ``defaults: [<name>_config, _self_]``, which checks its options
    by type, has the experiment's options checked by range, and the run looked at before
    it begins.

    Args:
        config: the algorithm's config dataclass.

    Raises:
        ValueError: if another algorithm has that name.
    """
    name = config.associated_class().__name__.lower()
    _add(algorithm_config_registry, name, config)
    store = ConfigStore.instance()
    store.store(name=f"{name}_options", group="algorithm", node=config)
    # The schema of the experiment's options has no values: those that there are stay,
    # and become an object of its class.
    schemas = [
        f"{name}_options",
        f"/experiment/{EXPERIMENT_SCHEMA}@_global_.experiment",
        f"/{FIRST_LOOK}@_global_.hydra.callbacks",
        "_self_",
    ]
    store.store(name=f"{name}_config", group="algorithm", node={"defaults": schemas})


def _register_task(task: Task) -> None:
    environment, name = task.env_name(), task.name.lower()
    _add(task_config_registry, f"{environment}/{name}", task)
    schema = task.associated_class().config_class
    ConfigStore.instance().store(
        name=f"{environment}_{name}_config", group="task", node=schema
    )
    # BenchMARL type-checks a task with the TaskConfig of the module of this name, and
    # warns where there is none. Importing it finds this entry.
    module_name = f"benchmarl.environments.{environment}.{name}"
    module = ModuleType(module_name, f"Options of {environment}/{name}.")
    module.TaskConfig = lambda **o: make_options(schema, o)  # type: ignore[attr-defined]
    sys.modules.setdefault(module_name, module)


def _add(registry: dict[str, Any], name: str, entry: Any) -> None:
    if registry.setdefault(name, entry) is not entry:
        raise ValueError(
            f"{name!r} is already registered in BenchMARL as {registry[name]!r}; "
            f"it cannot be registered again as {entry!r}."
        )
