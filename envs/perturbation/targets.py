"""Where a cell should go: the target y of an episode, in the coordinates that the environment moves cells in."""

from dataclasses import dataclass

import numpy as np

from .data import FloatArray, IntArray, PreparedData

LARGEST_PLAN = 1000
"""Cells on either side of an optimal transport plan, at most."""

PLAN_COMPONENTS = 20


@dataclass(frozen=True)
class CellLists:
    """Lists of cells of different lengths, one behind the other, so that a batch of draws is one look-up.

    Attributes
    ----------
    cells
        All lists' positions in one array.
    first, length
        Where each list begins and how long it is; any shape, the same for both.
    """

    cells: IntArray
    first: IntArray
    length: IntArray

    def pick(self, index: tuple[IntArray, ...] | IntArray, uniform: FloatArray) -> IntArray:
        """Return a cell of each indexed list, chosen by a number in (0, 1)."""
        chosen: IntArray = self.cells[self.first[index] + (uniform * self.length[index]).astype(np.int64)]
        return chosen


def cell_lists(lists: list[IntArray], shape: tuple[int, ...]) -> CellLists:
    """Join lists of cells; ``shape`` is that of the index which names a list."""
    length = np.array([len(each) for each in lists], dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(length)[:-1]]).astype(np.int64)
    joined = np.concatenate(lists).astype(np.int64) if lists else np.zeros(0, dtype=np.int64)
    return CellLists(joined, first.reshape(shape), length.reshape(shape))


@dataclass(frozen=True)
class WeightedLists:
    """Lists of cells that are not equally likely, one behind the other, so that a batch of draws is one search.

    Attributes
    ----------
    cells
        All lists' positions in one array.
    ends
        The list's index plus the cumulative probability within it, up to and including each cell.
    """

    cells: IntArray
    ends: FloatArray

    def pick(self, index: IntArray, uniform: FloatArray) -> IntArray:
        """Return a cell of each indexed list, chosen by a number in (0, 1)."""
        chosen: IntArray = self.cells[np.searchsorted(self.ends, index + uniform)]
        return chosen


def weighted_lists(lists: list[IntArray], weights: FloatArray) -> WeightedLists:
    """Join lists of cells whose probabilities are in proportion to the weights (n_cells,) of all cells.

    A list of cells that all weigh nothing is drawn from uniformly.
    """
    ends = []
    for index, cells in enumerate(lists):
        weight = weights[cells] if weights[cells].any() else np.ones(len(cells))
        share = np.cumsum(weight, dtype=np.float64)
        ends.append(index + share / share[-1])
    return WeightedLists(np.concatenate(lists), np.concatenate(ends))


class Targets:
    """Targets of one split: of training cells for training, of test cells for tests.

    Parameters
    ----------
    coordinates
        (n_cells, D) float32: all cells in the coordinates that actions move.
    data
        The cells' labels, types and split.
    mode
        ``delta``, ``pseudobulk``, ``cell``, ``ot_matched`` or ``insilico_shift``.
    test
        Take means and cells from test cells, with the reference half of the test controls as control.

    Attributes
    ----------
    measured
        (K, n_cell_types) bool: which perturbations have a target in which cell type.
    """

    def __init__(self, coordinates: FloatArray, data: PreparedData, mode: str, *, test: bool = False) -> None:
        self.coordinates = coordinates
        self.mode = mode
        n_labels, n_types = len(data.perturbations), len(data.cell_types)
        groups = [
            data.cells(label, kind, test=test) for label in range(n_labels) for kind in range(n_types)
        ]  # row by row, as (K, n_cell_types) is laid out
        self.lists = cell_lists(groups, (n_labels, n_types))
        self.measured = self.lists.length > 0
        self.means = np.array([_mean(coordinates, rows) for rows in groups]).reshape(n_labels, n_types, -1)
        control = [_control(data, kind, test=test) for kind in range(n_types)]
        self.control = np.array([_mean(coordinates, rows) for rows in control])
        self.effects = np.nan_to_num(self.means - self.control).astype(np.float32)
        self.means = np.nan_to_num(self.means).astype(np.float32)
        training = coordinates[data.cells(None)]
        self.shifted = (training.mean(axis=0) - training.std(axis=0)).astype(np.float32)
        self.plan = _TransportMatches(coordinates, groups, control, n_types) if mode == "ot_matched" else None

    def starts(self) -> IntArray | None:
        """Return the only cells that episodes may start from, or None if every control cell will do."""
        return None if self.plan is None else self.plan.controls

    def draw(
        self, start: IntArray, cell: FloatArray, label: IntArray, kind: IntArray, uniform: FloatArray
    ) -> FloatArray:
        """Return targets (n, D) of cells (n, D) from positions ``start``; ``uniform`` (n,) chooses among cells."""
        match self.mode:
            case "pseudobulk":
                return self.means[label, kind]
            case "cell":
                return self.coordinates[self.lists.pick((label, kind), uniform)]
            case "ot_matched" if self.plan is not None:
                return self.coordinates[self.plan.pick(start, label, kind, uniform)]
            case "insilico_shift":
                return np.broadcast_to(self.shifted, (len(start), len(self.shifted))).copy()
            case _:
                n_types, size = self.effects.shape[1:]
                target: FloatArray = self.effects.reshape(-1, size).take(label * n_types + kind, axis=0)
                target += cell
                return target


