"""What README and docs show is what there is: commands, links, tables, code."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from benchmarl.hydra_config import (
    load_algorithm_config_from_hydra,
    load_experiment_config_from_hydra,
)
from hydra import compose, initialize_config_module

import remix_plugin
from remix_plugin.configs import get_experiment_config
from remix_plugin.registration import ALGORITHM_CONFIGS, TASKS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
ALGORITHMS = [
    config.associated_class().__name__.lower() for config in ALGORITHM_CONFIGS
]
PUNISHMENTS = ("punish_0", "punish_0_5", "punish_1_5", "punish_2")
IDS = {"ids": lambda page: str(page.relative_to(ROOT))}


def lines_of_code(page: Path) -> Iterator[str]:
    """Lines of fenced and indented blocks, those that go on joined."""
    text = page.read_text().replace("\\\n", " ")
    for block in re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    yield from re.findall(r"^    (\S.*)$", text, re.MULTILINE)


def rows(text: str) -> Iterator[list[str]]:
    """Cells of the rows of all tables, without code marks."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def anchors(page: Path) -> set[str]:
    """Ids of the headings, as MkDocs and GitHub make them."""
    text = page.read_text()
    for file in re.findall(r'^--8<-- "(.*\.md)"$', text, re.MULTILINE):
        text += (ROOT / file).read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    kept = [re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings]
    return {re.sub(r"\s+", "-", heading) for heading in kept}


def test_readme_is_short_and_keeps_its_two_commands() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 180
    assert "\n    make train\n" in text
    assert "\n    make test\n" in text


def test_readme_script_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    short = get_experiment_config("predator_prey")
    short.max_n_frames = short.off_policy_collected_frames_per_batch
    short.save_folder = str(tmp_path)
    monkeypatch.setattr(remix_plugin, "get_experiment_config", lambda name: short)
    namespace: dict[str, object] = {}
    exec(script, namespace)
    assert namespace["experiment"].folder_name.name.startswith("remix_punish_2")


@pytest.mark.parametrize("page", [README, DOCS / "algorithms/index.md"], **IDS)
def test_every_algorithm_is_listed(page: Path) -> None:
    for name in ALGORITHMS:
        assert f"[`{name}`]" in page.read_text()


def test_every_task_is_listed() -> None:
    text = (DOCS / "tasks.md").read_text()
    for tasks in TASKS:
        for task in tasks:
            assert re.search(rf"`({tasks.env_name()}/)?{task.name.lower()}`", text)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_has_a_page_in_the_same_form(name: str) -> None:
    text = (DOCS / "algorithms" / f"{name}.md").read_text()
    headings = ["Equations and code", "Options", "Logged"]
    headings += ["Differences from the paper", "Results", "When to use it"]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == headings
    assert f'"benchmarl_configs/algorithm/{name}.yaml"' in text
    assert f'"benchmarl_configs/algorithm/paper/{name}.yaml"' in text
    assert f"algorithms/{name}.md" in (ROOT / "mkdocs.yml").read_text()


