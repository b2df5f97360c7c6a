"""SMAC's environment with ``backend: smac``, the original package.

It cannot be imported where smacv2 is: everything happens in processes of their own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from smac_backend import VARIABLE

from remix_plugin.starcraft.installation import package_folder

FOLDER = Path(__file__).parent
MAPS = ["3m", "5m_vs_6m", "2s3z", "3s_vs_5z", "1c3s5z", "MMM2", "bane_vs_bane"]
MAPS += ["corridor", "6h_vs_8z", "2s_vs_1sc"]

pytestmark = [
    pytest.mark.skipif(package_folder("smac") is None, reason="needs oxwhirl's smac"),
    pytest.mark.skipif(find_spec("pysc2") is None, reason="needs pysc2"),
]


def run(folder, *arguments, **environment):
    completed = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    output = completed.stdout + completed.stderr
    assert completed.returncode == 0, output
    return output


def test_original_does_what_smacv2_does(tmp_path):
    files = [FOLDER / "test_smac_env_real.py", FOLDER / "test_smac_env_real_faults.py"]
    rules = ("-q", "-p", "no:cacheprovider", "--basetemp", tmp_path / "tests")
    output = run(FOLDER, "-m", "pytest", *rules, *files, **{VARIABLE: "smac"})
    assert int(re.search(r"(\d+) passed", output)[1]) > 80


def test_both_packages_show_the_same_battles(tmp_path):
    if package_folder("smacv2") is None:
        pytest.skip("needs smacv2")
    battles = {}
    for package in ("smac", "smacv2"):
        path = tmp_path / f"{package}.npz"
        run(tmp_path, FOLDER / "record_battles.py", package, path, *MAPS)
        battles[package] = dict(np.load(path))
    assert battles["smac"].keys() == battles["smacv2"].keys()
    paid = set()
    for key, theirs in battles["smac"].items():
        ours = battles["smacv2"][key]
        if key.endswith("default:reward"):
            # The one difference: where enemies regain more than they lose, the original
            # pays the amount, smacv2 nothing.
            differ = theirs != ours
            assert (theirs[differ] > 0).all()
            assert (ours[differ] == 0).all()
            paid |= {key.split(":")[0]} if differ.any() else set()
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=key)
    # Those with shields or a Medivac.
    assert paid == {"2s3z", "MMM2"}
    for name in MAPS:
        assert (battles["smac"][f"{name}:default:done"] != 0).sum() == 3
