"""A figure of one's own from results that are kept: ReMIX beside OW-QMIX.

``remix figures`` draws the paper's figures; this reads the same archive of runs, which
``remix archive`` makes of a folder of results.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from remix_plugin.results.archive import read_archive

KEPT = Path(__file__).parents[1] / "docs" / "results" / "predator_prey.json.gz"


def main(archive: Path, picture: Path) -> None:
    """Draw mean returns and their range over seeds into ``picture``."""
    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    runs = read_archive(archive)
    for label in ("remix", "owqmix"):
        own = [
            run
            for run in runs
            if (run.block, run.task, run.label)
            == ("anneal_50k", "predator_prey/punish_2", label)
        ]
        curves = np.array([run.means("return") for run in own])
        axes.plot(own[0].frames, curves.mean(0), label=f"{label}, {len(own)} seeds")
        axes.fill_between(own[0].frames, curves.min(0), curves.max(0), alpha=0.2)
    axes.set(xlabel="frames", ylabel="mean return")
    axes.legend()
    figure.savefig(picture)
    print(f"written: {picture}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, default=KEPT)
    parser.add_argument("--picture", type=Path, default=Path("remix_and_owqmix.png"))
    main(**vars(parser.parse_args()))
