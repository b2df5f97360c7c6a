"""Figure 3: a map of counts, whose total is what was sampled."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_results import a_run, draw

from remix_plugin.plotting.paper_figure import PaperFigure
from remix_plugin.plotting.weight_figure import n_sampled, shares, sum_counts
from remix_plugin.results.run_result import WeightCounts

# Intervals of 100 frames, bins around 0, 0.5 and 1, and what is beyond.
FIRST = [(0, 6, 2, 0), (0, 7, 1, 0), (0, 8, 0, 0)]
SECOND = [(0, 2, 6, 0), (1, 0, 7, 0), (0, 8, 0, 0)]


def drawn(*runs: tuple[str, int, list[tuple[int, ...]]]) -> PaperFigure:
    results = [a_run(label, seed, weights=rows) for label, seed, rows in runs]
    (figure,) = draw(results, ["figure_3"])
    return figure


def test_counts_of_seeds_are_added() -> None:
    total = sum_counts([a_run(weights=FIRST), a_run(seed=1, weights=SECOND)])
    assert total == WeightCounts(
        centers=(0.0, 0.5, 1.0),
        frames=(100, 200, 300),
        counts=((0, 8, 8, 0), (1, 7, 8, 0), (0, 16, 0, 0)),
    )
    assert shares(total).T.tolist() == [
        [0, 0.5, 0.5, 0],
        [1 / 16, 7 / 16, 0.5, 0],
        [0, 1, 0, 0],
    ]


def test_total_is_what_the_fast_settings_sample() -> None:
    # 16 updates on 512 transitions per 2,000 frames, for 300,000 frames.
    per_interval = 5 * 16 * 512
    rows = [(0, per_interval - 9, 7, 2)] * 30
    frames = tuple(range(10_000, 300_001, 10_000))
    run = a_run(frames=frames, scores=[0.0] * 30, weights=rows)
    assert n_sampled(sum_counts([run])) == 300_000 // 2_000 * 16 * 512 == 1_228_800


def test_map_holds_shares_of_both_algorithms() -> None:
    figure = drawn(("owqmix", 0, SECOND), ("remix", 0, FIRST), ("remix", 1, SECOND))
    ours, theirs, bar, _ = figure.figure.axes
    assert [ours.get_title(), theirs.get_title()] == ["ReMIX", "OW-QMIX"]
    mesh = ours.collections[0]
    table = np.ma.filled(mesh.get_array(), 0.0)
    assert table.tolist() == [[0, 1 / 16, 0], [0.5, 7 / 16, 1], [0.5, 0.5, 0]]
    corners = mesh.get_coordinates()
    assert corners[0, :, 0].tolist() == [0, 100, 200, 300]
    assert corners[:, 0, 1].tolist() == [-0.25, 0.25, 0.75, 1.25]
    (line,) = ours.get_lines()
    assert list(line.get_xdata()) == [50, 150, 250]
    assert list(line.get_ydata()) == pytest.approx([0.75, 7 / 32 + 0.5, 0.5])
    other = np.ma.filled(theirs.collections[0].get_array(), 0.0)
    assert other.T.tolist() == [[0, 0.25, 0.75], [0.125, 0, 0.875], [0, 1, 0]]
    assert bar.get_ylabel() == "share of transitions"
    assert (mesh.norm.vmin, mesh.norm.vmax) == (1e-4, 1)


def test_small_shares_are_white_and_weights_beyond_the_bins_are_drawn() -> None:
    figure = drawn(("remix", 0, [(1, 99_998, 0, 1), (0, 9, 0, 1), (0, 1, 0, 0)]))
    mesh = figure.figure.axes[0].collections[0]
    assert mesh.get_array().shape == (4, 3)
    mask = np.ma.getmaskarray(mesh.get_array())
    assert mask[:, 0].tolist() == [True, False, True, True]
    assert mask[:, 1].tolist() == [True, False, True, False]
    assert mesh.get_coordinates()[-1, 0, 1] == 1.75


def test_caption_counts_transitions_and_says_what_is_missing() -> None:
    figure = drawn(("remix", 0, FIRST), ("remix", 1, SECOND))
    assert figure.name == "figure_3_anneal_50k"
    assert "ReMIX 48. There are no runs of OW-QMIX yet. 2 seeds per" in figure.caption
    both = drawn(("remix", 0, FIRST), ("owqmix", 0, SECOND)).caption
    assert "Transitions: ReMIX 24, OW-QMIX 24. 1 seed per panel. 300 frames" in both
    assert "no band" not in both


def test_other_tasks_labels_and_runs_without_weights_are_left_out() -> None:
    others = [
        a_run("cwqmix", weights=FIRST),
        a_run(task="predator_prey/punish_0", weights=FIRST),
        a_run("owqmix"),
    ]
    assert draw(others, ["figure_3"]) == []


def test_counts_that_cannot_be_added_are_refused() -> None:
    late = a_run(seed=1, weights=FIRST, frames=(100, 200, 400))
    with pytest.raises(ValueError, match=r"different frames, \(100, 200, 300\) and"):
        sum_counts([a_run(weights=FIRST), late])
    run = a_run(seed=1, weights=FIRST)
    counts = WeightCounts((0.0, 0.4, 0.8), run.frames, tuple(map(tuple, FIRST)))
    run.weights["agents"] = counts
    with pytest.raises(ValueError, match=r"different centers, \(0.0, 0.5, 1.0\) and"):
        sum_counts([a_run(weights=FIRST), run])
    with pytest.raises(
        KeyError, match=r"seed_0 has no weights of 'prey': it has agents"
    ):
        sum_counts([a_run(weights=FIRST)], "prey")
    empty = sum_counts([a_run(weights=[(0, 1, 0, 0), (0, 0, 0, 0), (0, 1, 0, 0)])])
    with pytest.raises(ValueError, match=r"No transition was sampled .* up to 200"):
        shares(empty)
