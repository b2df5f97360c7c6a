"""All algorithms through BenchMARL's commands: multirun, evaluate, resume."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
import torch
from commands import TINY, TINY_MLP, succeed

pytestmark = pytest.mark.slow

# ReMIX runs in ``test_run.py``.
ALGORITHMS = [
    "owqmix",
    "cwqmix",
    "tunedqmix",
    "qplex",
    "qatten",
    "qtran",
    "vdac",
    "vdacsum",
    "dop",
    "fop",
    "coma",
    "discretemaddpg",
]
ON_POLICY = [
    "experiment.on_policy_collected_frames_per_batch=16",
    "experiment.on_policy_n_envs_per_worker=4",
    "experiment.on_policy_minibatch_size=16",
    "experiment.on_policy_n_minibatch_iters=1",
]
# Losses that are not one
CRITICS = {
    "dop": "loss_critic",
    "fop": "loss_qvalue",
    "coma": "loss_critic",
    "discretemaddpg": "loss_critic",
}


def result(folder: Path) -> dict[str, dict]:
    """The only result of a run: its steps, by algorithm."""
    (path,) = folder.rglob("*.json")
    by_algorithm = json.loads(path.read_text())["predator_prey"]["punish_2"]
    return {name: by_seed["seed_0"] for name, by_seed in by_algorithm.items()}


def scalars(folder: Path, name: str) -> list[float]:
    """What the csv logger wrote, one value per iteration."""
    (path,) = folder.rglob(f"scalars/{name}.csv")
    return [float(line.split(",")[1]) for line in path.read_text().split()]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a multirun of the algorithms, each with a folder of its number."""
    folder = tmp_path_factory.mktemp("jobs")
    succeed(
        folder,
        "-m",
        "benchmarl.run",
        "-m",
        f"algorithm={','.join(ALGORITHMS)}",
        "task=predator_prey/punish_2",
        *TINY_MLP,
        *ON_POLICY,
        "experiment.exclude_buffer_from_checkpoint=False",
        "hydra.sweep.dir=out",
    )
    return folder / "out"


@pytest.mark.parametrize(("job", "algorithm"), list(enumerate(ALGORITHMS)))
def test_multirun_trains_each_algorithm(jobs: Path, job: int, algorithm: str) -> None:
    (run,) = result(jobs / str(job)).items()
    assert run[0] == algorithm
    assert [run[1][f"step_{i}"]["step_count"] for i in (1, 2)] == [16, 32]
    loss = CRITICS.get(algorithm, "loss")
    assert len(scalars(jobs / str(job), f"train_agents_{loss}")) == 2
    assert list((jobs / str(job)).rglob("checkpoints/checkpoint_32.pt"))


def test_recurrent_agents_learn_with_longer_returns(tmp_path: Path) -> None:
    succeed(
        tmp_path,
        "-m",
        "benchmarl.run",
        "algorithm=remix",
        "task=predator_prey/punish_2",
        *TINY,
        "model=layers/gru_64",
        "model@critic_model=layers/gru_64",
        "algorithm.td_lambda=0.6",
        "algorithm.burn_in=stored",
        "hydra.run.dir=out",
    )
    assert set(result(tmp_path)) == {"remix"}
    losses = scalars(tmp_path, "train_agents_loss")
    assert len(losses) == 2
    assert all(0 < loss < float("inf") for loss in losses)
    (checkpoint,) = tmp_path.rglob("checkpoint_32.pt")
    saved = torch.load(checkpoint, weights_only=False)
    # Rows of steps, for targets over several of them, and where their memory begins.
    assert saved["checkpoint_files"]["replay"]["agents"]["end"] == 8
    (file,) = checkpoint.parent.glob("replay/agents/rows_0_8.pt.gz")
    rows = torch.load(io.BytesIO(gzip.decompress(file.read_bytes())))
    assert {"initial_state", "unrestricted_initial_state"} <= set(rows)
    # Which targets those are, the config says.
    assert not [key for key in saved["loss_agents"] if "value_estimator" in key]
