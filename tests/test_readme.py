"""What the README shows is what there is, and its example runs."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest
from benchmarl.hydra_config import (
    load_algorithm_config_from_hydra,
    load_experiment_config_from_hydra,
)
from hydra import compose, initialize_config_module

import remix_plugin
from remix_plugin.configs import config_path, get_experiment_config
from remix_plugin.registration import ALGORITHM_CONFIGS, TASKS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_script_block_runs() -> None:
    namespace: dict[str, object] = {}
    exec(python_blocks()[0], namespace)
    assert namespace["task"].config["punishment"] == -2.0
    assert namespace["algorithm"].w_min == 0.1


def test_weighting_shown_is_the_example_that_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    example = ROOT / "examples" / "custom_weighting.py"
    assert python_blocks()[1].strip() in example.read_text()
    short = get_experiment_config("matrix_game")
    short.max_n_frames = short.evaluation_interval
    monkeypatch.setattr(remix_plugin, "get_experiment_config", lambda name: short)
    runpy.run_path(str(example), run_name="__main__")
    folder = Path(capsys.readouterr().out.split("results: ")[1].strip())
    assert folder.name.startswith("rankqmix_qtran")
    assert (folder / f"{folder.name}.json").is_file()


def test_every_algorithm_and_task_is_listed() -> None:
    for config in ALGORITHM_CONFIGS:
        name = config.associated_class().__name__.lower()
        assert re.search(rf"^\| (`\w+`, )?`{name}`[, |]", README, re.MULTILINE), name
    tables = README.split("## Algorithms and tasks")[1].split("##")[0]
    for tasks in TASKS:
        for task in tasks:
            assert re.search(rf"`({tasks.env_name()}/)?{task.name.lower()}`", tables)


def test_options_in_the_table_exist_with_those_defaults() -> None:
    remix = config_path("algorithm", "remix").read_text()
    for option in ("w_min: 0.1", "w_max: 1.0", "recent_fraction: 0.25"):
        assert f"\n{option}\n" in remix
    assert "| `recent_fraction`, `recent_size` | 0.25, 20,000 |" in README
    assert "\nrecent_size: 20_000\n" in remix


def test_files_linked_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 5
    for link in links:
        assert (ROOT / link).exists(), link


def test_make_targets_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^ *(?:    |`)make ([a-z0-9-]+)", README, flags=re.MULTILINE)
    assert {"train", "test"} <= set(targets)
    for target in targets:
        rule = rf"^(?:\S+ )*{target}(?: \S+)*:"
        assert re.search(rule, makefile, flags=re.MULTILINE), target


def run_commands() -> list[list[str]]:
    """Overrides of every BenchMARL command line; of a sweep, its first job."""
    text = README.replace("\\\n", " ")
    commands = []
    for line in re.findall(r"^    (python -m benchmarl\.run .*)$", text, re.MULTILINE):
        words = [word for word in shlex.split(line)[3:] if word != "-m"]
        commands.append([w if "[" in w else w.split(",")[0] for w in words])
    return commands


def test_every_command_composes_and_needs_no_account() -> None:
    commands = run_commands()
    assert len(commands) > 5
    for overrides in commands:
        with initialize_config_module("benchmarl.conf", version_base=None):
            config = compose("config", overrides=overrides)
        experiment = load_experiment_config_from_hydra(config.experiment)
        assert experiment.loggers == ["csv"], overrides
        assert not experiment.render, overrides
        load_algorithm_config_from_hydra(config.algorithm)
