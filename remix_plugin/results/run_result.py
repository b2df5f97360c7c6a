"""Identity and evaluations of one run."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# The block of runs that no suite has run
NO_BLOCK = "runs"


@dataclass(frozen=True)
class WeightCounts:
    """How the projection weights of sampled transitions were distributed.

    Attributes:
        centers (tuple of float): middles of bins of equal width.
        frames (tuple of int): frames collected at the end of each interval.
        counts (tuple of tuple of int): transitions per bin, then those beyond the last,
            a row per interval.
    """

    centers: tuple[float, ...]
    frames: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class RunResult:
    """Evaluations of one run.

    Attributes:
        block (str): block of its suite, e.g. ``"anneal_50k"``; ``NO_BLOCK`` of a run
            that no suite has run.
        task (str): BenchMARL's name, e.g. ``"predator_prey/punish_2"``.
        label (str): name of its curve, e.g. ``"remix"`` or ``"remix_w_min_0_5"``.
        seed (int): its seed.
        frames (tuple of int): frames collected at each evaluation, ascending.
        episodes (dict): by metric (``return``, ``episode_length``, ``win_rate``,
            ``success_rate``, ...), the episodes of each evaluation.
        absolute (dict): by metric, the episodes of the absolute metric (Gorsane et al.,
            2022); empty if it was not computed.
        weights (dict): of each group, how projection weights were distributed; empty
            for algorithms without them.
        record (dict): ``overrides``, ``seconds``, ``commit``, ``versions``, ``python``
            and ``hardware``, see ``remix_plugin.suites.record``. Of a run that no suite
            has run it is empty, or has the seconds that its log tells.
        path (Path, optional): the json that it was read from; None from an archive.
    """

    block: str
    task: str
    label: str
    seed: int
    frames: tuple[int, ...]
    episodes: dict[str, tuple[tuple[float, ...], ...]]
    absolute: dict[str, tuple[float, ...]] = field(default_factory=dict)
    weights: dict[str, WeightCounts] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    path: Path | None = field(default=None, compare=False)

    @property
    def folder(self) -> Path | None:
        """The folder with all that the run has left; None from an archive.

        BenchMARL makes one below Hydra's, named as its json is.
        """
        if self.path is None:
            return None
        own = self.path.parent
        return own.parent if self.path.stem == own.name else own

    @property
    def name(self) -> str:
        """Block, task, label and seed, as its folder has them."""
        task = self.task.replace("/", "-")
        return f"{self.block}/{task}/{self.label}/seed_{self.seed}"

    def means(self, metric: str) -> tuple[float, ...]:
        """Mean over the episodes of each evaluation.

        Raises:
            KeyError: if the run has no such metric.
            ValueError: if there is an evaluation without an episode that counts.
        """
        if metric not in self.episodes:
            known = ", ".join(self.episodes)
            raise KeyError(f"{self.name} has no {metric!r}: it has {known}.")
        if not all(self.episodes[metric]):
            raise ValueError(f"{self.name}: an evaluation has no {metric} at all.")
        return tuple(sum(one) / len(one) for one in self.episodes[metric])

    def at(self, frames: Container[int]) -> RunResult:
        """The same run with its evaluations at these frames alone."""
        kept = [number for number, at in enumerate(self.frames) if at in frames]
        return replace(
            self,
            frames=tuple(self.frames[number] for number in kept),
            episodes={
                metric: tuple(values[number] for number in kept)
                for metric, values in self.episodes.items()
            },
        )
