"""Draws the learning curves of all runs below a folder and prints their last returns.

Usage: python scripts/learning_curves.py FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from remix_plugin.plotting.learning_curves import Curve, plot_curves, read_curves


def main() -> None:
    """Print a line per run and write ``learning_curves.png`` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where runs have left their results")
    folder = parser.parse_args().folder.resolve()
    curves = read_curves(folder)
    picture = folder / "learning_curves.png"
    plot_curves(curves).savefig(picture, dpi=150)
    for curve in curves:
        print(_summary(curve))
    print(f"results:        {folder}")
    print(f"learning curve: {picture}")


def _summary(curve: Curve) -> str:
    return (
        f"{curve.algorithm} on {curve.environment}/{curve.task}, seed {curve.seed}: "
        f"last evaluation return {curve.returns[-1]:.2f} "
        f"(mean of {curve.n_episodes} greedy episodes at {curve.frames[-1]} frames)"
    )


if __name__ == "__main__":
    main()
