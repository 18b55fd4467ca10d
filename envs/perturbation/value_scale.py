"""Whether values are counts, logarithms or neither, seen from the values themselves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ... import UserError
from .data import FloatArray, IntArray

LARGEST_LOGARITHM = 25.0
CHUNK = 1 << 22


def stored_values(matrix: Any) -> FloatArray:
    """Return the values of a dense or sparse matrix in one dimension, without those that a sparse one leaves out."""
    values: FloatArray = matrix.data if sparse.issparse(matrix) else matrix.reshape(-1)
    return values


def _chunks(values: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, values.size, CHUNK):
        yield values[start : start + CHUNK]


def check_values(matrix: Any, genes: NDArray[np.str_], rows: IntArray, path: Path) -> None:
    """Refuse values that are not finite, or negative; ``rows`` are the cells' positions in the file."""
    values = stored_values(matrix)
    if not values.size:
        raise UserError(f"{path} holds nothing but zeros: check the key layer.")
    if np.isfinite(low := values.min()) and np.isfinite(values.max()) and low >= 0:
        return
    infinite = not (np.isfinite(low) and np.isfinite(values.max()))
    wrong = ~np.isfinite(values) if infinite else values < 0
    cell, gene = cell_and_gene(matrix, int(np.argmax(wrong)))
    where = f"first in cell {rows[cell]}, gene {genes[gene]}"
    if infinite:
        raise UserError(f"{path} has {int(wrong.sum()):,} values that are NaN or infinite, {where}: mend them.")
    mean = values.sum(dtype=np.float64) / np.prod(matrix.shape)
    if abs(mean) < 0.3 * values.std(dtype=np.float64):
        raise UserError(
            f"{path} looks z-scored (mean {mean:.2g}, {int(wrong.sum()):,} negative values, {where}); supply counts or "
            "log-normalised values, perhaps with the key layer."
        )
    raise UserError(
        f"{path} has {int(wrong.sum()):,} negative values, {where}: supply counts or log-normalised values."
    )


def cell_and_gene(matrix: Any, position: int) -> tuple[int, int]:
    """Return row and column of one of the stored values."""
    if sparse.issparse(matrix):
        return int(np.searchsorted(matrix.indptr, position, side="right")) - 1, int(matrix.indices[position])
    return position // matrix.shape[1], position % matrix.shape[1]


def are_integers(matrix: Any) -> bool:
    """Return whether all values are whole numbers."""
    return all(bool((chunk == np.rint(chunk)).all()) for chunk in _chunks(stored_values(matrix)))


def is_logarithm(matrix: Any, *, stated: bool, name: str) -> bool:
    """Return whether values are logarithms of normalised counts.

    Whole numbers are counts, also where ``stated`` says otherwise, because then it speaks of another layer. Other
    values below 25 are logarithms; larger ones are so only if that is stated.

    Raises
    ------
    UserError
        If that cannot be told.
    """
    if are_integers(matrix):
        return False
    if stated or stored_values(matrix).max() < LARGEST_LOGARITHM:
        return True
    raise UserError(
        f"{name} has values that are no whole numbers and reach {stored_values(matrix).max():.4g}: say with "
        "normalise=true that they are to be normalised, or with normalise=false that they are logarithms already."
    )
