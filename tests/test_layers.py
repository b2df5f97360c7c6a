"""Imports run one way: from what is general to what wires it together."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import remix_plugin

PACKAGE = Path(remix_plugin.__file__).parent
ROOT = PACKAGE.parent
SOURCES = sorted(PACKAGE.rglob("*.py")) + sorted((ROOT / "hydra_plugins").glob("*.py"))

# A module may import from its own layer and from lower ones.
LAYERS = {
    "validation": 0,
    "precision": 0,
    "damaged": 0,
    "whole_files": 0,
    "configs": 0,
    "experiment": 0,
    "packages": 0,
    "starcraft": 0,
    "statistics": 0,
    "checkpoints": 1,
    "environments": 1,
    "data": 1,
    "modules": 1,
    "weighting": 1,
    "objectives": 2,
    "callbacks": 2,
    "models": 2,
    "algorithms": 3,
    "suites": 3,
    "results": 4,
    "plotting": 5,
    "registration": 5,
    "report": 6,
    "__init__": 6,
    "hydra_plugins": 7,
}
WITHOUT_BENCHMARL = (
    *("validation", "precision", "damaged", "whole_files", "statistics"),
    *("data", "modules", "weighting", "objectives"),
)
# Reads the overrides of a command line, by Hydra's own parser.
READERS = ("remix_plugin.starcraft.hints",)
SIMULATOR_FILES = (
    *("env", "world", "rendering", "config", "maps", "battles"),
    *("engine", "backend"),
)
# What is not installed everywhere, and costs time, memory or a clash once imported.
SIMULATORS = {"jax", "jaxlib", "jaxmarl", "flax", "smacv2", "smac", "pysc2"}


def _name(path: Path) -> str:
    """Dotted name of a source file."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def _imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            assert node.module is not None
            yield node.module
            # ``from package import module`` imports the module too.
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in MODULES:
                    yield name


MODULES = {_name(path): path for path in SOURCES}


def _layer(name: str) -> str:
    """Key of ``LAYERS`` for a module of ours."""
    parts = name.split(".")
    if parts[0] == "hydra_plugins":
        return "hydra_plugins"
    return parts[1] if len(parts) > 1 else "__init__"


def _is_ours(name: str) -> bool:
    return name.split(".")[0] in ("remix_plugin", "hydra_plugins")


def _roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in _imports(path)}


@pytest.mark.parametrize("name", MODULES)
def test_module_has_a_layer(name: str) -> None:
    layer = _layer(name)
    assert layer in LAYERS, f"say in this test where {layer!r} belongs"


@pytest.mark.parametrize("name", MODULES)
def test_imports_never_go_up(name: str) -> None:
    own = LAYERS[_layer(name)]
    above = {
        imported
        for imported in _imports(MODULES[name])
        if _is_ours(imported) and LAYERS[_layer(imported)] > own
    }
    assert not above


def test_starcraft_check_stands_alone() -> None:
    for name, path in MODULES.items():
        if _layer(name) == "starcraft":
            ours = {other for other in _imports(path) if _is_ours(other)}
            assert {_layer(other) for other in ours} <= {"starcraft"}
            packages = {"smacv2", "smac", "pysc2", "benchmarl", "torch"}
            assert not _roots(path) & packages


def test_imports_have_no_cycle() -> None:
    graph = {
        name: {other for other in _imports(path) if other in MODULES} - {name}
        for name, path in MODULES.items()
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in MODULES
        if _layer(name) in WITHOUT_BENCHMARL
        or (_layer(name) == "environments" and name.split(".")[-1] in SIMULATOR_FILES)
    ],
)
def test_lower_layers_do_not_know_benchmarl(name: str) -> None:
    assert "benchmarl" not in _roots(MODULES[name])


def test_every_environment_has_a_simulator_without_benchmarl() -> None:
    environments = {name for name in MODULES if name.endswith(".common")}
    environments = {n for n in environments if _layer(n) == "environments"}
    assert len(environments) >= 2
    for name in environments:
        assert name.replace(".common", ".env") in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_only_what_starts_runs_knows_hydra(name: str) -> None:
    layers = ("registration", "hydra_plugins", "suites")
    if _layer(name) not in layers and name not in READERS:
        assert not _roots(MODULES[name]) & {"hydra", "omegaconf"}


@pytest.mark.parametrize("name", MODULES)
def test_simulators_are_imported_late(name: str) -> None:
    # That is, within functions; a name that only a type checker reads is harmless.
    for node in ast.parse(MODULES[name].read_text()).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        else:
            continue
        assert not {imported.split(".")[0] for imported in names} & SIMULATORS


@pytest.mark.parametrize("name", MODULES)
def test_jax_is_known_to_smax_alone(name: str) -> None:
    if not name.startswith("remix_plugin.environments.smax."):
        assert not _roots(MODULES[name]) & {"jax", "jaxlib", "jaxmarl", "flax"}


@pytest.mark.parametrize("name", MODULES)
def test_nothing_imports_torchvision(name: str) -> None:
    assert "torchvision" not in _roots(MODULES[name])


@pytest.mark.parametrize("name", [n for n in MODULES if n != "remix_plugin"])
def test_library_imports_from_defining_modules(name: str) -> None:
    if _layer(name) != "hydra_plugins":
        assert "remix_plugin" not in set(_imports(MODULES[name]))


def test_hydra_plugin_imports_nothing_heavy_at_its_top() -> None:
    (path,) = sorted((ROOT / "hydra_plugins").glob("*.py"))
    top = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    names = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in top
        for alias in node.names
    }
    roots = {name.split(".")[0] for name in names}
    assert roots <= {"__future__", "hydra", "pathlib", "sys", "urllib"}
