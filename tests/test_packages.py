"""A package that is missing is named with what installs it, before it is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from remix_plugin.environments.smax.backend import check_jaxmarl
from remix_plugin.packages import check_package, is_installed


def test_package_is_found_without_its_import() -> None:
    assert is_installed("torch")
    assert not is_installed("no_such_package")
    check_package("torch", "this test")


def test_message_says_what_needs_it_and_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError) as missing:
        check_package("PIL", "A picture", "(or do without)")
    assert str(missing.value) == (
        "A picture needs the package pillow, which is not installed. Install it with: "
        "pip install pillow (or do without)"
    )
    assert missing.value.name == "PIL"


def test_script_says_it_in_one_line_and_ends_with_2(
    run_script: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "jaxmarl", None)
    with pytest.raises(SystemExit) as ended:
        run_script("benchmarks/smax.py")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("Install it with: pip install 'remix_plugin[smax]'")
    assert "smax.py" in line


@pytest.mark.skipif(not is_installed("jaxmarl"), reason="jaxmarl is not installed")
def test_task_says_that_jax_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    check_jaxmarl()
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ModuleNotFoundError, match="pip install jax"):
        check_jaxmarl()
