"""Learning curves from BenchMARL's result files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from remix_plugin.callbacks.episodes import RETURN
from remix_plugin.damaged import files_below
from remix_plugin.plotting.style import Style, styles_of
from remix_plugin.results.plain_runs import read_plain_runs, seconds_of


@dataclass(frozen=True)
class Curve:
    """Greedy evaluation of one run over training.

    Attributes:
        environment (str): e.g. ``"predator_prey"``.
        task (str): e.g. ``"punish_2"``.
        algorithm (str): e.g. ``"remix"``.
        seed (int): seed of the run.
        frames (tuple of int): collected frames at each evaluation.
        returns (tuple of float): mean episode return at each evaluation.
        n_episodes (int): episodes of the last evaluation.
        seconds (float, optional): what the run took, evaluations included; None where
            no csv logger wrote it.
        win_rates (tuple of float, optional): share of won episodes at each evaluation;
            None where wins are not told from returns.
    """

    environment: str
    task: str
    algorithm: str
    seed: int
    frames: tuple[int, ...]
    returns: tuple[float, ...]
    n_episodes: int
    seconds: float | None = None
    win_rates: tuple[float, ...] | None = None

    @property
    def scores(self) -> tuple[float, ...]:
        """Win rates where there are any, else returns."""
        return self.returns if self.win_rates is None else self.win_rates


def read_curves(folder: str | Path, win_above: float | None = None) -> list[Curve]:
    """Read all runs below a folder.

    Args:
        folder: where runs have left their json, at any depth. Hidden folders are not
            looked into, nor is what wandb has left, as BenchMARL has it.
        win_above (float, optional): episodes with a larger return were won. On battles
            that holds for the json of any algorithm, which knows returns alone.

    Returns:
        list of Curve: ordered by environment, task, algorithm and seed.

    Raises:
        FileNotFoundError: if there is no evaluation in any result file below
            ``folder``, or no such folder.
        DamagedFileError: if a file is not as a run of BenchMARL leaves it.
        ValueError: if two files hold runs of the same task, algorithm and seed, which
            merged would look like one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    curves: list[Curve] = []
    found: dict[tuple[str, str, str, int], Path] = {}
    for file in files_below(folder, ".json"):
        # What wandb leaves among the results is not one of them.
        for curve in _read_file(file, win_above) if "wandb" not in file.name else []:
            run = (curve.environment, curve.task, curve.algorithm, curve.seed)
            if run in found:
                raise ValueError(
                    f"{found[run]} and {file} hold two runs of {curve.algorithm} on "
                    f"{curve.environment}/{curve.task} with seed {curve.seed}: give a "
                    "folder with one of them."
                )
            found[run] = file
            curves.append(curve)
    if not curves:
        raise FileNotFoundError(f"No evaluation in any result file below {folder}.")
    return sorted(curves, key=lambda c: (c.environment, c.task, c.algorithm, c.seed))


def _read_file(file: Path, win_above: float | None) -> list[Curve]:
    """The runs of one result file that were evaluated at least once."""
    curves = []
    for run in read_plain_runs(file):
        if not run.frames:
            continue
        episodes = [np.array(one) for one in run.returns[RETURN]]
        curve = Curve(
            environment=run.environment,
            task=run.task,
            algorithm=run.algorithm,
            seed=run.seed,
            frames=run.frames,
            returns=tuple(float(np.mean(e)) for e in episodes),
            n_episodes=len(episodes[-1]),
            seconds=seconds_of(file),
            win_rates=None
            if win_above is None
            else tuple(float(np.mean(e > win_above)) for e in episodes),
        )
        curves.append(curve)
    return curves


def plot_curves(curves: list[Curve]) -> Figure:
    """Return, or win rate, against frames: a panel per task, a color per algorithm.

    Thin lines are seeds, the thick one is their mean, drawn where all of them were
    evaluated.

    Args:
        curves (list of Curve): runs to draw, at least one.

    Returns:
        Figure: to be saved or shown.
    """
    tasks = list(dict.fromkeys((c.environment, c.task) for c in curves))
    styles = styles_of(c.algorithm for c in curves)
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(6.4 * len(tasks), 4.4), squeeze=False
    )
    for axis, task in zip(axes[0], tasks, strict=True):
        for algorithm, style in styles.items():
            chosen = [
                c
                for c in curves
                if (c.environment, c.task) == task and c.algorithm == algorithm
            ]
            if chosen:
                _draw(axis, chosen, style)
        axis.set_title("/".join(task))
        axis.set_xlabel("frames (environment steps)")
        wins = any(c.win_rates is not None for c in curves)
        axis.set_ylabel(f"{'win rate' if wins else 'mean return'} of greedy episodes")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.tight_layout()
    return figure


def _draw(axis: plt.Axes, curves: list[Curve], style: Style) -> None:
    seeds = ", ".join(str(c.seed) for c in curves)
    label = f"{curves[0].algorithm} (seed{'s' * (len(curves) > 1)} {seeds})"
    if len(curves) > 1:
        for curve in curves:
            axis.plot(curve.frames, curve.scores, color=style.color, alpha=0.35, lw=1)
    shared = sorted(set.intersection(*(set(c.frames) for c in curves)))
    at = [dict(zip(c.frames, c.scores, strict=True)) for c in curves]
    mean = [float(np.mean([run[frame] for run in at])) for frame in shared]
    axis.plot(shared, mean, ms=4, lw=2, label=label, **style.options)
