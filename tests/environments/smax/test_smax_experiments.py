"""SMAX through BenchMARL: ours and its algorithms, win rates, commands."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarl.algorithms import EnsembleAlgorithmConfig, QmixConfig
from benchmarl.experiment import Callback, Experiment, ExperimentConfig
from benchmarl.models import MlpConfig
from smax_battles import N_ENVS, needs_jaxmarl
from smax_processes import run_python
from tensordict import TensorDictBase

from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.algorithms.wqmix import OwqmixConfig
from remix_plugin.callbacks.evaluation import EvaluationRecorder
from remix_plugin.environments.smax.common import SmaxTask

pytestmark = [pytest.mark.slow, needs_jaxmarl]

FromHydra = Callable[..., Experiment]

# Long enough for battles to end; batches of one size, compiled once.
FRAMES = 160
BATCHES = {
    "max_n_frames": FRAMES,
    "off_policy_collected_frames_per_batch": FRAMES,
    "off_policy_train_batch_size": FRAMES,
    "off_policy_memory_size": FRAMES,
    "on_policy_collected_frames_per_batch": FRAMES,
    "on_policy_n_envs_per_worker": N_ENVS,
    "on_policy_minibatch_size": FRAMES // 2,
    "on_policy_n_minibatch_iters": 1,
    "evaluation": True,
    "evaluation_interval": FRAMES,
    "evaluation_episodes": N_ENVS,
    "loggers": ["csv"],
    "create_json": True,
}
OURS, THEIRS = ("remix", "owqmix"), ("qmix", "vdn", "mappo")


def overrides(**changes: Any) -> list[str]:
    """These settings, for Hydra."""
    settings = {**BATCHES, **changes}
    return [f"experiment.{field}={value}" for field, value in settings.items()]


def scalars(folder: Path, name: str) -> list[float]:
    """What the csv logger wrote, one value per iteration; empty if nothing."""
    paths = list(folder.rglob(f"scalars/{name}.csv"))
    assert len(paths) <= 1
    return [
        float(line.split(",")[1]) for path in paths for line in path.read_text().split()
    ]


def check_rates(folder: Path, stage: str) -> None:
    """Both rates were logged once, as fractions."""
    for name in ("win_rate", "episode_limit_rate"):
        (rate,) = scalars(folder, f"{stage}_info_{name}")
        assert 0 <= rate <= 1
        # Of four battles, or of however many ended at collection
        assert stage != "eval" or rate in (0.0, 0.25, 0.5, 0.75, 1.0)


class Mine(EvaluationRecorder):
    """A user's own; BenchMARL pickles it."""


class Seen(Callback):
    """Keeps the batch that was collected."""

    batch: TensorDictBase

    def on_batch_collected(self, batch: TensorDictBase) -> None:
        self.batch = batch


