"""Measures what ``burn_in: stored`` costs, and how exact it makes recurrent values.

Trains ReMIX with GRU agents on Predator-Prey, in rows of 50 steps where episodes last
up to 200, so that most rows begin within an episode. Afterwards utilities are computed
with the final parameters in three ways: over the five rows that end with the one in
question, which hold the whole episode (the truth); over that row alone from a state of
zero; and from the state stored at its collection, by parameters as old as the row.
Prints the mean absolute error of both by step and age, then what storing costs.

Usage: python scripts/benchmark_burn_in.py [--frames N] [--threads 2]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile

import torch
from arguments import whole
from benchmarking import machine, take_turns
from benchmarl.experiment import Experiment
from tensordict import TensorDictBase
from torch import Tensor

from remix_plugin import get_experiment_config
from remix_plugin.algorithms.remix import RemixConfig
from remix_plugin.configs import config_path
from remix_plugin.environments.predator_prey.common import PredatorPreyTask
from remix_plugin.models.fused_gru import FusedGru, FusedGruConfig
from remix_plugin.objectives.unroll import unpack_rows

GROUP = "agents"
# Rows of 50 steps that hold any step's whole episode of 200.
HISTORY = 5
AGES = (0, 4, 12)
TURNS = 7
SPANS = ((0, 1), (1, 5), (5, 20), (20, 50))


def main() -> None:
    """Train, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--frames", type=whole(1), default=60_000, help="frames to train on"
    )
    parser.add_argument("--threads", type=whole(1), default=torch.get_num_threads())
    args = parser.parse_args()
    collected = get_experiment_config("predator_prey")
    frames = collected.off_policy_collected_frames_per_batch
    if args.frames < frames * (AGES[-1] + HISTORY):
        parser.error(f"--frames must be at least {frames * (AGES[-1] + HISTORY)}")
    torch.set_num_threads(args.threads)
    print(machine("cpu", args.threads))
    with tempfile.TemporaryDirectory() as folder:
        experiment = _experiment(args.frames, folder)
        experiment.run()
        model = experiment.algorithm.get_policy_for_loss(GROUP)[0]
        rows = experiment.replay_buffers[GROUP]
        n_envs = experiment.config.off_policy_n_envs_per_worker
        # In the order of collection: one row per environment and iteration.
        batches = rows[: len(rows)]
        batches = batches.reshape(len(rows) // n_envs, n_envs, batches.shape[1])
        print("\n| rows collected | burn_in | spread |", end="")
        print(*(f" steps {low}-{high - 1} |" for low, high in SPANS))
        print("|---" * (3 + len(SPANS)) + "|")
        for age in AGES:
            _print_errors(model, batches, age)
        _print_costs(experiment, batches[-1])


def _experiment(frames: int, folder: str) -> Experiment:
    """ReMIX with recurrent agents, all of whose rows stay in replay."""
    config = get_experiment_config("predator_prey")
    config.max_n_frames = config.off_policy_memory_size = frames
    config.loggers = []
    config.create_json = config.evaluation = config.checkpoint_at_end = False
    config.checkpoint_interval = 0
    config.save_folder = folder
    paper = config_path("algorithm", "paper", "remix")
    algorithm = RemixConfig.get_from_yaml(str(paper))
    algorithm.recent_size = frames // 2
    model = FusedGruConfig.get_from_yaml(str(config_path("model", "layers", "gru_64")))
    return Experiment(
        task=PredatorPreyTask.PUNISH_2.get_from_yaml(),
        algorithm_config=algorithm,
        model_config=model,
        critic_model_config=copy.deepcopy(model),
        seed=0,
        config=config,
    )


def _print_errors(model: FusedGru, batches: TensorDictBase, age: int) -> None:
    """Errors in rows of ``age`` iterations ago that begin within an episode."""
    last = len(batches) - 1 - age
    history = torch.cat(list(batches[last - HISTORY + 1 : last + 1]), dim=1)
    row = batches[last]
    within = ~row["is_init"][:, 0, 0]
    history, row = history[within], row[within]
    truth = _utilities(model, history)[:, -row.shape[1] :]
    stored = unpack_rows(row["initial_state"], model.hidden_shape)
    share = f"{within.float().mean():.0%} of {len(within)} within an episode"
    when = f"{age} iterations ago, {share}" if age else f"last, {share}"
    for name, start in (("zero", None), ("stored", stored)):
        error = (_utilities(model, row, start) - truth).abs()
        cells = (f"{error[:, low:high].mean():.4f}" for low, high in SPANS)
        print(f"| {when} | {name} | {truth.std():.3f} |", *(f"{c} |" for c in cells))


@torch.no_grad()
def _utilities(
    model: FusedGru, rows: TensorDictBase, start: Tensor | None = None
) -> Tensor:
    """Utilities ``[B, T, n, A]`` over rows, from a state or from zero."""
    inputs = rows.select(*model.in_keys, strict=False)
    if start is not None:
        shape = (*rows.shape, *model.hidden_shape)
        inputs.set(model.hidden_state_name, start.unsqueeze(1).expand(shape))
    return model(inputs).get(model.out_key)


def _print_costs(experiment: Experiment, batch: TensorDictBase) -> None:
    """Time and memory of storing, beside those of training on the rows."""
    loss = experiment.losses[GROUP]
    actions = {
        "storing": lambda: loss.hidden_states(batch, {}),
        "update": lambda: experiment._optimizer_loop(GROUP),
    }
    seconds = take_turns(actions, "cpu", TURNS, repeats=1)
    storing, update = (statistics.median(times) for times in seconds.values())
    updates = experiment.config.off_policy_n_optimizer_steps
    kept = experiment.replay_buffers[GROUP].storage[:]
    states = kept.select(*loss.hidden_states(batch, {})[0])
    print(
        f"\nstoring: {1e3 * storing:.0f} ms an iteration, whose {updates} updates take "
        f"{1e3 * update:.0f} ms each; {states.bytes() / len(kept):,.0f} of "
        f"{kept.bytes() / len(kept):,.0f} bytes a row"
    )


if __name__ == "__main__":
    main()
