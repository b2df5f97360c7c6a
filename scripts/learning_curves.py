"""Draws the learning curves of all runs below a folder and prints their last returns.

Usage: python scripts/learning_curves.py FOLDER [--at FRAMES ...] [--win-above RETURN]
"""

from __future__ import annotations

import argparse

from arguments import folder, number, refusals, whole

from remix_plugin.packages import exit_without

exit_without("matplotlib")

import matplotlib  # noqa: E402

matplotlib.use("Agg")

from remix_plugin.plotting.learning_curves import Curve, plot_curves, read_curves  # noqa: E402


def main() -> None:
    """Print a line per run and write ``learning_curves.png`` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    args = parser.parse_args()
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


if __name__ == "__main__":
    main()
