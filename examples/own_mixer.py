"""A mixer of one's own: VDN's sum, and a value of the state beside it."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarl.experiment import Experiment
from benchmarl.models import MlpConfig
from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from remix_plugin import get_experiment_config
from remix_plugin.algorithms.base import STATE
from remix_plugin.algorithms.factorized_q import FactorizedQ, FactorizedQConfig
from remix_plugin.environments.matrix_game.common import MatrixGameTask


class StateSumMixer(nn.Module):
    """``Q_tot = sum_i q_i(u_i) + V(s)``.

    Args:
        state_dim: size of the state, S.
    """

    def __init__(self, state_dim: int) -> None:
        super().__init__()
        self.state_value = nn.Linear(state_dim, 1)

    def forward(self, chosen_value: Tensor, state: Tensor) -> Tensor:
        """``[*B, 1]`` of utilities ``[*B, n, 1]`` and a state ``[*B, S]``."""
        return chosen_value.sum(-2) + self.state_value(state)


class StateSum(FactorizedQ):
    """The algorithm: one curve in a figure, named ``statesum``."""

    def get_mixer(self, group: str) -> TensorDictModule:
        """The one thing that differs from QMIX."""
        return TensorDictModule(
            StateSumMixer(self.state_size(group)).to(self.device),
            in_keys=[(group, "chosen_action_value"), STATE],
            out_keys=["chosen_action_value"],
        )


@dataclass
class StateSumConfig(FactorizedQConfig):
    """Its config, with the options that all regressions of one mix share."""

    @staticmethod
    def associated_class() -> type[StateSum]:
        """The algorithm."""
        return StateSum


def main(frames: int, results: Path) -> None:
    """Train on the matrix game for so many frames."""
    config = get_experiment_config("matrix_game")
    config.max_n_frames = frames
    config.loggers = []
    config.save_folder = str(results)
    results.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(
        task=MatrixGameTask.QTRAN.get_from_yaml(),
        algorithm_config=StateSumConfig(
            td_coef=1.0,
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
