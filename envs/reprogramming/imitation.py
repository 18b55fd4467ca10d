"""What the planner would do, for learning by imitation."""

import numpy as np

from ... import UserError
from ..batched import Demonstrations
from .data import TRAIN, BoolArray
from .episodes.observations import make_observer
from .task import ReprogrammingTask


class Demonstrator:
    """Draw training cells and targets, with the actions that begin a shortest path.

    Paths do not enter held-out cells; pairs without one, and goals, are left out.
    """

    def __init__(self, task: ReprogrammingTask) -> None:
        self.task, self.observer = task, make_observer(task, noise=0.0)
        training = (task.split == TRAIN) & task.trainable[task.cluster_of_cell]
        allowed = training[:, None] & task.trainable[None, :] & (task.distance_train > 0)
        self.pairs = np.argwhere(allowed)
        if not len(self.pairs):
            raise UserError(
                "algo.warm_start=bc: no training cell has a way to another type, so look at `bioppo data check "
                "reprogramming`, or set algo.warm_start=none."
            )

    def draw(self, count: int, generator: np.random.Generator) -> Demonstrations:
        """Return ``count`` pairs, observed without noise at the first step, each with all the actions that are best."""
        cell, target = self.pairs[generator.integers(len(self.pairs), size=count)].T
        masks = self.task.masks_train[cell]
        state = {"cell": cell, "target": target, "elapsed_steps": np.zeros(count, dtype=np.int64)}
        if self.task.persistent is not None:
            state["clamps"] = self.task.persistent.free(count)
        distance = self.task.distance_train
        best: BoolArray = distance[self.task.table.next[cell], target[:, None]] == distance[cell, target][:, None] - 1
        return Demonstrations(self.observer.observe(state, lambda: masks, None), masks, masks & best)
