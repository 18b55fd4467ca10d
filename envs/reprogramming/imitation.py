"""What the planner would do, for learning by imitation."""

import numpy as np

from ..batched import Demonstrations
from . import planner
from .data import TRAIN, BoolArray
from .task import ReprogrammingTask

COLUMNS = 4
"""Numbers of an index observation: cell, target, step and clamps."""


class Demonstrator:
    """Draw training cells and targets, with the actions that begin a shortest path.

    Paths do not enter held-out cells; pairs without one, and goals, are left out.
    """

    def __init__(self, task: ReprogrammingTask) -> None:
        self.task = task
        following, distance = task.table.next, task.distance_train
        training = (task.split == TRAIN) & task.trainable[task.cluster_of_cell]
        allowed = training[:, None] & task.trainable[None, :] & (distance > 0)
        self.pairs = np.argwhere(allowed)
        self.best = np.stack([planner.optimal_actions(following, distance, kind) for kind in range(task.n_types)])
        self.best &= task.masks_train

    def draw(self, count: int, generator: np.random.Generator) -> Demonstrations:
        """Return ``count`` pairs, as index observations, each with all the actions that are best."""
        cell, target = self.pairs[generator.integers(len(self.pairs), size=count)].T
        observations = np.zeros((count, COLUMNS), dtype=np.int32)
        observations[:, 0], observations[:, 1] = cell, target
        best: BoolArray = self.best[target, cell]
        return Demonstrations(observations, self.task.masks_train[cell], best)
