"""Draw the learning curves of all runs below a folder, and print their last returns.

Runs of BenchMARL's own run.py, sweeps of them, and those of suites:

    remix curves results/2026-01-01_12-00-00
    remix curves multirun --at 50000 100000
"""

from __future__ import annotations

import argparse

import matplotlib

from remix_plugin.commands.arguments import folder, number, refusals, whole
from remix_plugin.plotting.learning_curves import plot_curves, read_curves
from remix_plugin.results.run_result import RunResult


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
        runs = read_curves(results, args.win_above)
        metric = "return" if args.win_above is None else "win_rate"
        plot_curves(runs, metric).savefig(picture, dpi=150)
    for run in runs:
        print(_summary(run, metric))
    if args.at:
        print(_table(runs, metric, args.at))
    print(f"results:        {results}")
    print(f"learning curve: {picture}")
    return 0


def _summary(run: RunResult, metric: str) -> str:
    wins = "" if metric == "return" else f", win rate {run.means(metric)[-1]:.2f}"
    return (
        f"{run.label} on {run.task}, seed {run.seed}: "
        f"last evaluation return {run.means('return')[-1]:.2f}{wins} "
        f"(mean of {len(run.episodes['return'][-1])} greedy episodes at "
        f"{run.frames[-1]} frames)"
    )


def _table(runs: list[RunResult], metric: str, frames: list[int]) -> str:
    """Markdown, a row per run; a dash where there was no evaluation or no timer."""
    columns = ["task", "algorithm", "seed", *(f"{frame:,}" for frame in frames)]
    digits = 1 if metric == "return" else 2
    rows = []
    for run in runs:
        scores = dict(zip(run.frames, run.means(metric), strict=True))
        cells = [f"{scores[f]:.{digits}f}" if f in scores else "-" for f in frames]
        seconds = run.record.get("seconds")
        minutes = "-" if seconds is None else f"{seconds / 60:.1f}"
        task = run.task.partition("/")[2]
        rows.append([task, run.label, str(run.seed), *cells, minutes])
    lines = [[*columns, "minutes"], ["---"] * (len(columns) + 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
