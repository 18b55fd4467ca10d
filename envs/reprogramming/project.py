"""How a change of expression becomes a move in the drawing, and the move a measured cell.

Kamimoto et al. 2023 (doi:10.1038/s41586-022-05688-9), after La Manno et al. 2018 (doi:10.1038/s41586-018-0414-6):
over the neighbours j of cell i in the drawing e,

    rho_ij = Pearson correlation over genes of x_j - x_i and delta_i,   p_ij = softmax_j(rho_ij / sigma),
    u_ij = (e_j - e_i) / |e_j - e_i|,   shift_i = sum_j p_ij u_ij - mean_j u_ij.
"""

import warnings
from typing import Any

import numpy as np

from ... import UserError
from .data import BoolArray, FloatArray, IntArray

UNDEFINED = {"zero": 0.0, "celloracle": 1.0}
NEGLIGIBLE = 1e-12
"""Cells whose squared difference, over that of the cell itself, is below this are the same but for rounding; so is a
change that is the same for all genes."""


def find_neighbours(embedding: FloatArray, K: int, *, plus_one: bool = False) -> IntArray:
    """Return the K nearest other cells of every cell, (n, K) int32, nearest first, ties in the order of cells.

    K is at most a fifth of the cells, and ``plus_one`` adds one to that, as CellOracle does when asked for K. Warns
    where there are fewer cells than K asks for, and where cells have the same place. UserError for places that are not
    finite.
    """
    check_embedding(embedding)
    n = len(embedding)
    if n < 2:
        raise UserError(f"embedding: {n} cells have no neighbours, so give at least 2.")
    wanted = min(K, max(1, n // 5)) + plus_one
    if n < K + 1:
        warnings.warn(f"table.neighbors={K}: there are {n} cells, so each has {min(wanted, n - 1)}.", stacklevel=2)
    count = min(wanted, n - 1)
    same = n - len(np.unique(embedding, axis=0))
    if same:
        warnings.warn(
            f"{same} cells lie exactly where another does in the drawing; between those there is no direction.",
            stacklevel=2,
        )
    neighbours = np.empty((n, count), dtype=np.int32)
    places = embedding.astype(np.float64)
    for first in range(0, n, block := max(1, 2**22 // n)):
        rows = np.arange(first, min(first + block, n))
        squares = np.zeros((len(rows), n))
        for axis in places.T:
            squares += (axis[rows, None] - axis) ** 2
        squares[np.arange(len(rows)), rows] = np.inf
        neighbours[rows] = _smallest(squares, count)
    return neighbours


def _smallest(values: FloatArray, count: int) -> IntArray:
    """Return the positions of each row's smallest values, smallest first, equal ones in order."""
    bound = np.partition(values, count - 1, axis=1)[:, count - 1]
    chosen = np.empty((len(values), count), dtype=np.int64)
    for row, (line, limit) in enumerate(zip(values, bound, strict=True)):
        candidates = np.flatnonzero(line <= limit)
        chosen[row] = candidates[np.argsort(line[candidates], kind="stable")[:count]]
    return chosen


def check_embedding(embedding: FloatArray) -> None:
    """Raise UserError unless the drawing (n, d) is finite."""
    if embedding.ndim != 2 or not embedding.shape[1]:
        raise UserError(f"embedding has shape {embedding.shape}: give cells x coordinates.")
    if not (finite := np.isfinite(embedding).all(axis=1)).all():
        raise UserError(
            f"embedding: {int((~finite).sum())} cells have places that are not finite, cell {np.argmin(finite)} first, "
            "so drop them or draw anew."
        )


def shift(
    x: FloatArray,
    delta: FloatArray,
    neighbours: IntArray,
    embedding: FloatArray,
    sigma: float = 0.05,
    nan_policy: str = "zero",
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return moves, correlations and transition probabilities of changed cells.

    Parameters
    ----------
    x
        (n, G) expression.
    delta
        Its change, (n, G), or (n, A, G) under A conditions.
    neighbours
        (n, K) positions of cells.
    embedding
        (n, d).
    nan_policy
        What the correlation with a constant vector counts as: zero 0, celloracle 1. If all are undefined, the move is 0
        under both.

    Returns
    -------
    tuple
        shift (n, A, d), rho and p (n, A, K), without A where ``delta`` has none.
    """
    if nan_policy not in UNDEFINED:
        raise UserError(f"table.nan_policy={nan_policy}: choose one of {', '.join(UNDEFINED)}.")
    many = delta if delta.ndim == 3 else delta[:, None]
    moved = np.empty((*many.shape[:2], embedding.shape[1]), dtype=delta.dtype)
    rho = np.empty((*many.shape[:2], neighbours.shape[1]), dtype=delta.dtype)
    p = np.empty_like(rho)
    for first in range(0, len(x), block := max(1, 2**24 // max(1, x.shape[1] * (neighbours.shape[1] + many.shape[1])))):
        rows = np.arange(first, min(first + block, len(x)))
        rho[rows] = correlate(np, x, rows, many[rows], neighbours[rows], UNDEFINED[nan_policy])
        p[rows] = softmax(np, rho[rows] / sigma)
        moved[rows] = move(p[rows], directions(np, embedding, rows, neighbours[rows]).astype(delta.dtype))
    return (moved, rho, p) if delta.ndim == 3 else (moved[:, 0], rho[:, 0], p[:, 0])


def correlate(xp: Any, x: Any, rows: Any, delta: Any, neighbours: Any, undefined: float) -> Any:
    """Return rho (b, A, K) of changes (b, A, G) of cells ``rows``; arrays of library ``xp``.

    Centred and normalised differences to neighbours sum to 0, so the change is centred in its norm alone.
    """
    difference = x[neighbours] - x[rows][:, None]
    difference = difference - difference.mean(-1)[..., None]
    product = delta @ xp.swapaxes(difference, 1, 2)
    spread = norm(xp, (difference**2).sum(-1), (x[rows] ** 2).sum(-1)[:, None])
    square = (delta**2).sum(-1)
    return divide(xp, product, norm(xp, square - delta.sum(-1) ** 2 / delta.shape[-1], square), spread, undefined)


def norm(xp: Any, square: Any, scale: Any) -> Any:
    """Return the root of squares, 0 for those that are rounding beside a scale."""
    return xp.sqrt(xp.where(square > NEGLIGIBLE * scale, square, 0.0))


def divide(xp: Any, product: Any, delta_norm: Any, neighbour_norm: Any, undefined: float) -> Any:
    """Return products (b, A, K) over norms (b, A) and (b, K), and a constant where either norm is 0."""
    both = delta_norm[..., None] * neighbour_norm[:, None]
    return xp.where(both > 0, product / xp.where(both > 0, both, 1.0), undefined)


def softmax(xp: Any, values: Any) -> Any:
    """Return exp(values) over their sum along the last axis."""
    exponential = xp.exp(values - xp.amax(values, -1)[..., None])
    return exponential / exponential.sum(-1)[..., None]


def directions(xp: Any, embedding: Any, rows: Any, neighbours: Any) -> Any:
    """Return unit vectors (b, K, d) from cells to neighbours; 0 where they lie on each other."""
    arrow = embedding[neighbours] - embedding[rows][:, None]
    length = xp.sqrt((arrow * arrow).sum(-1))[..., None]
    return arrow / xp.where(length > 0, length, 1.0)


def move(p: Any, unit: Any) -> Any:
    """Return shifts (b, A, d) of probabilities (b, A, K) and directions (b, K, d)."""
    return p @ unit - unit.mean(1)[:, None]


def scale_by_size(moved: FloatArray, size: FloatArray) -> FloatArray:
    """Return moves times |delta| / median |delta|: ``shift=magnitude``.

    ``size`` (n, A) is |delta|; the median is that of the changes that are not 0.
    """
    changes = size[size > 0]
    return moved * (size / np.median(changes))[..., None] if len(changes) else moved


def choose_gain(gain: float | str, embedding: FloatArray, moved: FloatArray) -> float:
    """Return a number as it is, and ``auto`` as a tenth of the drawing's longest side over the mean length of moves."""
    if gain != "auto":
        try:
            return float(gain)
        except ValueError:
            raise UserError(f"table.gain={gain}: give a number, or auto.") from None
    length = np.sqrt((moved.astype(np.float64) ** 2).sum(axis=-1))
    mean = float(length[length > 0].mean()) if (length > 0).any() else 1.0
    return 0.1 * float(np.ptp(embedding, axis=0).max()) / mean


def snap(
    embedding: FloatArray,
    moved: FloatArray,
    gain: float = 1.0,
    *,
    rows: IntArray | None = None,
    unchanged: BoolArray | None = None,
) -> IntArray:
    """Return the nearest measured cell to e_i + gain shift_i, ties to the lowest position; int32 of ``moved``'s shape.

    Parameters
    ----------
    embedding
        (n, d): the space in which ``moved`` was computed.
    moved
        Shifts (b, d) or (b, A, d) of the cells ``rows``, all cells by default.
    unchanged
        (b,) or (b, A): where the change of expression is 0; those stay, as do shifts that are exactly 0.
    """
    from scipy.spatial import KDTree

    rows = np.arange(len(embedding)) if rows is None else rows
    cell = np.broadcast_to(rows.reshape(-1, *[1] * (moved.ndim - 2)), moved.shape[:-1])
    stays = ~(moved != 0).any(axis=-1) if unchanged is None else unchanged | ~(moved != 0).any(axis=-1)
    reached = cell.astype(np.int32)
    places, lowest = np.unique(embedding.astype(np.float64), axis=0, return_index=True)
    if stays.all() or len(places) == 1:
        return np.where(stays, reached, lowest[0]).astype(np.int32)
    points = embedding[cell[~stays]] + gain * moved[~stays].astype(np.float64)
    distance, nearest = KDTree(places).query(points, k=2)
    found = lowest[nearest[:, 0]]
    # A tree answers ties in the order of its leaves.
    for point in np.flatnonzero(distance[:, 1] - distance[:, 0] <= 1e-14 * distance[:, 1]):
        found[point] = np.argmin(((embedding - points[point]) ** 2).sum(axis=1))
    reached[~stays] = found
    return reached
