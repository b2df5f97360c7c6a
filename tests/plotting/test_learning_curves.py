"""Curves read from hand-made result files, the picture and the script around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib import pyplot as plt
from written_runs import write_json

from remix_plugin.plotting.learning_curves import plot_curves, read_curves

ROOT = Path(__file__).parents[2]


def write_run(
    folder: Path,
    algorithm: str,
    seed: int,
    returns: dict[int, list[float]],
    minutes: float | None = None,
) -> None:
    """What BenchMARL leaves after a run."""
    target = folder / f"{algorithm}_{seed}"
    target.mkdir()
    run = ("predator_prey", "punish_2", algorithm, seed)
    write_json(target / "run.json", run, [*returns], [*returns.values()])
    if minutes is not None:
        scalars = target / "run" / "scalars"
        scalars.mkdir(parents=True)
        log = f"0,1.5\n1,{60 * minutes}\n"
        (scalars / "timers_total_time.csv").write_text(log)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_run(tmp_path, "remix", 1, {10: [1.0, 3.0], 20: [5.0, 5.0]}, minutes=2.5)
    write_run(tmp_path, "remix", 0, {10: [0.0, 2.0], 20: [3.0, 4.0], 30: [7.0, 9.0]})
    write_run(tmp_path, "qmix", 0, {10: [-1.0], 20: [-2.0]})
    (tmp_path / "wandb-summary.json").write_text('{"loss": 1.0}')
    return tmp_path


def test_read_curves_orders_runs_and_averages_episodes(results: Path) -> None:
    curves = read_curves(results)
    assert [(c.label, c.seed) for c in curves] == [
        ("qmix", 0),
        ("remix", 0),
        ("remix", 1),
    ]
    assert curves[1].frames == (10, 20, 30)
    assert curves[1].means("return") == (1.0, 3.5, 8.0)
    assert [c.record.get("seconds") for c in curves] == [None, None, 150.0]


def test_win_rates_are_shares_of_returns_above_a_bound(results: Path) -> None:
    curves = read_curves(results, win_above=3.0)
    rates = [c.means("win_rate") for c in curves]
    assert rates == [(0.0, 0.0), (0.0, 0.5, 1.0), (0.0, 1.0)]
    axis = plot_curves(curves, "win_rate").axes[0]
    assert axis.get_ylabel() == "win rate"
    lines = {line.get_label(): line for line in axis.get_lines()}
    assert list(lines["remix"].get_ydata()) == [0.0, 0.75]
    assert plot_curves(read_curves(results)).axes[0].get_ylabel() == "mean return"


def test_read_curves_refuses_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        read_curves(tmp_path)


def test_two_runs_of_one_seed_are_not_merged(results: Path) -> None:
    again = results / "again"
    again.mkdir()
    write_run(again, "remix", 0, {10: [-5.0], 40: [1.0]})
    labels = [(curve.label, curve.seed) for curve in read_curves(results)]
    assert ("remix_again", 0) in labels and ("remix_remix_0", 0) in labels


def test_line_is_the_mean_where_all_seeds_were_evaluated(results: Path) -> None:
    figure = plot_curves(read_curves(results))
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert lines["remix"].get_xdata() == pytest.approx([10, 20])
    assert lines["remix"].get_ydata() == pytest.approx([1.5, 4.25])
    assert lines["qmix"].get_ydata() == pytest.approx([-1.0, -2.0])
    plt.close(figure)


def test_many_algorithms_are_told_apart(tmp_path: Path) -> None:
    for number in range(10):
        write_run(tmp_path, f"algorithm_{number}", 0, {10: [1.0], 20: [2.0]})
    figure = plot_curves(read_curves(tmp_path))
    styles = {
        (line.get_color(), line.get_marker(), line.get_linestyle())
        for line in figure.axes[0].get_lines()
    }
    assert len(styles) == 10
    plt.close(figure)


def test_script_prints_last_returns_and_writes_the_picture(
    results: Path, run_remix: Callable[..., str]
) -> None:
    printed = run_remix("curves", results, "--at", 20, 30)
    assert (
        "remix on predator_prey/punish_2, seed 0: last evaluation return 8.00 "
        "(mean of 2 greedy episodes at 30 frames)" in printed
    )
    assert "| task | algorithm | seed | 20 | 30 | minutes |\n" in printed
    rows = "| punish_2 | remix | 0 | 3.5 | 8.0 | - |\n"
    rows += "| punish_2 | remix | 1 | 5.0 | - | 2.5 |\n"
    assert rows in printed
    picture = results / "learning_curves.png"
    assert str(picture) in printed
    assert plt.imread(picture).std() > 0.01


def test_script_prints_win_rates(results: Path, run_remix: Callable[..., str]) -> None:
    arguments = (results, "--at", 20, "--win-above", 3)
    printed = run_remix("curves", *arguments)
    assert "seed 0: last evaluation return 8.00, win rate 1.00 (mean of 2" in printed
    assert "| punish_2 | remix | 0 | 0.50 | - |\n" in printed
