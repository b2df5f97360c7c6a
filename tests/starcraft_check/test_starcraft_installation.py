"""Each thing that may be missing is named, with its place and its remedy."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from fabricated_installation import make_game, make_packages

from remix_plugin.starcraft.game_files import (
    GENERATED_MAPS,
    describe_starcraft,
)
from remix_plugin.starcraft.installation import (
    StarCraftError,
    check_starcraft,
    require_starcraft,
)

pytestmark = pytest.mark.slow

PROGRAM = "Versions/Base75689/SC2_x64"


def _only(*arguments: str) -> str:
    """The one problem that there is."""
    problems = check_starcraft(*arguments)
    assert len(problems) == 1, problems
    return problems[0]


def _check_says(text: str, *parts: object) -> None:
    for part in parts:
        assert str(part) in text


@pytest.mark.parametrize("map_name", [None, "3m", *GENERATED_MAPS, ["3m", "3m"]])
def test_complete_installation_has_no_problem(
    game: Path, map_name: str | list[str] | None
) -> None:
    assert check_starcraft(map_name) == []
    require_starcraft(map_name)


def test_bare_machine_lacks_package_and_game(bare_machine: Path) -> None:
    package, folder = check_starcraft("3m")
    _check_says(package, "'smacv2'", sys.executable, "pip install git+https")
    _check_says(package, "github.com/oxwhirl/smacv2.git")
    _check_says(folder, bare_machine / "StarCraftII", "SC2PATH is not set", "4.10")
    _check_says(folder, "export SC2PATH=", "s2client-proto#downloads", "license")


def test_error_joins_the_problems_and_names_smax_last(bare_machine: Path) -> None:
    with pytest.raises(StarCraftError, match="not ready for the map '3m'") as caught:
        require_starcraft("3m", "smac")
    text = str(caught.value)
    for problem in check_starcraft("3m", "smac"):
        assert f"\n- {problem}\n" in text
        assert "smax" not in problem
    assert text.count("smax") == 1
    assert "task=smax/<map>" in text.splitlines()[-1]
    # As an environment in a process of its own hands it on.
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


def test_nothing_accepts_the_license_for_the_user(bare_machine: Path) -> None:
    folder = Path(sys.modules[StarCraftError.__module__].__file__ or "").parent
    for path in folder.glob("*.py"):
        assert "iagree" not in path.read_text().lower()


def test_missing_pysc2_is_named(game: Path, tmp_path: Path) -> None:
    (tmp_path / "site/pysc2/__init__.py").unlink()
    (tmp_path / "site/pysc2").rmdir()
    _check_says(_only(), "'pysc2'", sys.executable, "pip install pysc2")


def test_optimizer_of_the_same_name_is_not_smac(
    game: Path, add_packages: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_packages(tmp_path / "site", "smac")
    assert check_starcraft("3m", "smac") == []
    (folder / "smac/env/starcraft2/__init__.py").unlink()
    (folder / "smac/env/starcraft2").rmdir()
    problem = _only("3m", "smac")
    _check_says(problem, folder / "smac", "unrelated optimizer", "env/starcraft2")
    _check_says(problem, "pip install git+https://github.com/oxwhirl/smac.git")


def test_checkout_in_the_current_folder_is_not_smacv2(
    game: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(make_packages(tmp_path / "parent" / "smacv2", "smacv2"))
    monkeypatch.syspath_prepend(tmp_path / "parent")
    (tmp_path / "site/smacv2").rename(tmp_path / "site/elsewhere")
    # ``parent/smacv2`` is the repository, ``parent/smacv2/smacv2`` the package.
    sys.path.remove(str(tmp_path / "parent" / "smacv2"))
    _check_says(_only("3m"), tmp_path / "parent/smacv2", "no env", "checkout")


def test_wrong_sc2path_is_quoted(
    game: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "nowhere"
    monkeypatch.setenv("SC2PATH", str(wrong))
    problem = _only("3m")
    _check_says(problem, f"no folder {wrong} ", f"SC2PATH={str(wrong)!r}")
    assert "not set" not in problem
    wrong.touch()
    assert _only("3m") == problem


def test_sc2path_may_begin_with_the_home_folder(
    game: Path, bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_game(bare_machine / "SC2")
    monkeypatch.setenv("SC2PATH", "~/SC2")
    assert check_starcraft("3m") == []


def test_default_folder_is_taken_without_sc2path(
    game: Path, bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SC2PATH")
    _check_says(_only(), bare_machine / "StarCraftII")
    make_game(bare_machine / "StarCraftII")
    assert check_starcraft("3m") == []


def test_empty_sc2path_is_the_current_folder_as_for_pysc2(
    game: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SC2PATH", "")
    monkeypatch.chdir(tmp_path)
    _check_says(_only(), tmp_path / "Versions", "SC2PATH is set but empty")
    monkeypatch.chdir(game)
    assert check_starcraft("3m") == []


def test_missing_versions_are_named(game: Path) -> None:
    (game / "Versions").rename(game / "Other")
    problem = _only("3m")
    _check_says(problem, f"{game / 'Versions'} is missing", f"SC2PATH={str(game)!r}")
    (game / "Versions").mkdir()
    (game / "Versions" / "Shaders").mkdir()
    _check_says(_only("3m"), game / "Versions", "no folder Base<build>", "Unpack")


def test_folder_around_the_game_is_recognized(
    game: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SC2PATH", str(game.parent))
    _check_says(_only(), f"export SC2PATH={game}`")


def test_missing_program_is_named(game: Path) -> None:
    (game / PROGRAM).unlink()
    _check_says(_only("3m"), f"program {game / PROGRAM} is missing", "Unpack")


def test_newest_version_decides_and_an_older_one_is_offered(game: Path) -> None:
    newer = game / "Versions/Base81009"
    newer.mkdir()
    problem = _only("3m")
    _check_says(problem, newer / "SC2_x64", f"move {newer} away")
    _check_says(problem, "build 75689 (4.10)")
    make_game(game.parent / "other", [81009], [])
    (game.parent / "other/Versions/Base81009/SC2_x64").rename(newer / "SC2_x64")
    assert check_starcraft("3m") == []


def test_version_folder_without_a_number_is_refused(game: Path) -> None:
    copy = game / "Versions" / "Base75689.bak"
    copy.mkdir()
    _check_says(_only("3m"), copy, "Base75689,", "move it elsewhere")


def test_program_that_may_not_run_is_named(game: Path) -> None:
    (game / PROGRAM).chmod(0o644)
    _check_says(_only("3m"), f"`chmod +x {game / PROGRAM}`", "not executable")


def test_missing_map_is_named(game: Path) -> None:
    problem = _only("5m_vs_6m")
    _check_says(problem, game / "Maps/SMAC_Maps/5m_vs_6m.SC2Map", "SMAC_Maps.zip")
    _check_says(problem, "github.com/oxwhirl/smacv2/releases/tag/maps")
    assert "No such map" not in problem
    _check_says(_only("mine"), "mine.SC2Map", "No such map comes with SMAC: 'mine'")


@pytest.mark.parametrize("map_name", GENERATED_MAPS)
def test_generated_maps_need_the_flat_one(game: Path, map_name: str) -> None:
    (game / "Maps/SMAC_Maps/32x32_flat.SC2Map").unlink()
    _check_says(_only(map_name), game / "Maps/SMAC_Maps/32x32_flat.SC2Map")
    assert check_starcraft("3m") == []


def test_several_missing_maps_are_one_problem(game: Path) -> None:
    (problem,) = check_starcraft(["3m", "8m", "corridor"])
    _check_says(problem, "8m.SC2Map, corridor.SC2Map")
    assert "3m.SC2Map" not in problem


@pytest.mark.parametrize(
    "misplaced", ["Maps/3M.SC2Map", "Maps/SMAC_Maps/SMAC_Maps/3m.SC2Map"]
)
def test_misplaced_map_is_found(game: Path, misplaced: str) -> None:
    (game / misplaced).parent.mkdir(exist_ok=True)
    (game / "Maps/SMAC_Maps/3m.SC2Map").rename(game / misplaced)
    _check_says(_only("3m"), f"There is {game / misplaced}: move it there")


def test_map_of_another_case_is_missing(game: Path) -> None:
    maps = game / "Maps/SMAC_Maps"
    (maps / "mmm2.SC2Map").touch()
    if (maps / "MMM2.SC2Map").is_file():
        pytest.skip("the file system takes upper and lower case for the same")
    _check_says(_only("MMM2"), maps / "MMM2.SC2Map", maps / "mmm2.SC2Map")


@pytest.mark.parametrize(
    ("asked", "imported"), [("smacv2", "smac"), ("smac", "smacv2")]
)
def test_both_packages_in_one_process_are_refused(
    game: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    imported: str,
) -> None:
    make_packages(tmp_path / "site", "smac")
    # The optimizer of this name has no ``env``, and is harmless.
    module = ModuleType(imported)
    monkeypatch.setitem(sys.modules, imported, module)
    assert check_starcraft("3m", asked) == []
    monkeypatch.setitem(sys.modules, f"{imported}.env", ModuleType(f"{imported}.env"))
    problem = _only("3m", asked)
    _check_says(problem, repr(imported), repr(asked), "DuplicateMapError", "process")


def test_unreadable_folder_is_a_problem(
    game: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied", str(game / "Versions"))

    # Tests may run as root, to whom no folder is closed.
    monkeypatch.setattr("os.listdir", refuse)
    _check_says(_only("3m"), game, "cannot be read", "Permission denied")
    assert "Permission denied" in describe_starcraft()


def test_unknown_package_is_refused() -> None:
    with pytest.raises(ValueError, match=r"package='pymarl'.*'smacv2', 'smac'"):
        check_starcraft("3m", "pymarl")


def test_check_imports_nothing_and_starts_nothing(game: Path, tmp_path: Path) -> None:
    code = """
import json, sys
import subprocess
def refuse(*arguments, **options):
    raise AssertionError("a process was started")
from remix_plugin.starcraft.installation import check_starcraft
from remix_plugin.starcraft.launch_errors import explain_launch_error
subprocess.Popen.__init__ = refuse
problems = check_starcraft("3m") + check_starcraft("8m", "smac")
explain_launch_error(RuntimeError("Trying to run 'x', but it isn't executable."), "3m")
print(json.dumps([len(problems), sorted({name.split(".")[0] for name in sys.modules})]))
"""
    completed = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n{code}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stderr
    n_problems, modules = json.loads(completed.stdout.splitlines()[-1])
    assert n_problems == 2
    assert not {"smacv2", "smac", "pysc2", "jax", "jaxmarl"} & set(modules)


def test_named_version_may_be_older_than_a_broken_one(game: Path) -> None:
    (game / "Versions" / "Base80000").mkdir()
    (problem,) = check_starcraft("3m")
    assert "Base80000" in problem and "is missing" in problem
    assert check_starcraft("3m", game_version="4.10") == []
    require_starcraft("3m", game_version="4.10")
    (game / "Versions" / "Base75689" / "SC2_x64").unlink()
    assert check_starcraft("3m", game_version="4.10")
