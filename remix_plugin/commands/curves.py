"""Draw the learning curves of all runs below a folder, and print their last returns.

Runs of BenchMARL's own run.py, sweeps of them, and those of suites:

    remix curves results/2026-01-01_12-00-00
    remix curves multirun --at 50000 100000
"""

from __future__ import annotations

import argparse

import matplotlib

from remix_plugin.commands.arguments import folder, number, refusals, whole
from remix_plugin.plotting.learning_curves import Curve, plot_curves, read_curves


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the subcommand takes."""
    parser.add_argument(
        "folder", type=folder, help="where runs have left their results"
    )
    parser.add_argument(
        "--at",
        type=whole(0),
        nargs="+",
        default=[],
        help="also print a table of returns at these frames, and of times",
    )
    parser.add_argument(
        "--win-above",
        type=number,
        help="draw and print win rates: episodes with a larger return were won "
        "(15 on SMAX with its default reward_scale)",
    )


def main(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print a line per run and write ``learning_curves.png`` into the folder."""
    matplotlib.use("Agg")
    results = args.folder.resolve()
    picture = results / "learning_curves.png"
    with refusals(parser):
        curves = read_curves(results, args.win_above)
        plot_curves(curves).savefig(picture, dpi=150)
    for curve in curves:
        print(_summary(curve))
    if args.at:
        print(_table(curves, args.at))
    print(f"results:        {results}")
    print(f"learning curve: {picture}")
    return 0


def _summary(curve: Curve) -> str:
    wins = ""
    if curve.win_rates is not None:
        wins = f", win rate {curve.win_rates[-1]:.2f}"
    return (
        f"{curve.algorithm} on {curve.environment}/{curve.task}, seed {curve.seed}: "
        f"last evaluation return {curve.returns[-1]:.2f}{wins} "
        f"(mean of {curve.n_episodes} greedy episodes at {curve.frames[-1]} frames)"
    )


def _table(curves: list[Curve], frames: list[int]) -> str:
    """Markdown, a row per run; a dash where there was no evaluation or no timer."""
    columns = ["task", "algorithm", "seed", *(f"{frame:,}" for frame in frames)]
    lines = [
        "| " + " | ".join([*columns, "minutes"]) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for curve in curves:
        scores = dict(zip(curve.frames, curve.scores, strict=True))
        digits = 1 if curve.win_rates is None else 2
        cells = [f"{scores[f]:.{digits}f}" if f in scores else "-" for f in frames]
        minutes = "-" if curve.seconds is None else f"{curve.seconds / 60:.1f}"
        row = [curve.task, curve.algorithm, str(curve.seed), *cells, minutes]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)
