"""Python in processes of its own, which has not imported JAX."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from remix_plugin.environments.smax.backend import PREALLOCATE


def run_python(
    folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Start Python in a folder and wait; environment variables are added."""
    without = {k: v for k, v in os.environ.items() if k != PREALLOCATE}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**without, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
