"""The plugin acts in BenchMARL and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import benchmarl
import pytest
from hydra import compose, initialize_config_dir, initialize_config_module
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

BENCHMARL = Path(benchmarl.__file__).parent

APPLICATION = """
import json, sys
import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

@hydra.main(version_base=None, config_path=CONFIG_PATH, config_name=CONFIG_NAME)
def main(cfg):
    sources = HydraConfig.get().runtime.config_sources
    plugins = Plugins.instance().discover(SearchPathPlugin)
    print(json.dumps({
        "modules": sorted({name.split(".")[0] for name in sys.modules}),
        "sources": [[source.provider, source.path] for source in sources],
        "plugins": [plugin.__name__ for plugin in plugins],
        "cfg": dict(cfg),
    }))

if __name__ == "__main__":
    main()
"""
HEAVY = {"remix_plugin", "benchmarl", "torch", "torchrl", "tensordict", "numpy"}


def _application(root: Path, config_path: str | None) -> Path:
    """Write a Hydra application that has nothing to do with BenchMARL."""
    root.mkdir(parents=True)
    name = None
    if config_path is not None:
        folder = root / config_path
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "config.yaml").write_text("depth: 3\n")
        name = "config"
    source = APPLICATION.replace("CONFIG_PATH", repr(config_path))
    (root / "__init__.py").touch()
    path = root / "main.py"
    path.write_text(source.replace("CONFIG_NAME", repr(name)))
    return path


def _start(folder: Path, *arguments: str) -> str:
    completed = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def _check_untouched(report: dict[str, Any]) -> None:
    # Without this the test would pass where the plugin is not installed.
    assert "RemixSearchPath" in report["plugins"]
    assert not HEAVY & set(report["modules"])
    providers = {provider for provider, _ in report["sources"]}
    assert providers <= {"hydra", "main", "schema"}
    assert not any("benchmarl_configs" in path for _, path in report["sources"])


@pytest.mark.parametrize(
    ("folder", "config_path"),
    [("app", "configs"), ("app", "conf"), ("benchmarl", "conf"), ("app", None)],
    ids=["configs", "conf", "namesake", "no_files"],
)
def test_another_application_stays_untouched(
    folder: str, config_path: str | None, tmp_path: Path
) -> None:
    main = _application(tmp_path / folder, config_path)
    report = json.loads(_start(tmp_path, str(main), "+seed=4"))
    _check_untouched(report)
    assert report["cfg"]["seed"] == 4


def test_another_application_run_as_a_module_stays_untouched(tmp_path: Path) -> None:
    _application(tmp_path / "app", "conf")
    report = json.loads(_start(tmp_path, "-m", "app.main"))
    _check_untouched(report)
    assert report["cfg"] == {"depth": 3}


def test_config_package_of_another_application_stays_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _application(tmp_path / "other_app", "conf")
    monkeypatch.syspath_prepend(tmp_path)
    with initialize_config_module("other_app.conf", version_base=None):
        cfg = compose("config", return_hydra_config=True)
    sources = [source.provider for source in cfg.hydra.runtime.config_sources]
    assert "main" in sources
    assert "remix_plugin" not in sources


@pytest.mark.parametrize("arguments", [["--help"], ["--info", "searchpath"]])
def test_help_of_another_application_stays_untouched(
    arguments: list[str], tmp_path: Path
) -> None:
    main = _application(tmp_path / "app", "conf")
    output = _start(tmp_path, str(main), *arguments)
    assert "main" in output or "depth" in output
    assert "remix" not in output
    assert "benchmarl" not in output


def test_plugin_is_discovered_once() -> None:
    found = Plugins.instance().discover(SearchPathPlugin)
    assert [plugin.__name__ for plugin in found].count("RemixSearchPath") == 1


@pytest.mark.parametrize("parent", ["checkout", "with space, 100%25 and #1"])
def test_conf_of_a_checkout_is_recognized(parent: str, tmp_path: Path) -> None:
    package = tmp_path / parent / "benchmarl"
    conf = package / "conf"
    conf.mkdir(parents=True)
    (package / "hydra_config.py").touch()
    (conf / "config.yaml").write_text("defaults:\n  - algorithm: ???\n")
    with initialize_config_dir(str(conf), version_base=None):
        cfg = compose("config", ["algorithm=remix"], return_hydra_config=True)
    sources = [source.provider for source in cfg.hydra.runtime.config_sources]
    assert sources.count("remix_plugin") == 1
    assert cfg.algorithm.w_min == 0.1


def test_conf_of_the_installed_package_is_recognized() -> None:
    with initialize_config_dir(str(BENCHMARL / "conf"), version_base=None):
        cfg = compose("config", ["algorithm=owqmix", "task=predator_prey/punish_0"])
    assert cfg.task.punishment == 0.0
    assert cfg.algorithm.alpha == 0.1
