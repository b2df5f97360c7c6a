"""Draw an evaluation episode of a trained team as a GIF.

BenchMARL's loggers write videos of evaluations where they can (experiment.render=True
with a logger that takes video); this needs nothing but Pillow.

Only for your own checkpoints: the config.pkl of a run, which is read too, is a pickle,
and loading a pickle runs whatever code it names.

    remix video results/run/checkpoints/checkpoint_200000.pt --best
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from benchmarl.experiment import Experiment
from tensordict import TensorDictBase
from torchrl.envs.utils import ExplorationType, set_exploration_type, step_mdp

from remix_plugin.callbacks.episodes import read_episodes
from remix_plugin.callbacks.evaluation import STATE_KEY
from remix_plugin.commands.arguments import (
    LARGEST_SEED,
    file,
    new_file,
    refusals,
    whole,
)
from remix_plugin.damaged import DamagedFileError
from remix_plugin.registration import register
from remix_plugin.results.checkpoint import check_checkpoint

FRAMES_PER_SECOND = 8
LAST_FRAME_SECONDS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the subcommand takes."""
    parser.add_argument(
        "checkpoint", type=file, help="a run's checkpoints/checkpoint_FRAMES.pt"
    )
    parser.add_argument(
        "--out", type=new_file(".gif"), help="default: beside the checkpoint"
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="play the policy of the run's best evaluation, not its last",
    )
    parser.add_argument(
        "--seed", type=whole(0, LARGEST_SEED), default=0, help="seed of the episode"
    )


def main(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Play an episode, write it and say how it went."""
    out = args.out or args.checkpoint.with_suffix(".gif")
    register()
    # BenchMARL writes a config of what it reloads: not over the run's own.
    with refusals(parser), tempfile.TemporaryDirectory() as folder:
        experiment = load(args.checkpoint, args.best, folder)
        frames, rollout = play(experiment, args.seed)
        write_gif(out, frames)
    episodes = read_episodes(experiment, [rollout])
    said = ", ".join(f"{name} {values[0]:g}" for name, values in episodes.items())
    print(f"{out}: {len(frames)} frames, {said}")
    return 0


def load(checkpoint: Path, best: bool, folder: str) -> Experiment:
    """The run of a checkpoint, with its last policy or that of its best evaluation.

    Args:
        checkpoint (Path): its file.
        best (bool): whether to take the policy of the best evaluation.
        folder (str): where the experiment that is made of it has its own folder.

    Raises:
        DamagedFileError: if the checkpoint or its run's config is damaged, or they are
            of different runs.
        ValueError: if the task draws no pictures, or the best policy was not kept.
    """
    state = check_checkpoint(checkpoint)
    settings = {
        "loggers": [],
        "create_json": False,
        "evaluation_episodes": 1,
        "save_folder": folder,
        # Wherever it was trained
        "sampling_device": "cpu",
        "train_device": "cpu",
        "buffer_device": "cpu",
        "restore_map_location": "cpu",
    }
    try:
        experiment = Experiment.reload_from_file(str(checkpoint.resolve()), settings)
    except ImportError:
        raise
    # What BenchMARL raises of a changed config can be anything.
    except Exception as error:
        what = f"it does not fit the config.pkl of its run, {error}"
        raise DamagedFileError(checkpoint, what) from error
    if not experiment.task.has_render(experiment.test_env):
        raise ValueError(f"{experiment.task} draws no pictures.")
    if best:
        best_policy = state.get(STATE_KEY, {}).get("best_policy")
        if not best_policy:
            raise ValueError(f"{checkpoint} does not keep the best policy.")
        experiment.policy.load_state_dict(best_policy)
    return experiment


def play(experiment: Experiment, seed: int) -> tuple[list[np.ndarray], TensorDictBase]:
    """One greedy episode: a picture of its start and of each step, and the steps."""
    env = experiment.test_env
    env.set_seed(seed)

    def draw() -> np.ndarray:
        return np.asarray(experiment.task.render_callback(experiment, env, now))

    steps = []
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        now = env.reset()
        frames = [draw()]
        for _ in range(experiment.max_steps):
            steps.append(env.step(experiment.policy(now)))
            now = step_mdp(steps[-1])
            frames.append(draw())
            if now.get("done").all():
                break
    rollout = TensorDictBase.lazy_stack(steps, -1)
    return frames, rollout[0] if env.batch_size else rollout


def write_gif(path: Path, frames: list[np.ndarray]) -> None:
    """Write pictures ``[height, width, 3]``, the last of which stays on for longer."""
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    shown = [1000 // FRAMES_PER_SECOND] * len(images)
    shown[-1] = 1000 * LAST_FRAME_SECONDS
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=shown, loop=0
    )
