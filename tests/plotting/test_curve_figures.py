"""Figures 1, 2, 4 and 5: what is drawn is what was computed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color, to_hex
from matplotlib.figure import Figure
from synthetic_results import a_run, draw

from remix_plugin.plotting.figures import KINDS, without_data
from remix_plugin.plotting.panels import NORMALIZATIONS
from remix_plugin.plotting.paper_figure import PaperFigure, save
from remix_plugin.plotting.style import STYLES
from remix_plugin.results.run_result import RunResult
from remix_plugin.statistics.bootstrap import mean_interval

pytestmark = pytest.mark.slow

LEGEND = ["ReMIX", "OW-QMIX"]
PUNISHMENTS = ("0", "0_5", "1_5", "2")


def hunts() -> list[RunResult]:
    """Three seeds of ReMIX and two of OW-QMIX, at four punishments."""
    scores = {"remix": [(0, 8, 30), (3, 5, 36), (6, 5, 33)], "owqmix": [(1, 2, 3)] * 2}
    return [
        a_run(label, seed, values, task=f"predator_prey/punish_{punishment}")
        for punishment in PUNISHMENTS
        for label, seeds in scores.items()
        for seed, values in enumerate(seeds)
    ]


def lines(axis: Axes) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in axis.get_lines()}


def only(figures: list[PaperFigure]) -> PaperFigure:
    assert len(figures) == 1
    return figures[0]


def panels(figure: Figure) -> dict[str, Axes]:
    return {axis.get_title(): axis for axis in figure.axes}


def test_returns_are_means_over_seeds_with_their_intervals() -> None:
    drawn = only(draw(hunts(), ["figure_1"]))
    assert drawn.name == "figure_1_anneal_50k"
    titles = ["punishment 0", "punishment -0.5", "punishment -1.5", "punishment -2"]
    assert list(panels(drawn.figure)) == titles
    low, high = mean_interval([(0, 8, 30), (3, 5, 36), (6, 5, 33)])
    for axis in drawn.figure.axes:
        assert lines(axis) == {"remix": [3, 6, 33], "owqmix": [1, 2, 3]}
        assert list(axis.get_lines()[0].get_xdata()) == [100, 200, 300]
        bands = [band.get_paths()[0].vertices for band in axis.collections]
        assert len(bands) == 2
        corners = {(x, round(y, 9)) for x, y in bands[0]}
        for x, *ends in zip((100, 200, 300), low, high, strict=True):
            assert {(x, round(end, 9)) for end in ends} <= corners


def test_curves_look_as_their_algorithms_do_in_every_figure() -> None:
    runs = [*hunts(), a_run("vdn"), a_run("unknown"), a_run("remix_w_min_0_5")]
    seen = set()
    for drawn in draw(runs, ["figure_1", "figure_4"]):
        for line in (line for axis in drawn.figure.axes for line in axis.get_lines()):
            label = line.get_label()
            seen.add(label)
            if label in STYLES:
                style = STYLES[label]
                assert same_color(line.get_color(), style.color)
                assert line.get_marker() == style.marker
                assert line.get_linestyle() == style.line
    assert seen == {"remix", "owqmix", "vdn", "unknown", "remix_w_min_0_5"}


def test_policy_based_algorithms_have_a_picture_of_their_own() -> None:
    labels = ("remix", "vdn", "coma", "coma_entropy_coef_0.1", "mappo", "unknown")
    runs = [a_run(label) for label in labels]
    values, policies = draw(runs, ["figure_1"])
    assert (values.name, policies.name) == (
        "figure_1_anneal_50k",
        "figure_1_anneal_50k_policies",
    )
    assert "on Predator-Prey, value-based algorithms." in values.caption
    assert "on Predator-Prey, policy-based algorithms." in policies.caption
    assert set(lines(values.figure.axes[0])) == {"remix", "vdn", "unknown"}
    shown = set(lines(policies.figure.axes[0]))
    assert shown == {"remix", "mappo", "coma", "coma_entropy_coef_0.1"}
    alone = only(draw([a_run("coma")], ["figure_1"]))
    assert set(lines(alone.figure.axes[0])) == {"coma"}


def test_one_legend_outside_of_the_panels_names_all_curves() -> None:
    drawn = only(draw([*hunts()[:-5], a_run("vdn")], ["figure_1"]))
    (legend,) = drawn.figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [*LEGEND, "VDN (BenchMARL)"]
    assert all(axis.get_legend() is None for axis in drawn.figure.axes)
    colors = [to_hex(handle.get_color()).upper() for handle in legend.legend_handles]
    assert colors == [STYLES[label].color for label in ("remix", "owqmix", "vdn")]


def test_caption_counts_seeds_frames_and_episodes() -> None:
    caption = only(draw(hunts(), ["figure_1"])).caption
    assert caption.endswith(
        "3 seeds per curve, except OW-QMIX: 2; a band of two or three seeds is their "
        "range. 300 frames; 2 greedy episodes per "
        "evaluation; exploration falls over 50,000 frames; commit 0123456789."
    )
    one = a_run(task="predator_prey/punish_0")
    caption = only(draw([a_run(), a_run(seed=1), one], ["figure_1"])).caption
    assert ". 1 to 2 seeds per curve; a curve of one seed" in caption
    two = [a_run(label, seed) for label in ("qmix", "vdn") for seed in (0, 1)]
    more = [a_run(label, task=one.task) for label in ("qmix", "vdn")]
    caption = only(draw([a_run(), one, *two, *more], ["figure_1"])).caption
    assert "1 to 2 seeds per curve, except ReMIX: 1; a curve" in caption
    caption = only(draw([a_run(), one], ["figure_1"])).caption
    assert "1 seed per curve; a curve of one seed has no band." in caption
    other = a_run("qmix", commit="ffff")
    caption = only(draw([a_run(), one, other], ["figure_1"])).caption
    assert "1 seed per curve, except QMIX (BenchMARL): 0 to 1" in caption
    assert caption.endswith("2 commits.")


def test_caption_counts_commits_and_says_whether_they_were_changed() -> None:
    def said(*commits: str) -> str:
        runs = [a_run(seed=i, commit=one) for i, one in enumerate(commits)]
        return only(draw(runs, ["figure_1"])).caption.rpartition("; ")[2]

    changed = "aaaabbbbccccdddd, with changes"
    assert said(changed) == "commit aaaabbbbcc, with changes."
    assert said("aaaabbbbccccdddd", changed) == "commit aaaabbbbcc, some with changes."
    assert said("aaaabbbbccccdddd", "eeee") == "2 commits."
    assert said("eeee", changed) == "2 commits, some with changes."


@pytest.mark.parametrize("n_seeds", [2, 3, 4])
def test_caption_says_what_bands_of_few_seeds_are(n_seeds: int) -> None:
    scores = [(seed, seed**2, seed**3) for seed in range(1, n_seeds + 1)]
    runs = [a_run(seed=seed, scores=one) for seed, one in enumerate(scores)]
    drawn = only(draw(runs, ["figure_1"]))
    is_range = "; a band of two or three seeds is their range." in drawn.caption
    assert is_range == (n_seeds < 4)
    (band,) = drawn.figure.axes[0].collections
    last = [y for x, y in band.get_paths()[0].vertices if x == 300]
    assert ({min(last), max(last)} == {1, n_seeds**3}) == is_range


def test_panels_may_have_other_budgets() -> None:
    longer = a_run(
        frames=(1, 2, 3, 4), scores=(0, 50, -20, 5), task="predator_prey/punish_0"
    )
    drawn = only(draw([a_run(), longer], ["figure_1"]))
    assert lines(panels(drawn.figure)["punishment 0"])["remix"] == [0, 50, -20, 5]
    # The axis is that of both.
    assert "Below 0 the axis is logarithmic." in drawn.caption


def test_caption_begins_with_the_usual_number_of_seeds() -> None:
    runs = [a_run(), a_run("qmix"), *(a_run("vdn", seed) for seed in range(3))]
    caption = only(draw(runs, ["figure_1"])).caption
    assert "1 seed per curve, except VDN (BenchMARL): 3; a curve" in caption
    assert "has no band; a band of two or three seeds is their range. " in caption


def test_equal_curves_have_their_markers_at_different_frames() -> None:
    frames = tuple(range(30))
    runs = [a_run(label, scores=frames, frames=frames) for label in ("remix", "qmix")]
    (axis,) = only(draw(runs, ["figure_1"])).figure.axes
    first, second = (line.get_markevery() for line in axis.get_lines())
    marked = [set(frames[start::step]) for start, step in (first, second)]
    assert not marked[0] & marked[1]
    assert min(map(len, marked)) >= 7


def test_everything_lies_within_and_the_caption_is_not_in_the_picture() -> None:
    runs = [*hunts(), *(a_run(label) for label in list(STYLES)[2:])]
    for drawn in draw(runs, ["figure_1", "figure_5", "final"]):
        figure = drawn.figure
        figure.draw_without_rendering()
        assert figure._supxlabel is None
        width, height = figure.bbox.size
        for part in (*figure.legends, *figure.axes):
            box = part.get_tightbbox()
            assert 0 <= box.x0 < box.x1 <= width and 0 <= box.y0 < box.y1 <= height
        for legend in figure.legends:
            highest = max(axis.get_tightbbox().y1 for axis in figure.axes)
            assert legend.get_tightbbox().y0 >= highest - 1
        assert figure.get_figwidth() == 7.0
        assert 8 <= figure.axes[0].title.get_fontsize() <= 9


def test_panels_one_by_one_are_those_of_the_figure() -> None:
    deep = a_run("vdn", scores=(-70, 0, 1), task="predator_prey/punish_0")
    for drawn in draw([*hunts(), deep], ["figure_1", "final"]):
        for number, axis in enumerate(drawn.figure.axes):
            (alone,) = drawn.panel(number).axes
            assert lines(alone) == lines(axis)
            assert (alone.get_xlim(), alone.get_ylim()) == (
                axis.get_xlim(),
                pytest.approx(axis.get_ylim()),
            )
            assert alone.get_yscale() == axis.get_yscale()
            assert alone.get_xlabel() in ("frames", "mean return")


def test_any_other_task_has_a_panel_with_an_axis_of_its_own() -> None:
    tasks = ("vmas/balance", "matrix_game/qtran")
    runs = [
        a_run(
            label, seed, (seed, 10, 900 * (task == tasks[0])), task=task, block="runs"
        )
        for task in tasks
        for label in ("mappo", "qmix")
        for seed in range(2)
    ]
    for run in runs:
        run.record.clear()
    short = a_run("qmix", 2, (0, 10), task=tasks[0], block="runs", frames=(200, 400))
    short.record.clear()
    drawn, final = draw([*runs, short])
    assert (drawn.name, final.name) == ("returns_runs", "final_returns_runs")
    own = panels(drawn.figure)
    assert list(own) == ["matrix_game/qtran", "vmas/balance"]
    # At the frames that all three seeds of QMIX have
    curves = lines(own["vmas/balance"])
    assert curves == {"qmix": [20 / 3], "mappo": [0.5, 10, 900]}
    assert list(lines(own["matrix_game/qtran"])) == ["qmix", "mappo"]
    _, high = own["matrix_game/qtran"].get_ylim()
    assert high < 20
    assert "2 to 3 seeds per curve, except MAPPO (BenchMARL): 2;" in drawn.caption
    assert drawn.caption.endswith(
        "200 to 300 frames; 4 greedy episodes per evaluation."
    )


def test_battles_without_win_rates_are_shown_by_their_returns() -> None:
    task, other = "smax/3m", a_run("qmix", task="smax/3m", scores=(0, 0.5, 1))
    del other.episodes["win_rate"]
    names = [one.name for one in draw([a_run(task=task), other])]
    assert names == ["returns_anneal_50k", "final_returns_anneal_50k"]


def test_one_seed_has_a_line_and_no_band() -> None:
    (axis,) = only(draw([a_run()], ["figure_1"])).figure.axes
    assert lines(axis) == {"remix": [0, 10, 30]}
    assert not axis.collections


@pytest.mark.parametrize(
    ("lowest", "marked"),
    [
        (-15, [-30, -10]),
        (-49, [-30, -10]),
        (-75, [-100, -30, -10]),
        (-113, [-100, -30, -10]),
    ],
)
def test_axis_is_bent_only_where_returns_are_far_below_zero(
    lowest: float, marked: list[float]
) -> None:
    flat = only(draw(hunts(), ["figure_1"]))
    assert flat.figure.axes[0].get_yscale() == "linear"
    assert "logarithmic" not in flat.caption
    deep = only(draw([*hunts(), a_run("vdn", scores=(lowest, 0, 1))], ["figure_1"]))
    assert "Below 0 the axis is logarithmic." in deep.caption
    for axis in deep.figure.axes:
        assert axis.get_yscale() == "function"
        ticks = axis.get_yticks().tolist()
        assert ticks == [*marked, 0, 10, 20, 30, 40]
        low, high = axis.get_ylim()
        end = min(lowest, marked[0])
        assert 1.6 * end < low < end
        assert 36 < high < 40


def test_each_block_has_a_picture_of_its_own() -> None:
    runs = [a_run(), a_run(block="anneal_1m", overrides=[], scores=(1, 1, 1))]
    late, early = draw(runs, ["figure_1"])
    assert [late.name, early.name] == ["figure_1_anneal_1m", "figure_1_anneal_50k"]
    assert lines(late.figure.axes[0]) == {"remix": [1, 1, 1]}
    assert lines(early.figure.axes[0]) == {"remix": [0, 10, 30]}


def test_win_rates_have_a_panel_per_map() -> None:
    tasks = ("smax/3m", "smac/8m", "smacv2/terran_5_vs_5")
    runs = [a_run(scores=(0, 0.5, 1), task=t, block=t[-2:]) for t in tasks]
    runs.append(a_run("qmix", scores=(0, 0, 0.25), task="smax/3m", block="3m"))
    drawn = only(draw([*runs, a_run()], ["figure_2"]))
    assert drawn.name == "figure_2"
    titles = ["SMAC 8m", "SMACv2 terran_5_vs_5", "SMAX 3m"]
    assert list(panels(drawn.figure)) == titles
    assert lines(panels(drawn.figure)["SMAX 3m"]) == {
        "remix": [0, 0.5, 1],
        "qmix": [0, 0, 0.25],
    }
    assert drawn.figure.axes[0].get_ylabel() == "win rate"
    # The last panel is alone in its row: its column and the other one have frames.
    assert [axis.get_xlabel() for axis in drawn.figure.axes] == ["", "frames", "frames"]


@pytest.mark.parametrize(
    ("figure", "variants", "beside"),
    [
        ("figure_4", ["remix_w_min_0_5", "remix_w_min_0_8"], ["remix"]),
        ("figure_5", [x for x in STYLES if x.startswith("remix_no_")], ["remix"]),
        (
            "normalizations",
            [x for x in STYLES if x.startswith(NORMALIZATIONS)],
            ["remix", "owqmix", "cwqmix"],
        ),
    ],
)
def test_variants_are_drawn_beside_what_they_are_compared_with(
    figure: str, variants: list[str], beside: list[str]
) -> None:
    others = [label for label in STYLES if label not in variants]
    runs = [a_run(label) for label in [*variants, *others]]
    runs += [a_run(label, task="predator_prey/punish_0") for label in others]
    runs += [a_run(variants[0], task="predator_prey/punish_4")]
    drawn = only(draw(runs, [figure]))
    assert drawn.name == f"{figure}_anneal_50k"
    axes = panels(drawn.figure)
    assert list(axes) == ["punishment -2", "punishment -4"]
    assert list(lines(axes["punishment -2"])) == [*beside, *variants]
    assert list(lines(axes["punishment -4"])) == [variants[0]]
    legend = [text.get_text() for text in drawn.figure.legends[0].get_texts()]
    assert len(set(legend)) == len(variants) + len(beside)
    assert legend[0].startswith("ReMIX")
    assert ": mean return of greedy episodes." in drawn.caption
    for other in draw(runs, ["figure_1"]):
        assert not set(lines(panels(other.figure)["punishment -2"])) & set(variants)


def test_variants_on_battles_are_drawn_by_their_win_rates() -> None:
    labels = ("remix", "remix_no_bellman_error")
    runs = [
        a_run(label, scores=(0, 0.5), task="smax/3m", frames=(1, 2)) for label in labels
    ]
    (drawn,) = draw(runs, ["figure_5"])
    assert drawn.figure.axes[0].get_ylabel() == "win rate"
    # Beside returns, in one block: a picture each.
    runs += [a_run(label) for label in labels]
    names = [one.name for one in draw(runs, ["figure_5"])]
    assert names == ["figure_5_anneal_50k_return", "figure_5_anneal_50k_win_rate"]


def test_remix_alone_is_no_comparison_of_variants() -> None:
    figures = draw([a_run()])
    assert [f.name for f in figures] == [
        "figure_1_anneal_50k",
        "final_predator_prey_anneal_50k",
    ]
    missing = without_data(figures)
    names = ["figure_2", "figure_3", "figure_4", "figure_5"]
    names += ["normalizations", "returns", "profile"]
    assert [line.split(":")[0] for line in missing] == names
    assert missing[0].endswith("no data, it needs runs on smax/*, smac/* or smacv2/*.")
    assert without_data(figures, ["figure_1"]) == []
    assert [line.split(":")[0] for line in without_data([])] == list(KINDS)
    assert draw([]) == []


def test_unknown_figures_and_other_budgets_are_refused() -> None:
    with pytest.raises(
        ValueError, match="only holds 'figure_9': it must be of figure_1"
    ):
        draw([a_run()], ["figure_9"])
    runs = [a_run(), a_run("qmix", frames=(100, 200, 400))]
    with pytest.raises(ValueError, match="different frames"):
        draw(runs, ["figure_1"])


def test_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    first = only(draw(hunts(), ["figure_1"]))
    again = only(draw(hunts()[::-1], ["figure_1"]))
    formats = ("svg", "pdf")
    paths = save(first, tmp_path / "a", formats)
    assert [path.name for path in paths] == [
        f"figure_1_anneal_50k.{f}" for f in formats
    ]
    for path, other in zip(paths, save(again, tmp_path / "b", formats), strict=True):
        assert path.read_bytes() == other.read_bytes()
    assert b"<dc:date>" not in paths[0].read_bytes()
    with pytest.raises(ValueError, match="formats holds 'gif': it must be of png, svg"):
        save(first, tmp_path, ["gif"])
