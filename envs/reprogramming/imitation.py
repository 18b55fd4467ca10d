"""What the planner would do, for learning by imitation."""

import numpy as np

from ..batched import Demonstrations
from . import planner
from .data import TRAIN, BoolArray
from .observations import make_observer
from .task import ReprogrammingTask


class Demonstrator:
    """Draw training cells and targets, with the actions that begin a shortest path.

    Paths do not enter held-out cells; pairs without one, and goals, are left out.
    """

    def __init__(self, task: ReprogrammingTask) -> None:
        self.task, self.observer = task, make_observer(task, noise=0.0)
        following, distance = task.table.next, task.distance_train
        training = (task.split == TRAIN) & task.trainable[task.cluster_of_cell]
        allowed = training[:, None] & task.trainable[None, :] & (distance > 0)
        self.pairs = np.argwhere(allowed)
        self.best = np.stack([planner.optimal_actions(following, distance, kind) for kind in range(task.n_types)])
        self.best &= task.masks_train

    def draw(self, count: int, generator: np.random.Generator) -> Demonstrations:
        """Return ``count`` pairs, observed without noise at the first step, each with all the actions that are best."""
        cell, target = self.pairs[generator.integers(len(self.pairs), size=count)].T
        masks = self.task.masks_train[cell]
        state = {"cell": cell, "target": target, "elapsed_steps": np.zeros(count, dtype=np.int64)}
        if self.task.persistent is not None:
            state["clamps"] = self.task.persistent.free(count)
        best: BoolArray = self.best[target, cell]
        return Demonstrations(self.observer.observe(state, lambda: masks, None), masks, best)
