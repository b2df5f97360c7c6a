"""A weighting of one's own: the further below its target, the more a value counts."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig
from torch import Tensor, nn

from remix_plugin import get_experiment_config
from remix_plugin.algorithms.value_factorization import (
    WeightedProjection,
    WeightedProjectionConfig,
)
from remix_plugin.environments.matrix_game.common import MatrixGameTask
from remix_plugin.weighting.base import Weighting


class RankWeighting(Weighting):
    """Weights from 0.1 to 1 in the order of the errors."""

    in_keys = ["chosen_action_value", "target_value"]

    def weight(self, value: Tensor, target: Tensor) -> Tensor:
        """Weights of the shape of ``value``, ``[*B, 1]``."""
        rank = (target - value).flatten().argsort().argsort().view_as(value)
        return 0.1 + 0.9 * rank / max(rank.numel() - 1, 1)


class RankQmix(WeightedProjection):
    """The algorithm: one curve in a figure, named ``rankqmix``."""

    def get_weighting(self, group: str) -> RankWeighting:
        """The one thing that differs from ReMIX."""
        return RankWeighting()


@dataclass
class RankQmixConfig(WeightedProjectionConfig):
    """Its config, with the options that all weighted projections share."""

    @staticmethod
    def associated_class() -> type[RankQmix]:
        """The algorithm."""
        return RankQmix


def main(frames: int, results: Path) -> None:
    """Train on the matrix game for so many frames."""
    config = get_experiment_config("matrix_game")
    config.max_n_frames = frames
    config.loggers = []
    config.save_folder = str(results)
    results.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(
        task=MatrixGameTask.QTRAN.get_from_yaml(),
        algorithm_config=RankQmixConfig(
            mixing_embed_dim=32,
            hypernet_layers=2,
            unrestricted_embed_dim=256,
            unrestricted_coef=1.0,
            double_q=True,
            delay_value=True,
            loss_function="l2",
            td_lambda=0.0,
            burn_in="zero",
            absolute_metric_factor=None,
        ),
        model_config=MlpConfig(
            num_cells=[64], layer_class=nn.Linear, activation_class=nn.ReLU
        ),
        seed=0,
        config=config,
    )
    experiment.run()
    print(f"results: {experiment.folder_name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=3_200)
    parser.add_argument("--results", type=Path, default=Path("results/example"))
    main(**vars(parser.parse_args()))