@pytest.mark.parametrize("page", PAGES, **IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, **IDS)
def test_code_that_is_named_and_files_that_are_shown_exist(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(r"\]\[(remix_plugin\.[\w.]+)\]", text):
        assert resolve(name) is not None
    for file in re.findall(r'--8<-- "([^"]+)"', text):
        assert (ROOT / file).is_file(), file
    for file in re.findall(r"python ((?:benchmarks|scripts|examples)/\w+\.py)", text):
        assert (ROOT / file).is_file(), file


def resolve(name: str) -> object:
    """The object of a dotted name, within the longest part that is a module."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


def test_layers_of_the_architecture_are_those_that_are_held() -> None:
    table = (DOCS / "architecture.md").read_text().split("\n## ")[1]
    told = [re.findall(r"`(\w+)`", row[0]) for row in table_cells(table)]
    layers = re.search(
        r"^layers = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S
    )
    assert layers is not None
    held = [re.findall(r"\w+", layer) for layer in layers[1].splitlines()]
    # The command is told of below the table.
    assert told == [layer for layer in held if layer != ["commands"]]


def table_cells(text: str) -> list[list[str]]:
    """Cells of the rows of a table below its head, as they are written."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[1:]]


def test_make_targets_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    rule = r"^(?:[\w-]+ )*{}(?: [\w-]+)*:"
    for page in PAGES:
        targets = re.findall(r"(?:^ {4}|^|`)make ([a-z0-9-]+)", page.read_text(), re.M)
        for target in targets:
            assert re.search(rule.format(target), makefile, re.MULTILINE), target


def run_commands() -> list[tuple[str, list[str]]]:
    """Overrides of every run that is shown; of a sweep, its first job."""
    commands = []
    for page in PAGES:
        for line in lines_of_code(page):
            match = re.match(r"(?:remix run|python -m benchmarl\.run) (.*)", line)
            if match:
                words = [w for w in shlex.split(match[1], comments=True) if w != "-m"]
                overrides = [w if "[" in w else w.split(",")[0] for w in words]
                commands.append((str(page.relative_to(ROOT)), overrides))
    return commands


def test_every_run_composes_and_needs_no_account() -> None:
    commands = run_commands()
    assert len(commands) > 20
    for page, overrides in commands:
        with initialize_config_module("benchmarl.conf", version_base=None):
            config = compose("config", overrides=overrides)
        experiment = load_experiment_config_from_hydra(config.experiment)
        assert experiment.loggers == ["csv"], (page, overrides)
        assert not experiment.render, (page, overrides)
        load_algorithm_config_from_hydra(config.algorithm)


def remix_command() -> Callable[..., object]:
    """The console command, as pyproject.toml names it."""
    (entry,) = entry_points(group="console_scripts", name="remix")
    return entry.load()


def shown_commands() -> dict[str, set[str]]:
    """Options of each of the commands, as pages show them."""
    options: dict[str, set[str]] = {}
    for page in PAGES:
        code = [*lines_of_code(page), *re.findall(r"`(remix [^`]+)`", page.read_text())]
        for line in code:
            match = re.match(r"remix (\w+)(.*)", line.replace("\n", " "))
            if match and match[1] != "run":
                found = re.findall(r"(?<=\s)--[a-z][a-z-]*", match[2].split("#")[0])
                options.setdefault(match[1], set()).update(found)
    return options


def test_every_command_shown_has_the_options_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = remix_command()
    for name, options in shown_commands().items():
        monkeypatch.setattr("sys.argv", ["remix", name, "--help"])
        with pytest.raises(SystemExit) as end:
            command()
        assert not end.value.code, name
        text = capsys.readouterr().out
        assert not [option for option in options if option not in text], name


def scores() -> dict[tuple[str, str], str]:
    """Last returns by algorithm and task, as the generated tables have them."""
    found: dict[tuple[str, str], str] = {}
    for task, table in re.findall(
        r"\*\*predator_prey/(punish_\w+), block anneal_50k: mean return\.\*\*.*\n\n"
        r"((?:\|.*\n)+)",
        (DOCS / "RESULTS.md").read_text(),
    ):
        for row in list(rows(table))[2:]:
            found.setdefault((row[0], task), row[2])
    return found


def test_summary_of_results_is_that_of_the_tables() -> None:
    summary = (DOCS / "RESULTS.md").read_text().split("What the algorithms reached")[0]
    table = [row for row in rows(summary) if "--:" not in row][1:]
    known = scores()
    assert {row[0] for row in table} >= {
        label for label, task in known if task[-1] == "0"
    }
    for label, _, *cells in table:
        assert cells == [known.get((label, task), "-") for task in PUNISHMENTS], label


@pytest.mark.parametrize("name", ALGORITHMS)
def test_results_on_the_pages_of_algorithms_are_those_measured(name: str) -> None:
    page = (DOCS / "algorithms" / f"{name}.md").read_text().split("## Results")[1]
    label, *cells, matrix, smax = list(rows(page))[2]
    known = scores()
    assert cells == [known.get((label, task), "-") for task in PUNISHMENTS]
    measured = (DOCS / "benchmarks.md").read_text().split("\n## ")
    # A dash is for what was not measured.
    unmeasured = ["-"] * 9
    games, battles = (
        next((row for row in rows(section) if row[0] == name), unmeasured)
        for heading in ("The matrix game", "SMAX")
        for section in measured
        if section.startswith(heading)
    )
    assert (matrix, smax) == (games[6], battles[2])


def test_lint_before_a_commit_has_the_version_of_the_tests() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    (version,) = set(re.findall(r"ruff==([\d.]+)", hooks))
    assert f"\nruff=={version}\n" in (ROOT / "constraints.txt").read_text()
