"""Perturbations that hold until the episode ends, or until they are released.

What is clamped is a row (max_clamps,) of action positions + 1, the largest first, 0 where nothing is. No table can hold
where all cells go under all such rows, so that moves are simulated when they are needed, and kept for a while.

Masks follow what is clamped, and all forms of observation show it. The networks of `policies` read cell and target
alone: they act as if nothing were clamped, and an afterstate network compares the next cells of the memoryless table,
which are where actions lead only while nothing else holds. So do the table's baselines. A policy that is to know what
is clamped reads ``task.obs=dict`` or ``features``.
"""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from .... import UserError
from ..config import ReprogrammingConfig
from ..data import Actions, BoolArray, FloatArray, IntArray, Table
from ..moves import Simulator
from ..project import snap
from ..propagate import Clamps, index_conditions

REMEMBERED = 500_000
"""Moves that are kept; the one that was not asked for longest is forgotten first."""

BLOCK_BYTES = 2**27
"""Memory for the differences between the cells of a block and their neighbours."""


class PersistentDynamics:
    """Moves cells under all perturbations that hold.

    Choosing an action makes it hold; choosing one that holds releases it. An action that perturbs a gene of another
    one takes its place. Once ``max_clamps`` actions hold, all but releases are masked, and do nothing.

    Parameters
    ----------
    simulator
        Of the cells.
    actions
        Columns of the table.
    space
        (n, d) coordinates in which cells are moved and snapped.
    gain
        Factor on moves.
    remembered
        How many moves are kept.
    """

    def __init__(
        self,
        simulator: Simulator,
        actions: Actions,
        space: FloatArray,
        gain: float,
        *,
        max_clamps: int = 4,
        remembered: int = REMEMBERED,
    ) -> None:
        self.simulator, self.space, self.gain = simulator, space, gain
        self.max_clamps, self.remembered = max_clamps, remembered
        self.n_actions = len(actions.names)
        self._single = single = index_conditions(actions.conditions, simulator.grn.genes)
        self._entries = np.bincount(single.condition, minlength=self.n_actions)
        perturbed, column = np.unique(single.gene, return_inverse=True)
        touched = np.zeros((self.n_actions, len(perturbed)), dtype=np.float32)
        touched[single.condition, column] = 1.0
        shared: FloatArray = touched @ touched.T
        self._rivals: BoolArray = np.asarray(shared > 0)
        self._moves: OrderedDict[bytes, int] = OrderedDict()

    def free(self, num_envs: int) -> NDArray[np.int64]:
        """Return rows of cells in which nothing is clamped."""
        return np.zeros((num_envs, self.max_clamps), dtype=np.int64)

    def masks(self, clamps: IntArray) -> BoolArray:
        """Return which actions are allowed, (num_envs, A)."""
        open_rows: BoolArray = np.asarray((clamps == 0).any(axis=1))
        return self.flags(clamps) | open_rows[:, None]

    def flags(self, clamps: IntArray) -> BoolArray:
        """Return which actions hold, (num_envs, A)."""
        flags = np.zeros((len(clamps), self.n_actions + 1), dtype=bool)
        np.put_along_axis(flags, clamps, True, axis=1)
        return flags[:, 1:]

    def apply(self, clamps: IntArray, actions: IntArray) -> tuple[NDArray[np.int64], BoolArray]:
        """Return what is clamped after actions (num_envs,), and which of them were allowed."""
        chosen = actions[:, None] + 1
        released = clamps == chosen
        releases = released.any(axis=1)
        full = (clamps > 0).all(axis=1)
        rivals = self._rivals[actions[:, None], clamps - 1] & (clamps > 0)
        changed = np.where(released | rivals, 0, clamps)
        # A row that is not full ends in a 0, which the action takes.
        changed[:, -1] = np.where(releases, changed[:, -1], chosen[:, 0])
        allowed = releases | ~full
        changed = np.where(allowed[:, None], changed, clamps)
        return -np.sort(-changed, axis=1), allowed

    def move(self, cell: IntArray, clamps: IntArray, blocked: BoolArray | None = None) -> NDArray[np.int64]:
        """Return the cells (num_envs,) that are reached; ``blocked`` ones (n,) are not, and cells stay instead."""
        rows, place = np.unique(np.column_stack([cell, clamps]), axis=0, return_inverse=True)
        keys = [row.tobytes() for row in rows]
        known = [self._moves.get(key, -1) for key in keys]
        reached = np.array(known, dtype=np.int64)
        missing = np.flatnonzero(reached < 0)
        if len(missing):
            reached[missing] = self.simulate(rows[missing, 0], rows[missing, 1:])
        for key, value in zip(keys, reached.tolist(), strict=True):
            self._moves[key] = value
            self._moves.move_to_end(key)
        while len(self._moves) > self.remembered:
            self._moves.popitem(last=False)
        after = reached[place.ravel()]
        return after if blocked is None else np.where(blocked[after], cell, after)

    def simulate(self, cell: IntArray, clamps: IntArray) -> NDArray[np.int64]:
        """Return the cells that are reached; moves are made type by type, and nothing is remembered."""
        moving = (clamps > 0).any(axis=1)
        kinds = np.where(moving, self.simulator.cluster_of_cell[cell], -1)
        moved = np.zeros((len(cell), self.space.shape[1]), dtype=np.float32)
        near, n_genes = self.simulator.cell_neighbours.shape[1], len(self.simulator.grn.genes)
        size = max(1, BLOCK_BYTES // (4 * near * n_genes))
        for kind in np.unique(kinds[moving]):
            own = np.flatnonzero(kinds == kind)
            for first in range(0, len(own), size):
                rows = own[first : first + size]
                moves = self.simulator.moves(cell[rows], clamps=self._conditions(clamps[rows]))
                moved[rows] = moves.shift[:, 0]
        # All at once, since every call builds a tree of all places.
        return snap(self.space, moved, self.gain, rows=cell).astype(np.int64)

    def _conditions(self, clamps: IntArray) -> Clamps:
        """Return the genes that each row of clamps holds, and at what expression: one condition per cell."""
        row, slot = np.nonzero(clamps)
        action = clamps[row, slot] - 1
        count = self._entries[action]
        first = (np.cumsum(self._entries) - self._entries)[action]
        inside = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        entry = np.repeat(first, count) + inside
        cell = np.repeat(row, count)
        return Clamps(np.zeros_like(cell), self._single.gene[entry], self._single.value[entry], 1, cell)


def load_persistent(config: ReprogrammingConfig) -> tuple[Table, PersistentDynamics]:
    """Return the table of single actions, and what moves cells under those that hold.

    Raises
    ------
    UserError
        For options that go together with a table alone.
    """
    from ..simulation import load_simulation
    from ..table import build_cached, space_of
    from ..tables.all_moves import MoveOptions, make_simulator

    for key, value, needed in (
        ("dynamics.kind", config.dynamics.kind, "table"),
        ("sim.backend", config.sim.backend, "builtin"),
        ("table.shift", config.table.shift, "unit"),
    ):
        if value != needed:
            raise UserError(f"{key}={value}: dynamics.persist=episode needs {key}={needed}.")
    simulation = load_simulation(config)
    prepared, actions = simulation.prepared, simulation.actions
    table = build_cached(simulation, config)
    space = space_of(prepared, config)
    simulator = make_simulator(prepared, simulation.grn, actions, MoveOptions.of(config), space)
    simulator.direct = True  # the other path pays where all actions move the same cells
    gain = float(table.meta["gain"])
    return table, PersistentDynamics(simulator, actions, space, gain, max_clamps=config.dynamics.max_clamps)
