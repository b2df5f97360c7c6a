"""JaxMARL is imported late and quietly, and its absence explained before training."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import pytest
import torch
from smax_battles import needs_jaxmarl, smax_env
from smax_processes import run_python

import remix_plugin
from remix_plugin.environments.smax import backend

pytestmark = pytest.mark.slow

ROOT = Path(remix_plugin.__file__).parents[1]
REMEDY = 'Install it with: pip install "remix_plugin[smax]" (Python 3.11 or newer).'
# What the plugin may do without.
OPTIONAL = ["jax", "jaxmarl", "smacv2", "smac", "pysc2"]
IMPORTS = f"""
import io, json, os, sys
import remix_plugin
early = [name for name in {OPTIONAL} if name in sys.modules]
from remix_plugin.environments.smax import backend, env
late = [name for name in {OPTIONAL} if name in sys.modules]
original = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
key = backend.PREALLOCATE
found = {{"early": early, "late": late, "before": os.environ.get(key)}}
if {{}}:
    # Streams of somebody's own, such as a test's
    out, err = sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    backend.import_smax()
    found["streams"] = [sys.stdout is out, sys.stderr is err]
    found["printed"] = out.getvalue() + err.getvalue()
    sys.stdout, sys.stderr = original[:2]
    found["streams"] += [original[2:] == (sys.__stdout__, sys.__stderr__)]
    found["unset"] = os.environ.get(key)
    os.environ[key] = "mine"
    backend.import_smax.cache_clear()
    backend.import_smax()
    found["set"] = os.environ.get(key)
print(json.dumps(found))
"""


def site_without_jaxmarl(folder: Path) -> dict[str, str]:
    """An environment in which Python finds all that is installed but JaxMARL."""
    folder.mkdir()
    for site in (Path(entry) for entry in sys.path if entry.endswith("-packages")):
        for path in site.iterdir() if site.is_dir() else ():
            link = folder / path.name
            if not path.name.startswith("jaxmarl") and not link.exists():
                link.symlink_to(path)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a fresh process finds out about imports; its only output."""
    installed = needs_jaxmarl.args[0] is False
    completed = run_python(
        tmp_path_factory.mktemp("imports"), "-c", IMPORTS.replace("{}", str(installed))
    )
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)


def test_plugin_imports_no_simulator(found: dict[str, object]) -> None:
    assert found["early"] == []
    assert found["late"] == []
    assert found["before"] is None


@needs_jaxmarl
def test_import_is_quiet_and_leaves_the_streams(found: dict[str, object]) -> None:
    # What goes to the process's own stdout, the fixture has checked: it was ours alone.
    assert found["printed"] == ""
    assert found["streams"] == [True, True, True]


@needs_jaxmarl
def test_import_spares_the_gpus_memory_unless_told_otherwise(
    found: dict[str, object],
) -> None:
    assert found["unset"] == "false"
    assert found["set"] == "mine"


@needs_jaxmarl
def test_late_import_is_warned_of_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    smax_env()
    monkeypatch.delenv(backend.PREALLOCATE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    backend.import_smax.cache_clear()
    with pytest.warns(UserWarning, match=rf"{backend.PREALLOCATE}=false"):
        backend.import_smax()
    # Too late to set it for this process; its children may still want the memory.
    assert backend.PREALLOCATE not in os.environ
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    backend.import_smax.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend.import_smax()


@needs_jaxmarl
def test_missing_gpu_of_jax_is_warned_of() -> None:
    smax_env()
    import jax

    if jax.default_backend() == "gpu":
        pytest.skip("JAX has a GPU here")
    with pytest.warns(UserWarning, match=r"PyTorch is on cuda:0, but JAX sees no GPU"):
        device = backend.jax_device(torch.device("cuda:0"))
    assert device.platform == "cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backend.jax_device(torch.device("cpu")).platform == "cpu"


def test_missing_jaxmarl_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    completed = run_python(
        tmp_path,
        "-S",  # which leaves the real site-packages out
        "-m",
        "benchmarl.run",
        "algorithm=remix",
        "task=smax/3m",
        "experiment=smax",
        "hydra.run.dir=out",
        **site_without_jaxmarl(tmp_path / "site"),
    )
    assert completed.returncode != 0
    (line,) = [x for x in completed.stderr.splitlines() if "Error: " in x]
    assert line == (
        "ModuleNotFoundError: task=smax/... needs the package jaxmarl, which is not "
        f"installed. {REMEDY}"
    )
    # What Hydra itself writes, and no folder of a run.
    left = {path.name for path in tmp_path.glob("out/*")}
    assert left <= {".hydra", "run.log"}


def test_other_version_of_jaxmarl_is_refused(tmp_path: Path) -> None:
    environment = site_without_jaxmarl(tmp_path / "site")
    metadata = tmp_path / "site" / "jaxmarl-0.1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: jaxmarl\nVersion: 0.1.0\n")
    code = (tmp_path / "site" / "jaxmarl").with_suffix(".py")
    code.write_text("raise SystemExit('imported nevertheless')\n")
    script = """
from remix_plugin.environments.smax.common import SmaxTask
task = SmaxTask["3M"].get_from_yaml()
for check in (task.supports_continuous_actions, task.get_env_fun(1, False, 0, "cpu")):
    try:
        check()
    except ImportError as error:
        print(type(error).__name__, error)
"""
    completed = run_python(tmp_path, "-S", "-c", script, **environment)
    assert completed.returncode == 0, completed.stderr
    expected = (
        "ImportError task=smax/... needs jaxmarl >=0.2,<0.3, but 0.1.0 is installed: "
        f"other versions have another engine. {REMEDY}"
    )
    assert completed.stdout.splitlines() == [expected, expected]
