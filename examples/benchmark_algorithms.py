"""Compares algorithms, BenchMARL's among them, with BenchMARL's ``Benchmark``."""

import argparse
from pathlib import Path

from benchmarl.algorithms import QmixConfig, VdnConfig
from benchmarl.benchmark import Benchmark
from benchmarl.models import MlpConfig
from torch import nn

from remix_plugin import get_experiment_config
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.environments.matrix_game.common import MatrixGameTask


def main(frames: int, results: Path) -> None:
    """Train four algorithms on the matrix game, one after the other."""
    config = get_experiment_config("matrix_game")
    config.max_n_frames = frames
    config.save_folder = str(results)
    results.mkdir(parents=True, exist_ok=True)
    model = MlpConfig(num_cells=[64], layer_class=nn.Linear, activation_class=nn.ReLU)
    benchmark = Benchmark(
        algorithm_configs=[
            RemixConfig.get_from_yaml(),
            OwqmixConfig.get_from_yaml(),
            QmixConfig.get_from_yaml(),
            VdnConfig.get_from_yaml(),
        ],
        tasks=[MatrixGameTask.QTRAN.get_from_yaml()],
        seeds={0},
        experiment_config=config,
        model_config=model,
        critic_model_config=model,
    )
    benchmark.run_sequential()
    print(f"draw them with: remix curves {results}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=6_400)
    parser.add_argument("--results", type=Path, default=Path("results/example"))
    main(**vars(parser.parse_args()))
