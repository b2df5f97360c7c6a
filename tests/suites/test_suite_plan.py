"""Suite files say what is run, and those of the plugin can be run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_suites import write_suite

from remix_plugin.configs import config_path
from remix_plugin.suites.plan import Run, read_suite
from remix_plugin.suites.selection import _covering, check_overrides, select_runs

pytestmark = pytest.mark.slow

SUITES = sorted(
    path.stem for path in config_path("suites", "figure_1").parent.glob("*.yaml")
)
FIGURES = [name for name in SUITES if name.startswith("figure_")]


def test_runs_are_all_combinations_seed_by_seed(tmp_path: Path) -> None:
    suite = read_suite(write_suite(tmp_path, "a=1"), ("b=2",))
    assert (suite.name, suite.title) == ("tiny", "Tiny runs")
    assert [run.name for run in suite.runs] == [
        "small/predator_prey-punish_2/remix/seed_0",
        "small/predator_prey-punish_2/qmix/seed_0",
        "small/predator_prey-punish_2/remix/seed_1",
        "small/predator_prey-punish_2/qmix/seed_1",
    ]
    assert suite.runs[3].overrides == (
        "experiment=predator_prey",
        "a=1",
        "task=predator_prey/punish_2",
        "algorithm=qmix",
        "seed=1",
        "b=2",
    )


def change(path: str, **fields: Any) -> None:
    """Change the block of a suite file; None removes a field."""
    content = yaml.safe_load(Path(path).read_text())
    block = content["blocks"]["small"]
    block.update(fields)
    content["blocks"]["small"] = {k: v for k, v in block.items() if v is not None}
    Path(path).write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seeds": None}, "block 'small' has .*: it must have .*seeds"),
        ({"sedes": [1]}, "block 'small' has .*sedes.*: it must have"),
        ({"seeds": []}, r"block 'small': seeds is \[\]: it must have one"),
        ({"algorithms": {}}, "block 'small': algorithms is {}: it must have one"),
        ({"tasks": "a/b"}, "block 'small': tasks is 'a/b': it must be a list of text"),
        ({"seeds": [0, 0]}, "'small/.*/seed_0' is listed more than once"),
        ({"seeds": ["0"]}, r"seeds is \['0'\]: it must be a list of whole numbers"),
        ({"seeds": [True]}, r"seeds is \[True\]: it must be a list of whole numbers"),
        ({"algorithms": "remix"}, "algorithms is 'remix': it must be a list of text"),
        (
            {"algorithms": {"remix": "algorithm=remix"}},
            "'remix' of algorithms is 'algorithm=remix': it must be a list of text",
        ),
        (
            {"overrides": [{"experiment.lr": 0.1}]},
            r"overrides is \[{'experiment.lr': 0.1}\]: it must be a list of text",
        ),
        (
            {"algorithms": ["paper/remix"]},
            r"an algorithm is named 'paper/remix': .* NAME: \[algorithm=paper/remix\]",
        ),
        ({"algorithms": {"..": ["algorithm=remix"]}}, r"algorithm is named '\.\.'"),
        (
            {"overrides": ["seed=3"]},
            "small': overrides: seed=3 is not allowed: a run's",
        ),
        (
            {"algorithms": {"other": ["algorithm=remix", "task=x/y"]}},
            "'other' of algorithms: task=x/y is not allowed",
        ),
    ],
)
def test_bad_blocks_are_refused(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    path = write_suite(tmp_path)
    change(path, **fields)
    with pytest.raises(ValueError, match=message):
        read_suite(path)


def test_suites_without_blocks_or_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("title: nothing\noverrides: []\nblocks: {}\n")
    with pytest.raises(
        ValueError, match=r"blocks is \{\}: it must map names to blocks"
    ):
        read_suite(str(path))
    path.write_text("")
    with pytest.raises(ValueError, match="has nothing: it must have title, overrides"):
        read_suite(str(path))
    path.write_text("title: nothing\noverrides: []\nblocks: {a/b: {}}\n")
    with pytest.raises(ValueError, match="block is named 'a/b': it must be at most 64"):
        read_suite(str(path))
    path.write_text("title: nothing\noverrides: []\nblocks: {a: 3}\n")
    with pytest.raises(ValueError, match="block 'a' has 3: it must have algorithms"):
        read_suite(str(path))
    path.write_text("title: [")
    with pytest.raises(ValueError, match=r"empty.yaml cannot .* not YAML, .*line 1"):
        read_suite(str(path))
    with pytest.raises(FileNotFoundError, match="figure_1"):
        read_suite("figure_0")


@pytest.mark.parametrize("extra", ["algorithm=qmix", "+task=a/b", "seed=7"])
def test_what_names_runs_cannot_be_overridden(tmp_path: Path, extra: str) -> None:
    # Hydra takes the last: all runs would be of one algorithm, whatever their names.
    path = write_suite(tmp_path)
    with pytest.raises(ValueError, match=re.escape(f"{extra} is not allowed")):
        read_suite(path, ("experiment.lr=0.1", extra))
    # An option of the algorithm is none of them.
    assert read_suite(path, ("algorithm.gamma=0.5",)).runs


@pytest.mark.parametrize(
    ("overrides", "frames"),
    [
        (("experiment.max_n_frames=300_000",), 300_000),
        (("experiment.max_n_frames=5", "experiment.max_n_frames=7", "seed=1"), 7),
        (("experiment=predator_prey",), None),
        (("experiment.max_n_frames=${x}",), None),
        (("experiment.max_n_frames=²",), None),
        ((f"experiment.max_n_frames={'9' * 5000}",), None),
    ],
)
def test_frames_are_those_of_the_last_override(
    overrides: tuple[str, ...], frames: int | None
) -> None:
    assert Run("b", "t", "l", 0, overrides).frames == frames


def test_figures_share_runs_but_disagree_on_none() -> None:
    suites = [read_suite(name) for name in FIGURES]
    runs = select_runs(suites)
    assert len(runs) < sum(len(suite.runs) for suite in suites)
    by_name = {suite.name: {run.name for run in suite.runs} for suite in suites}
    assert by_name["figure_3"] < by_name["figure_1"]
    # ReMIX itself is in all of them.
    for figure in ("figure_4", "figure_5"):
        assert 0 < len(by_name[figure] & by_name["figure_1"]) < len(by_name[figure])


def test_runs_of_one_name_that_differ_are_refused(tmp_path: Path) -> None:
    first = read_suite(write_suite(tmp_path, "a=1"))
    second = read_suite(write_suite(tmp_path, "a=2", name="other"))
    with pytest.raises(ValueError, match=r"seed_0 of other has .* a=2 .* a=1 "):
        select_runs([first, second])


def test_runs_are_chosen_by_name(tmp_path: Path) -> None:
    suite = read_suite(write_suite(tmp_path))
    chosen = select_runs([suite], ["*/remix/*", "*/seed_1"])
    labels = [(run.label, run.seed) for run in chosen]
    assert labels == [("remix", 0), ("remix", 1), ("qmix", 1)]
    with pytest.raises(ValueError, match=r"No run matches '\*/seed_2': .*seed_0"):
        select_runs([suite], ["*/seed_2"])


def test_few_runs_have_all_overrides_together_with_those_beside_them() -> None:
    runs = read_suite("figure_1").runs
    few = _covering(runs)
    assert len(few) < len(runs) / 8
    every = {override for run in runs for override in run.overrides}
    tried = {override for run in few for override in run.overrides}
    assert {o for o in every - tried if not o.startswith("seed=")} == set()
    assert _covering([]) == []
    # Options of an algorithm are tried with the algorithm that they are meant for.
    swapped = ("algorithm=qmix", "algorithm=remix", "algorithm.w_min=0.5")
    variants = [
        Run("b", "t", "one", 0, ("algorithm=remix", "algorithm.w_min=0.5")),
        Run("b", "t", "two", 0, ("algorithm=qmix",)),
        Run("b", "t", "three", 0, ("algorithm=remix",)),
        Run("b", "t", "three", 1, ("algorithm=remix",)),
        Run("b", "t", "four", 1, swapped),
    ]
    labels = [run.label for run in _covering(variants)]
    assert labels == ["one", "two", "three", "four"]


def test_figures_can_be_run() -> None:
    # StarCraft is not everywhere.
    runs = select_runs(read_suite(name) for name in FIGURES)
    check_overrides(runs, here=False)


@pytest.mark.parametrize("name", sorted(set(SUITES) - set(FIGURES)))
def test_other_suites_can_be_run(name: str) -> None:
    check_overrides(read_suite(name).runs)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["experiment.max_frames=3"], "remix/seed_0 cannot .*max_frames.* overrides"),
        (["experiment=predatorprey"], "experiment/predatorprey"),
        (
            ["algorithm.w_min=low"],
            r"Error merging override algorithm.w_min=low \(.*'low'",
        ),
    ],
)
def test_misspelt_overrides_are_named(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match="(?s)" + message):
        check_overrides(read_suite(write_suite(tmp_path, *overrides)).runs)


@pytest.mark.parametrize("name", ["evaluation", "create_json"])
def test_runs_without_results_are_refused(tmp_path: Path, name: str) -> None:
    path = write_suite(tmp_path, f"experiment.{name}=False")
    with pytest.raises(ValueError, match=rf"seed_0 has experiment.{name}=False"):
        check_overrides(read_suite(path).runs)


@pytest.mark.parametrize("name", ["save_folder", "restore_file"])
def test_runs_that_write_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    path = write_suite(tmp_path, f"experiment.{name}=/data")
    message = rf"seed_0 has experiment.{name}='/data': it must be null"
    with pytest.raises(ValueError, match=message):
        check_overrides(read_suite(path).runs)


@pytest.mark.parametrize(("algorithm", "kind"), [("qmix", "off"), ("mappo", "on")])
def test_batches_that_would_be_rounded_up_are_refused(
    tmp_path: Path, algorithm: str, kind: str
) -> None:
    other = {"off": "on", "on": "off"}[kind]
    frames = "policy_collected_frames_per_batch=2_010"
    envs = "policy_n_envs_per_worker=40"

    def check(which: str) -> None:
        overrides = (f"experiment.{which}_{name}" for name in (frames, envs))
        # A multiple of everyone's frames per batch
        overrides = (*overrides, "experiment.evaluation_interval=12_060_000")
        overrides = (*overrides, "experiment.checkpoint_interval=0")
        path = write_suite(tmp_path, *overrides, algorithms=[algorithm], name=which)
        check_overrides(read_suite(path).runs)

    check(other)
    with pytest.raises(ValueError, match=rf"{kind}_{frames[:-5]}2010 is .*_worker=40"):
        check(kind)


@pytest.mark.parametrize("algorithm", ["qmix", "remix"])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("experiment.gamma=1.5", r"experiment\.gamma=1\.5 is not .* >= 0 and <= 1"),
        ("experiment.off_policy_n_optimizer_steps=0", r"steps=0 is not .* >= 1"),
        ("experiment.evaluation_interval=2_001", "not a multiple of"),
        ("experiment.loggers=[cvs]", r"loggers=\['cvs'\] is not .* csv, mlflow"),
        ("model.num_cells=[1_000_000_000]", r"model\.num_cells\[0\]=.* <= 16384"),
        ("task.window_size=100_001", "window_size=100001 is not .* of this machine"),
        ("+task.n_prex=3", "n_prex is not an option .* n_prey,"),
    ],
)
def test_options_out_of_range_are_refused_for_every_algorithm(
    algorithm: str, override: str, message: str, tmp_path: Path
) -> None:
    path = write_suite(tmp_path, override, algorithms=[algorithm], seeds=(0,))
    with pytest.raises(ValueError, match=rf"(?s){algorithm}/seed_0: .*{message}"):
        check_overrides(read_suite(path).runs)


def test_options_of_each_kind_are_checked_with_an_algorithm_of_that_kind(
    tmp_path: Path,
) -> None:
    on_policy = "experiment.on_policy_minibatch_size=0"
    whole = "experiment.evaluation_interval=12_000"
    algorithms = {"a": ["algorithm=qmix", on_policy], "b": ["algorithm=mappo", whole]}
    path = write_suite(tmp_path, algorithms=algorithms)
    check_overrides(read_suite(path).runs)
    algorithms["c"] = ["algorithm=mappo", whole, on_policy]
    path = write_suite(tmp_path, algorithms=algorithms)
    with pytest.raises(ValueError, match=r"c/seed_0: .*minibatch_size=0"):
        check_overrides(read_suite(path).runs)


def test_packages_and_devices_are_those_of_the_machine_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    path = write_suite(tmp_path, "experiment.loggers=[csv,wandb]")
    check_overrides(read_suite(path).runs, here=False)
    with pytest.raises(ModuleNotFoundError, match=r"seed_0: .* pip install wandb"):
        check_overrides(read_suite(path).runs)


def test_misspelt_algorithm_after_others_is_named(tmp_path: Path) -> None:
    path = write_suite(tmp_path, algorithms=["remix", "remixx"])
    with pytest.raises(ValueError, match=r"(?s)remixx/seed_0 cannot be run"):
        check_overrides(read_suite(path).runs)
