"""Commands of Slurm's that run jobs of an array on this machine, one after another."""

from __future__ import annotations

import sys
from pathlib import Path

SBATCH = """#!{python} -S
import os, re, subprocess, sys
script = sys.argv[-1]
text = open(script).read()
open({log!r}, "a").write(text)
first, last = re.search(r"--array=(\\d+)-(\\d+)", text).groups()
sys.stdout.write("Submitted batch job 77\\n")
sys.stdout.flush()
if os.fork():
    os._exit(0)
# Who has submitted it waits for its output to end.
os.setsid()
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.dup2(1, 2)
sink = open({log!r}, "a")
for task in range(int(first), int(last) + 1):
    job = {{
        "SLURM_JOB_ID": str(78 + task),
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_LOCALID": "0",
        "SLURM_PROCID": "0",
        "SLURM_NTASKS": "1",
        "SLURM_NODEID": "0",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_JOB_NODELIST": "here",
    }}
    subprocess.run(["bash", script], env={{**os.environ, **job}},
                   stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
"""
SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do
  case "$1" in --output|--error) shift ;; esac
  shift
done
exec "$@"
"""
SACCT = """#!/bin/sh
echo "JobID|State|NodeList"
"""


def install_fake_slurm(folder: Path) -> Path:
    """Write the commands into a folder; the file that gets the batch scripts."""
    folder.mkdir()
    log = folder / "log.txt"
    scripts = {
        "sbatch": SBATCH.format(python=sys.executable, log=str(log)),
        "srun": SRUN,
        "sacct": SACCT,
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return log
