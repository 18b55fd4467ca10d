"""Chosen rows of a matrix that is stored in HDF5, read block by block."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from .... import UserError
from ..data import FloatArray, IntArray

BLOCK_VALUES = 4_000_000
"""How many stored values are in memory at once besides those that are kept."""

SPARSE_BELOW = 0.4
"""Dense files with a smaller share of values that are not zero are kept as sparse matrices, which then are smaller."""


def row_reader(matrix: Any, shape: tuple[int, int], path: Path) -> Callable[[IntArray], Any]:
    """Return a function that reads rows of a stored matrix."""
    if not hasattr(matrix, "keys"):
        return lambda rows: dense_rows(matrix, rows)
    kind = matrix.attrs.get("encoding-type", matrix.attrs.get("h5sparse_format", ""))
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if not kind.startswith(("csr", "csc")):
        raise UserError(f"{path} stores its values as '{kind}': write them as a dense, CSR or CSC matrix.")
    reader = csr_rows if kind.startswith("csr") else csc_rows
    return lambda rows: reader(matrix, shape, rows)


def csr_rows(matrix: Any, shape: tuple[int, int], rows: IntArray) -> sparse.csr_matrix:
    """Return chosen rows of a stored CSR matrix; memory is that of the answer and one block."""
    bounds = matrix["indptr"][:].astype(np.int64)
    lengths = bounds[rows + 1] - bounds[rows]
    pointers = np.concatenate([[0], np.cumsum(lengths)])
    values = np.empty(pointers[-1], dtype=np.float32)
    columns = np.empty(pointers[-1], dtype=np.int32)
    first = 0
    while first < len(rows):
        # As many rows as a block holds, at least one.
        limit = bounds[rows[first]] + BLOCK_VALUES
        last = max(first + 1, int(np.searchsorted(bounds[rows + 1], limit, side="right")))
        begin, end = bounds[rows[first]], bounds[rows[last - 1] + 1]
        within = positions_within(bounds[rows[first:last]] - begin, lengths[first:last])
        target = slice(pointers[first], pointers[last])
        values[target] = matrix["data"][begin:end][within]
        columns[target] = matrix["indices"][begin:end][within]
        first = last
    answer = sparse.csr_matrix((values, columns, pointers), shape=(len(rows), shape[1]))
    answer.sort_indices()
    return answer


def positions_within(starts: IntArray, lengths: IntArray) -> IntArray:
    """Return all positions of ranges that begin at ``starts`` and have ``lengths``."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def csc_rows(matrix: Any, shape: tuple[int, int], rows: IntArray) -> sparse.csr_matrix:
    """Return chosen rows of a stored CSC matrix, which is read whole but one block at a time."""
    bounds = matrix["indptr"][:].astype(np.int64)
    place = np.full(shape[0], -1, dtype=np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    parts: list[tuple[FloatArray, IntArray, IntArray]] = []
    first = 0
    while first < shape[1]:
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + BLOCK_VALUES, side="right")) - 1)
        begin, end = bounds[first], bounds[last]
        row = place[matrix["indices"][begin:end]]
        column = np.repeat(np.arange(first, last, dtype=np.int32), np.diff(bounds[first : last + 1]))
        kept = row >= 0
        parts.append((matrix["data"][begin:end][kept].astype(np.float32), row[kept], column[kept]))
        first = last
    values, row, column = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
    del parts
    answer = sparse.csr_matrix((values, (row, column)), shape=(len(rows), shape[1]))
    answer.sort_indices()
    return answer


def dense_rows(matrix: Any, rows: IntArray) -> Any:
    """Return chosen rows of a stored dense matrix, as CSR if most values are zero."""
    step = max(1, BLOCK_VALUES // matrix.shape[1])
    thin: list[Any] = []
    full: FloatArray | None = None
    first = 0
    while first < len(rows):
        last = int(np.searchsorted(rows, rows[first] + step))
        block = matrix[rows[first] : rows[last - 1] + 1][rows[first:last] - rows[first]].astype(np.float32)
        if first == 0 and np.count_nonzero(block) >= SPARSE_BELOW * block.size:
            full = np.empty((len(rows), matrix.shape[1]), dtype=np.float32)
        if full is None:
            thin.append(sparse.csr_matrix(block))
        else:
            full[first:last] = block
        first = last
    return sparse.vstack(thin, format="csr") if full is None else full