class _TransportMatches:
    """Exact optimal transport from control cells to the cells of every group, squared Euclidean cost."""

    def __init__(self, coordinates: FloatArray, groups: list[IntArray], control: list[IntArray], n_types: int) -> None:
        import ot
        from scipy.sparse.linalg import svds

        control = [_spread(rows) for rows in control]
        self.controls = np.concatenate(control)
        centre = coordinates[self.controls].mean(axis=0)
        size = min(PLAN_COMPONENTS, *(extent - 1 for extent in coordinates[self.controls].shape))
        axes = np.eye(coordinates.shape[1])
        if size < coordinates.shape[1]:
            start = np.ones(min(coordinates[self.controls].shape))  # else SciPy draws one
            axes = svds((coordinates[self.controls] - centre).astype(np.float64), k=max(size, 1), v0=start)[2].T
        self.matches: dict[tuple[int, int], IntArray] = {}
        self.shares: dict[tuple[int, int], FloatArray] = {}
        self.place = np.zeros(len(coordinates), dtype=np.int64)
        for kind, rows in enumerate(control):
            self.place[rows] = np.arange(len(rows))
            for group in range(kind, len(groups), n_types):
                cells = _spread(groups[group])
                if not len(cells) or not len(rows):
                    continue
                points = [(coordinates[each] - centre) @ axes for each in (rows, cells)]
                plan = ot.emd([], [], ot.dist(*points))
                order = np.argsort(-plan, axis=1, kind="stable")[:, : int((plan > 0).sum(axis=1).max())]
                weights = np.take_along_axis(plan, order, axis=1)
                self.matches[group // n_types, kind] = cells[order]
                self.shares[group // n_types, kind] = (weights / weights.sum(axis=1, keepdims=True)).cumsum(axis=1)

    def pick(self, start: IntArray, label: IntArray, kind: IntArray, uniform: FloatArray) -> IntArray:
        """Return a match of every start cell, in proportion to the plan's row."""
        chosen = np.empty(len(start), dtype=np.int64)
        for group in set(zip(label.tolist(), kind.tolist(), strict=True)):
            rows = np.flatnonzero((label == group[0]) & (kind == group[1]))
            shares, place = self.shares[group], self.place[start[rows]]
            column = (uniform[rows, None] > shares[place]).sum(axis=1).clip(max=shares.shape[1] - 1)
            chosen[rows] = self.matches[group][place, column]
        return chosen


def _control(data: PreparedData, kind: int, *, test: bool) -> IntArray:
    if not test:
        return data.cells(None, kind)
    reference = data.split.reference
    of_kind: IntArray = reference[data.cell_type[reference] == kind]
    return of_kind


def _mean(coordinates: FloatArray, rows: IntArray) -> FloatArray:
    if not len(rows):
        return np.full(coordinates.shape[1], np.nan)
    mean: FloatArray = coordinates[rows].mean(axis=0, dtype=np.float64)
    return mean


def _spread(rows: IntArray) -> IntArray:
    """Return at most `LARGEST_PLAN` of the cells, evenly through their order."""
    if len(rows) <= LARGEST_PLAN:
        return rows
    return rows[np.linspace(0, len(rows) - 1, LARGEST_PLAN).astype(np.int64)]