@pytest.mark.parametrize("algorithm", [*OURS, *THEIRS])
def test_algorithm_trains(
    algorithm: str, experiment_from_hydra: FromHydra, save_folder: Path
) -> None:
    experiment = experiment_from_hydra(
        f"algorithm={algorithm}", "task=smax/3m", *overrides()
    )
    seen = Seen()
    experiment.callbacks = [*experiment.callbacks, seen]
    assert experiment.max_steps == 101
    before = [p.clone() for p in experiment.losses["agents"].parameters()]
    experiment.run()
    after = list(experiment.losses["agents"].parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(torch.isfinite(parameter).all() for parameter in after)

    action = seen.batch["agents", "action"]
    available = seen.batch["agents", "action_mask"].gather(-1, action[..., None])
    assert available.all()
    done = seen.batch["next", "done"]
    won = seen.batch["next", "info", "battle_won"]
    assert scalars(save_folder, "collection_info_win_rate") == [
        pytest.approx(won[done].float().mean().item())
    ]
    check_rates(save_folder, "collection")
    if algorithm in OURS:
        check_rates(save_folder, "eval")
    else:
        assert not scalars(save_folder, "eval_info_win_rate")


@pytest.fixture
def build(
    tiny_experiment: ExperimentConfig, tiny_model: MlpConfig
) -> Callable[..., Experiment]:
    """A function of algorithm, callbacks, task and changed settings."""

    def build_experiment(
        algorithm: Any,
        callbacks: Any = None,
        task: Any = None,
        **settings: Any,
    ) -> Experiment:
        config = copy.deepcopy(tiny_experiment)
        for field, value in {**BATCHES, **settings}.items():
            setattr(config, field, value)
        return Experiment(
            task=task or SmaxTask["3M"].get_from_yaml(),
            algorithm_config=algorithm,
            model_config=tiny_model,
            seed=0,
            config=config,
            callbacks=callbacks,
        )

    return build_experiment


def win_rates(experiment: Experiment) -> list[EvaluationRecorder]:
    return [c for c in experiment.callbacks if isinstance(c, EvaluationRecorder)]


def test_win_rate_is_attached_once(build: Callable[..., Experiment]) -> None:
    owqmix = OwqmixConfig.get_from_yaml()
    for algorithm in (owqmix, EnsembleAlgorithmConfig({"agents": owqmix})):
        experiment = build(algorithm)
        (callback,) = win_rates(experiment)
        assert callback.experiment is experiment


def test_win_rate_leaves_callbacks_of_the_user_alone(
    build: Callable[..., Experiment],
) -> None:
    remix, mine, other = RemixConfig.get_from_yaml(), Mine(), Callback()
    experiment = build(remix, [mine])
    assert experiment.callbacks[0] is mine
    assert win_rates(experiment) == [mine]
    given = [other]
    experiment = build(remix, given)
    assert given == [other]
    assert experiment.callbacks[0] is other
    assert len(win_rates(experiment)) == 1


def test_qmix_of_benchmarl_takes_the_callback(
    build: Callable[..., Experiment], save_folder: Path
) -> None:
    experiment = build(QmixConfig.get_from_yaml(), [EvaluationRecorder()])
    experiment.run()
    check_rates(save_folder, "eval")


def test_checkpoint_is_continued(
    build: Callable[..., Experiment], save_folder: Path
) -> None:
    experiment = build(RemixConfig.get_from_yaml(), checkpoint_at_end=True)
    experiment.run()
    (path,) = save_folder.rglob(f"checkpoint_{FRAMES}.pt")
    again = Experiment.reload_from_file(str(path), {"max_n_frames": 2 * FRAMES})
    assert len(win_rates(again)) == 1
    again.run()
    assert again.total_frames == 2 * FRAMES


def test_same_seed_same_experiment(build: Callable[..., Experiment]) -> None:
    batches = []
    for _ in range(2):
        seen = Seen()
        build(RemixConfig.get_from_yaml(), [seen], evaluation=False).run()
        batches.append(seen.batch)
    one, other = batches
    for key in ("state", ("agents", "action"), ("next", "reward")):
        assert torch.equal(one[key], other[key])


def test_command_trains_and_writes_win_rates(tmp_path: Path) -> None:
    completed = run_python(
        tmp_path,
        "-m",
        "benchmarl.run",
        "algorithm=remix",
        "task=smax/3m",
        "experiment=smax",
        "model.num_cells=[16]",
        *overrides(off_policy_n_envs_per_worker=N_ENVS, off_policy_n_optimizer_steps=2),
        "hydra.run.dir=out",
    )
    output = completed.stdout + completed.stderr
    assert completed.returncode == 0, output
    assert "Algorithm: remix, Task: smax/3m" in output
    assert "TaskConfig python dataclass not found" not in output
    for stage in ("eval", "collection"):
        check_rates(tmp_path / "out", stage)
    assert list(tmp_path.rglob(f"checkpoints/checkpoint_{FRAMES}.pt"))
