"""Distances of sequences and of distributions, dimension by dimension: dynamic time warping and Wasserstein.

Sequences are ``(n_points, n_dimensions)``, or ``(n_points,)`` for one dimension.
"""

import numpy as np
from numpy.typing import ArrayLike

from .data import FloatArray, IntArray


def dtw(one: ArrayLike, two: ArrayLike) -> float:
    """Dynamic time warping distance of two sequences, the mean of `dtw_per_dimension`."""
    return float(dtw_per_dimension(one, two).mean())


def dtw_per_dimension(one: ArrayLike, two: ArrayLike) -> FloatArray:
    """Cost of the best alignment of two sequences in every dimension, (n_dimensions,).

    ``D[i, j] = |one_i - two_j| + min(D[i-1, j], D[i, j-1], D[i-1, j-1])`` (the paper, equations 10 and 11), the last
    entry of D. Costs are absolute differences; libraries that add up squares and take the root give other numbers.
    """
    one, two = _columns(one), _columns(two)
    if len(one) > len(two):
        one, two = two, one
    cost: FloatArray = _accumulate(one, two, keep=False)[0]
    return cost


def dtw_alignment(one: ArrayLike, two: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Accumulated costs D (n_points_one, n_points_two) and the best alignment of two sequences of one dimension.

    The alignment is (n_steps, 2) pairs of positions, from (0, 0) to the last points; among equal ways back the diagonal
    goes first, then the step in the first sequence.
    """
    one, two = _columns(one), _columns(two)
    if one.shape[1] != 1:
        raise ValueError(f"an alignment is of one dimension, not of {one.shape[1]}")
    cost = _accumulate(one, two, keep=True)
    i, j = len(one) - 1, len(two) - 1
    path = [(i, j)]
    while i > 0 or j > 0:
        ways = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        i, j = min((way for way in ways if min(way) >= 0), key=lambda way: cost[way])
        path.append((i, j))
    return cost, np.array(path[::-1], dtype=np.int64)


def aligned_mad(one: ArrayLike, two: ArrayLike) -> float:
    """Mean absolute difference of equally long sequences, point by point (the paper, equation 12).

    The paper names it Wasserstein distance. It is none: putting one of the sequences in another order changes it, and
    `w1` stays.
    """
    one, two = _columns(one), _columns(two)
    if one.shape != two.shape:
        raise ValueError(f"points are compared one by one, so shapes must agree, not {one.shape} and {two.shape}")
    return float(np.abs(one - two).mean())


def w1(one: ArrayLike, two: ArrayLike) -> float:
    """Wasserstein distance of order 1 between two sets of points, exact in every dimension, averaged over them."""
    return float(w1_per_dimension(one, two).mean())


def w1_per_dimension(one: ArrayLike, two: ArrayLike) -> FloatArray:
    """Area between the two empirical distribution functions in every dimension, (n_dimensions,)."""
    one, two = _columns(one), _columns(two)
    if len(one) == len(two):
        sorted_difference: FloatArray = np.abs(np.sort(one, axis=0) - np.sort(two, axis=0)).mean(axis=0)
        return sorted_difference
    both = np.concatenate([one, two])
    order = np.argsort(both, axis=0, kind="stable")
    width = np.diff(np.take_along_axis(both, order, axis=0), axis=0)
    weight = np.where(order < len(one), 1.0 / len(one), -1.0 / len(two))
    height = np.abs(np.cumsum(weight, axis=0)[:-1])
    area: FloatArray = (height * width).sum(axis=0)
    return area


def _columns(sequence: ArrayLike) -> FloatArray:
    points = np.asarray(sequence, dtype=np.float64)
    points = points[:, None] if points.ndim == 1 else points
    if len(points) == 0:
        raise ValueError("a sequence has at least one point")
    return points


def _accumulate(one: FloatArray, two: FloatArray, *, keep: bool) -> FloatArray:
    """Fill D by anti-diagonals, whose entries do not depend on each other, in all dimensions at once.

    An anti-diagonal lies in an array by its position in `one`, with an infinite entry before position 0. Returns D of
    the first dimension if it is to be kept, else its last entries (1, n_dimensions).
    """
    n, m, dimensions = len(one), len(two), one.shape[1]
    whole = np.empty((n, m) if keep else (0, 0))
    before = np.full((n + 1, dimensions), np.inf)
    last = before.copy()
    # The entry before D[0, 0], from where every alignment starts.
    before[0] = 0.0
    reverse = two[::-1]
    for diagonal in range(n + m - 1):
        low, high = max(0, diagonal - m + 1), min(n - 1, diagonal)
        # Position i meets position diagonal - i of `two`, which stands at m - 1 - diagonal + i in reverse order.
        offset = m - 1 - diagonal
        now = np.full((n + 1, dimensions), np.inf)
        best = np.minimum(last[low : high + 1], last[low + 1 : high + 2])
        np.minimum(best, before[low : high + 1], out=best)
        now[low + 1 : high + 2] = np.abs(one[low : high + 1] - reverse[low + offset : high + offset + 1]) + best
        if keep:
            positions = np.arange(low, high + 1)
            whole[positions, diagonal - positions] = now[positions + 1, 0]
        before, last = last, now
    return whole if keep else last[n : n + 1]
