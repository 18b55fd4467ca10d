"""What a policy that plans must know of its copies: their cells, their targets and where they have been."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .... import UserError
from ...batched import Arrays
from ..data import BoolArray, IntArray

if TYPE_CHECKING:
    from ..task import ReprogrammingTask


class StateReader:
    """Find out which cell and target an observation shows, whatever its form.

    Cells with equal expression are the same to an observer: the first of them stands for all.
    """

    def __init__(self, task: "ReprogrammingTask") -> None:
        self.task = task

    def read(self, observation: Arrays) -> tuple[IntArray, IntArray]:
        """Return cells and target types, (num_envs,) each."""
        if isinstance(observation, Mapping):
            cells, targets = self._rows
            return (
                _find(observation["current_expression"], cells, "cell"),
                _find(observation["target_expression"], targets, "type"),
            )
        if np.issubdtype(observation.dtype, np.integer):
            return observation[:, 0].astype(np.int64), observation[:, 1].astype(np.int64)
        cells, targets = self._component_rows
        size = self._components
        return _find(observation[:, :size], cells, "cell"), _find(observation[:, size : 2 * size], targets, "type")

    @cached_property
    def _rows(self) -> tuple[dict[bytes, int], dict[bytes, int]]:
        return _index(self.task.expression), _index(self.task.goals.centroid)

    @cached_property
    def _component_rows(self) -> tuple[dict[bytes, int], dict[bytes, int]]:
        cells, centres = self.task.components(self.task.config.task.features)
        return _index(cells), _index(centres)

    @property
    def _components(self) -> int:
        return min(self.task.config.task.features, int(self.task.table.pcs.shape[1]))


class Past:
    """Remember which cells the episode of each copy has been in."""

    def __init__(self, n_cells: int) -> None:
        self.visited = np.zeros((0, n_cells), dtype=bool)

    def note(self, cell: IntArray, steps: np.ndarray) -> BoolArray:
        """Add the cells (num_envs,) that copies are in, and return all of their episodes', (num_envs, n).

        Episodes at their first step, where ``steps`` (num_envs,) is 0, have no past.
        """
        if len(self.visited) != len(cell):
            self.visited = np.zeros((len(cell), self.visited.shape[1]), dtype=bool)
        self.visited[steps == 0] = False
        self.visited[np.arange(len(cell)), cell] = True
        return self.visited


def _index(rows: np.ndarray) -> dict[bytes, int]:
    """Return the position of every row by its bytes as float32, of equal rows the first."""
    found: dict[bytes, int] = {}
    for place, row in enumerate(np.ascontiguousarray(rows, dtype=np.float32)):
        found.setdefault(row.tobytes(), place)
    return found


def _find(rows: np.ndarray, known: dict[bytes, int], what: str) -> IntArray:
    """Return the position of every row."""
    try:
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        return np.array([known[row.tobytes()] for row in rows], dtype=np.int64)
    except KeyError as error:
        raise UserError(
            f"An observation shows no {what} of the task: measure baselines without task.obs_noise, or use "
            "task.obs=index."
        ) from error
