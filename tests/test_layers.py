"""What the contracts of import-linter in pyproject.toml cannot say of imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import remix_plugin

PACKAGE = Path(remix_plugin.__file__).parent
PLUGIN = PACKAGE.parent / "hydra_plugins" / "remix_search_path.py"
# What is not installed everywhere, and costs time, memory or a clash once imported
SIMULATORS = {"jax", "jaxlib", "jaxmarl", "flax", "smacv2", "smac", "pysc2"}


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Dotted names that some nodes import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield str(node.module)


def at_the_top(path: Path) -> set[str]:
    """Packages that a file imports as it is imported itself."""
    names = imports(iter(ast.parse(path.read_text()).body))
    return {name.split(".")[0] for name in names}


def test_simulators_are_imported_late() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert not at_the_top(path) & SIMULATORS, path


def test_modules_are_imported_from_where_they_are_defined() -> None:
    for path in PACKAGE.rglob("*.py"):
        everywhere = set(imports(ast.walk(ast.parse(path.read_text()))))
        assert "remix_plugin" not in everywhere, path


def test_every_environment_has_a_simulator_without_benchmarl() -> None:
    tasks = sorted((PACKAGE / "environments").glob("*/common.py"))
    assert len(tasks) >= 4
    for task in tasks:
        assert "benchmarl" not in at_the_top(task.with_name("env.py"))


def test_the_hydra_plugin_imports_nothing_heavy_at_its_top() -> None:
    allowed = {"__future__", "hydra", "pathlib", "sys", "urllib"}
    assert at_the_top(PLUGIN) <= allowed
