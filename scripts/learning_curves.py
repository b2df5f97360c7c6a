"""Draws the learning curves of all runs below a folder and prints their last returns.

Usage: python scripts/learning_curves.py FOLDER [--at FRAMES ...]
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
    parser.add_argument(
        "--at",
        type=int,
        nargs="+",
        default=[],
        help="also print returns at these frames",
    )
    args = parser.parse_args()
    folder = args.folder.resolve()
    curves = read_curves(folder)
    picture = folder / "learning_curves.png"
    plot_curves(curves).savefig(picture, dpi=150)
    for curve in curves:
        print(_summary(curve))
    if args.at:
        print(_table(curves, args.at))
    print(f"results:        {folder}")
    print(f"learning curve: {picture}")


def _summary(curve: Curve) -> str:
    return (
        f"{curve.algorithm} on {curve.environment}/{curve.task}, seed {curve.seed}: "
        f"last evaluation return {curve.returns[-1]:.2f} "
        f"(mean of {curve.n_episodes} greedy episodes at {curve.frames[-1]} frames)"
    )


def _table(curves: list[Curve], frames: list[int]) -> str:
    """Markdown, a row per run; a dash where there was no evaluation."""
    lines = [
        "| algorithm | seed | " + " | ".join(f"{frame:,}" for frame in frames) + " |",
        "|---" * (2 + len(frames)) + "|",
    ]
    for curve in curves:
        returns = dict(zip(curve.frames, curve.returns, strict=True))
        cells = [f"{returns[f]:.1f}" if f in returns else "-" for f in frames]
        lines.append(f"| {curve.algorithm} | {curve.seed} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
