"""Takes the place of a run: the same arguments, files and order, but no training.

Imports little, so that it starts at once. Overrides that begin with ``+stand_in`` say
what it does. Its result is another one each time, as a token.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import uuid
from pathlib import Path


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    *overrides, place = sys.argv[1:]
    name, _, folder_name = place.partition("=")
    assert name == "hydra.run.dir"
    folder = Path(folder_name.strip("'"))
    chosen = dict(override.split("=", 1) for override in overrides)
    sys.stdout.write(f"pid {os.getpid()}\n")
    sys.stdout.flush()
    inner = folder / f"stand_in_{uuid.uuid4().hex}"
    scalars = inner / inner.name / "scalars"
    scalars.mkdir(parents=True)
    (scalars / "counters_total_frames.csv").write_text("0,16.0\n1,32.0\n2,4")
    time.sleep(float(chosen.get("+stand_in_seconds", 0)))
    token = uuid.uuid4().hex
    (inner / f"{inner.name}.json").write_text(json.dumps({"token": token}))
    if chosen.get("+stand_in_fails") == chosen["seed"]:
        sys.stdout.write("a line before\nthe reason why it failed\n")
        sys.exit(3)
    if chosen.get("+stand_in_ends_early") == chosen["seed"]:
        return
    record = {
        "overrides": overrides,
        "seconds": 64.0,
        "commit": token,
        "versions": {},
        "python": "",
        "hardware": {
            "processor": "",
            "cores": 1,
            "threads": int(os.environ["OMP_NUM_THREADS"]),
            "accelerators": [],
        },
        "checksums": {
            str(path.relative_to(folder)): checksum(path.read_bytes())
            for path in [*folder.glob("*/*.json"), *folder.glob("hydra/config.yaml")]
        },
    }
    # JSON is YAML.
    body = json.dumps(record).encode() + b"\n"
    part = folder / "run.yaml.part"
    seal = f"# sha256 of the lines above: {checksum(body)}\n"
    part.write_bytes(body + seal.encode())
    os.replace(part, folder / "run.yaml")
    if "SUITE_JOURNAL" in os.environ:
        with open(os.environ["SUITE_JOURNAL"], "a") as journal:
            journal.write(f"{folder} {token}\n")


if __name__ == "__main__":
    main()
