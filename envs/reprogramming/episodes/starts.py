"""Where training episodes begin and what they aim at: drawn for many episodes at once, copy by copy the same."""

import numpy as np

from ...counter_streams import CounterStreams
from ..data import BoolArray, FloatArray, IntArray
from ..task import ReprogrammingTask
from .curriculum import Curriculum

PAIR, GATE, STEPS = 0, 1, 2
"""Places of an episode's random numbers in its stream; those of its steps go on without end."""

AHEAD = 8
"""Episodes whose beginnings are drawn at once, since a draw costs nearly the same for one copy and for all."""


class TrainingStarts:
    """Draws a start cell and a target type for episodes that begin in a phase of the curriculum.

    Attributes
    ----------
    gated
        Whether the curriculum goes by the length of shortest paths.
    staged
        Whether it goes by types.
    """

    def __init__(self, task: ReprogrammingTask, curriculum: Curriculum) -> None:
        self.task, self.curriculum = task, curriculum
        kind = task.config.curriculum.kind
        self.gated, self.staged = kind == "bfs_gated", kind.startswith("nearest_types")
        self._ahead: tuple[np.ndarray, FloatArray] | None = None

    def forget(self) -> None:
        """Draw anew: the streams have changed."""
        self._ahead = None

    def horizon(self, phase: int) -> int:
        """Return the steps of episodes that begin in a phase."""
        return self.task.schedule.horizons[phase] if self.staged else self.task.config.task.horizon_train

    @property
    def longest(self) -> int:
        """The steps of episodes in the last phase."""
        return self.horizon(self.curriculum.last_phase)

    def draw(self, streams: CounterStreams, copies: np.ndarray, phase: int) -> tuple[IntArray, IntArray, BoolArray]:
        """Return cells and targets (n,) of the episodes that these copies have begun, and which the gate let in."""
        uniform = self.uniform(streams, copies)
        everything = self.task.pairs(self.task.schedule.targets[phase if self.staged else -1], self.horizon(phase))
        pair = everything[(uniform[:, PAIR] * len(everything)).astype(np.int64)]
        gated = np.zeros(len(copies), dtype=bool)
        if self.gated:
            near, counts = self.task.pairs_by_distance
            # Where no pair is as near as the first gate, the nearest ones are drawn from.
            count = counts[min(self.curriculum.gate(phase), len(counts) - 1)] or counts[counts > 0][0]
            gated = uniform[:, GATE] >= self.task.config.curriculum.full_share
            pair = np.where(gated, near[(uniform[:, PAIR] * count).astype(np.int64)], pair)
        cell, target = np.divmod(pair, self.task.n_types)
        return cell, target, gated

    def uniform(self, streams: CounterStreams, copies: np.ndarray) -> FloatArray:
        """Return the numbers (n, 1 or 2) that their episodes begin with, the same as if drawn one by one."""
        episode = streams.episode
        if self._ahead is not None:
            first, drawn = self._ahead
            place = episode[copies] - first[copies]
            if place.max(initial=0) < AHEAD:
                return np.asarray(drawn[place.view(np.int64), copies])
        first = episode + np.uint64(1)
        first[copies] = episode[copies]
        later = CounterStreams(np.tile(streams.keys, AHEAD))
        later.episode = (first + np.arange(AHEAD, dtype=np.uint64)[:, None]).ravel()
        count = GATE + 1 if self.gated else PAIR + 1
        drawn = later.uniform(np.arange(len(later.keys)), PAIR, count).reshape(AHEAD, len(streams.keys), count)
        self._ahead = first, drawn
        return np.asarray(drawn[0, copies])
