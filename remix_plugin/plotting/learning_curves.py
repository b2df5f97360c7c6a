"""Learning curves of all runs below a folder, finished or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from remix_plugin.callbacks.episodes import RETURN
from remix_plugin.plotting.curve_figures import draw_panels
from remix_plugin.plotting.panels import panels_of
from remix_plugin.plotting.style import styles_of
from remix_plugin.results.reading import read_results
from remix_plugin.results.run_result import RunResult


def read_curves(folder: str | Path, win_above: float | None = None) -> list[RunResult]:
    """Read all runs below a folder, those of suites that have not ended too.

    Args:
        folder: see :func:`~remix_plugin.results.reading.read_results`.
        win_above (float, optional): episodes with a larger return were won, which gives
            the win rates. On battles that holds for the json of any algorithm, which
            knows returns alone.

    Returns:
        list of RunResult: ordered by task, label, seed and block.

    Raises:
        FileNotFoundError: if there is no evaluation in any result file below
            ``folder``, or no such folder.
        DamagedFileError: if a file is not as a run of BenchMARL leaves it.
    """
    runs = read_results(Path(folder), unfinished=True)
    if not runs:
        raise FileNotFoundError(f"No evaluation in any result file below {folder}.")
    runs.sort(key=lambda run: (run.task, run.label, run.seed, run.block))
    if win_above is None:
        return runs
    return [_with_win_rates(run, win_above) for run in runs]


def _with_win_rates(run: RunResult, win_above: float) -> RunResult:
    rates = tuple(
        tuple(float(episode > win_above) for episode in evaluation)
        for evaluation in run.episodes[RETURN]
    )
    return replace(run, episodes={**run.episodes, "win_rate": rates})


def plot_curves(runs: Sequence[RunResult], metric: str = RETURN) -> Figure:
    """A metric by frames: a panel per task, a color per algorithm.

    Lines are means over seeds and bands their 95% intervals, at the frames at which all
    seeds of an algorithm were evaluated.

    Args:
        runs (sequence of RunResult): at least one.
        metric (str): ``"return"``, or ``"win_rate"`` if all runs have it.

    Returns:
        Figure: to be saved or shown.
    """
    panels = [replace(panel, metric=metric) for panel in panels_of(runs)]
    styles = styles_of(run.label for run in runs)
    return draw_panels("", "", "", panels, styles, same_units=False).figure
