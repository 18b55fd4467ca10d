"""What an action does to a cell: the table's next cell, or one drawn from the most probable neighbours.

Actions that a mask forbids, and all actions in a cell whose every action is forbidden, leave the cell where it is.
"""

from functools import cached_property
from typing import Protocol

import numpy as np

from .... import UserError
from ..data import BoolArray, FloatArray, IntArray, Table

SMALLEST_MASS = 1e-6
"""Probabilities of an action that sum to less lead nowhere."""

BLOCK = 256
"""Cells whose probabilities are held in 64 bits at once."""


class Dynamics(Protocol):
    """What copies are moved by; made once per task for training and once for evaluation."""

    draws: int
    """Random numbers that a step of one copy needs."""

    @property
    def masks(self) -> BoolArray:
        """Which actions are allowed in every cell, (n, A); a row without any is all false here."""

    def move(self, cell: IntArray, action: IntArray, uniform: FloatArray | None) -> IntArray:
        """Return the cells (m,) that are reached; ``uniform`` (m, draws) lies in (0, 1)."""


class TableDynamics:
    """The nearest cell, as the table has it.

    Parameters
    ----------
    blocked
        (n,) bool: cells that no action may enter; None where all may be.
    """

    draws = 0

    def __init__(self, table: Table, blocked: BoolArray | None = None) -> None:
        here = np.arange(len(table.next), dtype=table.next.dtype)[:, None]
        self.masks: BoolArray = table.next != here
        moves = table.next
        if blocked is not None and blocked.any():
            self.masks &= ~blocked[table.next]
            moves = np.where(self.masks, table.next, here)
        self._moves = np.ascontiguousarray(moves).ravel()
        self._n_actions = table.next.shape[1]

    def move(self, cell: IntArray, action: IntArray, uniform: FloatArray | None = None) -> IntArray:
        """Return the cells (m,) that are reached."""
        del uniform
        reached: IntArray = self._moves.take(cell * self._n_actions + action).astype(np.int64)
        return reached


class StochasticDynamics:
    """One of the most probable neighbours, by their renormalised probabilities.

    Neighbours that may not be entered are left out before probabilities are renormalised. An action whose neighbours
    have no probability (the simulated change is zero) is masked.
    """

    draws = 1

    def __init__(self, table: Table, blocked: BoolArray | None = None) -> None:
        if table.neighbours is None or table.probability is None:
            raise UserError(
                "dynamics.kind=stochastic: the transition table holds no probabilities of neighbours, so build it with "
                "dynamics.kind=stochastic or use dynamics.kind=table."
            )
        self._neighbours, self._probability, self._blocked = table.neighbours, table.probability, blocked

    @cached_property
    def masks(self) -> BoolArray:
        """Which actions lead to another cell that may be entered, (n, A)."""
        masks = np.empty(self._neighbours.shape[:2], dtype=bool)
        for first in range(0, len(masks), BLOCK):
            cells = np.arange(first, min(first + BLOCK, len(masks)))
            masks[cells] = self._weights(cells, slice(None)).sum(axis=-1) > SMALLEST_MASS
        return masks

    def move(self, cell: IntArray, action: IntArray, uniform: FloatArray | None) -> IntArray:
        """Return the cells (m,) that are drawn with ``uniform`` (m, 1)."""
        assert uniform is not None
        cumulative = self._weights(cell, action).cumsum(axis=1)
        drawn = uniform[:, :1] * cumulative[:, -1:]
        place = np.minimum((cumulative <= drawn).sum(axis=1), cumulative.shape[1] - 1)
        reached = self._neighbours[cell, action, place]
        moves = cumulative[:, -1] > SMALLEST_MASS
        return np.where(moves, reached, cell).astype(np.int64)

    def outcomes(self, cell: IntArray) -> tuple[IntArray, FloatArray]:
        """Return where all actions lead from cells (m,), (m, A, q), and how likely; all 0 for masked actions."""
        weights = self._weights(cell, slice(None))
        mass = weights.sum(axis=-1, keepdims=True)
        moves = mass > SMALLEST_MASS
        weights *= np.where(moves, 1.0 / np.where(moves, mass, 1.0), 0.0)
        return self._neighbours[cell], weights

    def _weights(self, cell: IntArray, action: IntArray | slice) -> FloatArray:
        """Return the probability of every neighbour in 64 bits, without those that may not be entered."""
        weights = self._probability[cell, action].astype(np.float64)
        neighbours = self._neighbours[cell, action]
        here = cell.reshape(-1, *[1] * (neighbours.ndim - 1))
        refused = neighbours == here
        if self._blocked is not None:
            refused |= self._blocked[neighbours]
        weights[refused] = 0.0
        return weights


def make_dynamics(kind: str, table: Table, blocked: BoolArray | None) -> TableDynamics | StochasticDynamics:
    """Return the dynamics ``kind``: ``table`` or ``stochastic``."""
    return StochasticDynamics(table, blocked) if kind == "stochastic" else TableDynamics(table, blocked)
