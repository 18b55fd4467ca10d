"""Make any policy avoid the cells of its episode's past."""

from typing import Any

import numpy as np

from ..batched import Arrays
from .episodes.state_reader import Past, StateReader
from .task import ReprogrammingTask


class WithoutRevisits:
    """Act as another policy does, with actions masked that lead where the episode has been, unless all do."""

    uses_masks = True
    uses_steps = True

    def __init__(self, policy: Any, task: ReprogrammingTask) -> None:
        self.policy, self.reader = policy, StateReader(task)
        self.next = task.table.next
        self.past = Past(task.n_cells)

    def act(
        self,
        observation: Arrays,
        *,
        masks: np.ndarray | None,
        generator: np.random.Generator | None,
        steps: np.ndarray,
    ) -> Arrays:
        """Return actions (num_envs,); episodes at their first step have no past."""
        assert masks is not None
        cell, _ = self.reader.read(observation)
        fresh = masks & ~self.past.note(cell, steps)[np.arange(len(cell))[:, None], self.next[cell]]
        allowed = np.where(fresh.any(axis=1, keepdims=True), fresh, masks)
        actions: Arrays = self.policy.act(observation, masks=allowed, generator=generator)
        return actions
