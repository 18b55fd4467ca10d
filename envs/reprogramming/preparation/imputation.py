"""Smoothing of expression over a cell's nearest neighbours."""

import numpy as np
from scipy import sparse

from .... import UserError
from ..data import BoolArray, FloatArray, IntArray

SIGHT, MAX_IN_DEGREE = 8, 4
"""Balanced neighbours: how many times k candidates are looked at, and how many times k a cell may be chosen."""

CELLS_AT_ONCE = 500
"""Cells whose distances to all others are in memory at once."""


def nearest(queries: FloatArray, references: FloatArray, k: int, own: IntArray) -> IntArray:
    """Return the k nearest references of every query, the nearest first.

    Parameters
    ----------
    queries, references
        (q, p) and (r, p) coordinates; distances are Euclidean.
    own
        (q,) the reference that is the query itself and is never among its neighbours; -1 where none is.

    Returns
    -------
    (q, k) int32 positions of references; of equally near ones the first.
    """
    lengths = np.einsum("ij,ij->i", references, references)
    chosen = np.empty((len(queries), k), dtype=np.int32)
    for start in range(0, len(queries), CELLS_AT_ONCE):
        rows = slice(start, start + CELLS_AT_ONCE)
        # The query's own square is the same for all of its references and changes no order.
        distances = lengths - 2 * queries[rows] @ references.T
        inside = np.flatnonzero(own[rows] >= 0)
        distances[inside, own[rows][inside]] = np.inf
        some = np.argpartition(distances, k - 1, axis=1)[:, :k] if k < len(references) else None
        if some is None:
            chosen[rows] = np.argsort(distances, axis=1, kind="stable")[:, :k]
            continue
        some.sort(axis=1)
        order = np.argsort(np.take_along_axis(distances, some, axis=1), axis=1, kind="stable")
        chosen[rows] = np.take_along_axis(some, order, axis=1)
    return chosen


def balance(candidates: IntArray, k: int, max_in_degree: int) -> list[IntArray]:
    """Choose k neighbours per cell such that no cell is the neighbour of too many.

    Cells choose one after the other, those first that are most often a candidate. Each takes the nearest of its
    candidates that have been chosen fewer than ``max_in_degree`` times, at most k of them, and fewer where not as many
    are left. This is the idea of the balanced graph of La Manno et al. (2018), RNA velocity of single cells.

    Parameters
    ----------
    candidates
        (n, s) positions, the nearest first, none of them the cell itself.

    Returns
    -------
    For each of the n cells, its neighbours.
    """
    n = len(candidates)
    popularity = np.bincount(candidates.ravel(), minlength=n)
    in_degree = np.zeros(n, dtype=np.int64)
    chosen: list[IntArray] = [np.empty(0, dtype=np.int32)] * n
    for cell in np.argsort(-popularity, kind="stable"):
        mine = candidates[cell]
        chosen[cell] = mine[in_degree[mine] < max_in_degree][:k]
        in_degree[chosen[cell]] += 1
    return chosen


def averaging_matrix(neighbours: list[IntArray] | IntArray, own: IntArray, n_columns: int) -> sparse.csr_matrix:
    """Return the sparse matrix (q, n_columns) that averages every cell with its neighbours.

    Weights of a row are equal and sum to 1.
    """
    counts = np.array([len(row) for row in neighbours], dtype=np.int64) + 1
    columns = np.empty(counts.sum(), dtype=np.int32)
    ends = np.cumsum(counts)
    for cell, (row, end, count) in enumerate(zip(neighbours, ends, counts, strict=True)):
        columns[end - count] = own[cell]
        columns[end - count + 1 : end] = row
    starts = np.concatenate([[0], ends])
    matrix = sparse.csr_matrix((np.repeat(1.0 / counts, counts), columns, starts), shape=(len(counts), n_columns))
    matrix.sort_indices()
    return matrix


def impute(
    values: FloatArray, pcs: FloatArray, k: int, *, reference: BoolArray | None = None, method: str = "knn"
) -> FloatArray:
    """Return expression averaged over each cell and its k nearest reference cells (n, G), float64.

    A reference cell averages itself and k other reference cells; any other cell averages itself and its k nearest
    reference cells. So no reference cell's result depends on a cell that is held out.

    Parameters
    ----------
    values
        (n, G) expression.
    pcs
        (n, p) coordinates in which cells are near.
    k
        Neighbours beside the cell itself; 0 leaves expression as it is.
    reference
        (n,) cells that may be neighbours; None: all of them.
    method
        ``knn``; or ``balanced``, where reference cells look at their 8 k nearest and none is chosen more than 4 k
        times by others.

    Raises
    ------
    UserError
        If there are not more than k reference cells.
    """
    n = len(values)
    reference = np.ones(n, dtype=bool) if reference is None else reference
    places = np.flatnonzero(reference).astype(np.int32)
    if k == 0:
        return np.array(values, dtype=np.float64)
    if k >= len(places):
        raise UserError(f"impute.k={k}: there are {len(places)} cells to average over, so choose a smaller number.")
    imputed = np.empty(values.shape)
    for rows, is_reference in ((places, True), (np.flatnonzero(~reference).astype(np.int32), False)):
        own = np.arange(len(places)) if is_reference else np.full(len(rows), -1)
        balanced = method == "balanced" and is_reference
        count = min(SIGHT * k, len(places) - 1) if balanced else k
        found = nearest(pcs[rows], pcs[places], count, own)
        chosen: list[IntArray] | IntArray = balance(found, k, MAX_IN_DEGREE * k) if balanced else found
        for start in range(0, len(rows), CELLS_AT_ONCE):
            block = slice(start, start + CELLS_AT_ONCE)
            others = [places[row] for row in chosen[block]]
            imputed[rows[block]] = averaging_matrix(others, rows[block], n) @ values
    return imputed
