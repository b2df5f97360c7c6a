"""BenchMARL's experiment config, with its ranges checked."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarl.experiment import ExperimentConfig

from remix_plugin.experiment.ranges import check_experiment


@dataclass
class CheckedExperimentConfig(ExperimentConfig):
    """The same options, which a run refuses before it writes anything.

    BenchMARL calls :meth:`validate` first of all. Its own class lets most values pass,
    and fails once the run's folder is there, or in training, or never.
    """

    @staticmethod
    def get_from_yaml(path: str | None = None) -> CheckedExperimentConfig:
        """Load from ``path``, or BenchMARL's ``base_experiment``."""
        return CheckedExperimentConfig(**vars(ExperimentConfig.get_from_yaml(path)))

    def validate(self, on_policy: bool) -> None:
        """Check ranges, then what BenchMARL checks.

        Args:
            on_policy (bool): whether the algorithm learns on policy.

        Raises:
            TypeError: if a value has the wrong type.
            ValueError: if a value is out of range.
            ModuleNotFoundError: if a logger's package is not installed.
        """
        check_experiment(self, on_policy)
        super().validate(on_policy)
