"""What is known of one finished run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
        block (str): block of its suite, e.g. ``"anneal_50k"``.
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
            and ``hardware``, see ``remix_plugin.suites.record``.
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
