"""Pictures of Predator-Prey that a person can follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from remix_plugin.environments.predator_prey.config import PredatorPreyConfig

CELL = 40
MARGIN = 8
HEADER = 44
BACKGROUND = "white"
GRID = "#d9d9d9"
INK = "#222222"
# Okabe and Ito's palette, told apart by the color-blind.
PREDATOR = "#0072B2"
CATCHING = "#E69F00"
PREY = "#009E73"
CATCH_ACTION = 5

Coordinates = Sequence["tuple[int, int] | None"]


def draw_frame(
    config: PredatorPreyConfig,
    *,
    predators: Coordinates,
    prey: Coordinates,
    last_action: Sequence[int],
    step: int,
    episode_return: float,
) -> np.ndarray:
    """One frame: numbered predators, round; prey, diamonds; the score above.

    A predator that tried to catch in the last step and is still on the grid (nobody
    was caught with its help) has an orange ring.

    Args:
        config (PredatorPreyConfig): sizes and limits.

    Keyword Args:
        predators: row and column of each predator, ``None`` once frozen.
        prey: row and column of each prey, ``None`` once caught.
        last_action: action of each predator in the last step, -1 before the first.
        step (int): steps taken.
        episode_return (float): sum of rewards so far.

    Returns:
        np.ndarray: uint8 ``[height, width, 3]``.
    """
    width = max(config.grid_width * CELL, 360) + 2 * MARGIN
    height = config.grid_height * CELL + HEADER + MARGIN
    image = Image.new("RGB", (width, height), BACKGROUND)
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=16)
    _draw_header(canvas, font, config, prey, predators, step, episode_return)
    _draw_grid(canvas, config)
    for where in prey:
        if where is not None:
            x, y = _center(where)
            r = CELL * 0.36
            canvas.polygon([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], fill=PREY)
    for number, where in enumerate(predators):
        if where is not None:
            x, y = _center(where)
            r = CELL * 0.38
            ring = CATCHING if last_action[number] == CATCH_ACTION else PREDATOR
            canvas.ellipse([x - r, y - r, x + r, y + r], PREDATOR, ring, width=5)
            canvas.text((x, y), str(number), fill="white", font=font, anchor="mm")
    return np.asarray(image)


def _draw_header(
    canvas: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    config: PredatorPreyConfig,
    prey: Coordinates,
    predators: Coordinates,
    step: int,
    episode_return: float,
) -> None:
    caught = sum(where is None for where in prey)
    frozen = sum(where is None for where in predators)
    first = f"step {step}/{config.max_steps}   return {episode_return:g}"
    second = (
        f"prey caught {caught}/{config.n_prey}   "
        f"predators frozen {frozen}/{config.n_predators}"
    )
    canvas.text((MARGIN, 3), first, fill=INK, font=font)
    canvas.text((MARGIN, 22), second, fill=INK, font=font)


def _draw_grid(canvas: ImageDraw.ImageDraw, config: PredatorPreyConfig) -> None:
    right = MARGIN + config.grid_width * CELL
    bottom = HEADER + config.grid_height * CELL
    for column in range(config.grid_width + 1):
        x = MARGIN + column * CELL
        canvas.line([(x, HEADER), (x, bottom)], fill=GRID)
    for row in range(config.grid_height + 1):
        y = HEADER + row * CELL
        canvas.line([(MARGIN, y), (right, y)], fill=GRID)


def _center(where: tuple[int, int]) -> tuple[float, float]:
    row, column = where
    return MARGIN + (column + 0.5) * CELL, HEADER + (row + 0.5) * CELL
