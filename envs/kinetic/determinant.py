"""A cheap necessary condition for all eigenvalues to lie left of a threshold."""

import numpy as np

from .network import BoolArray, FloatArray

MARGIN = 0.01
"""How far right of the threshold the first shift lies, in units of it: far more than rounding moves an eigenvalue."""
SHIFTS = (1.0 - MARGIN, 0.5, 0.0)
"""Where determinants are tried one after the other, in units of the negative threshold."""


def may_be_valid(jacobian: FloatArray, threshold: float) -> BoolArray:
    """Return which matrices may have all eigenvalues at or left of a threshold, ``(n_sets,)``.

    ``det(s I - J)`` is positive for every real s right of all eigenvalues: complex pairs contribute ``|s - mu|**2``,
    real ones ``s - mu > 0``. A negative determinant shows an odd number of real eigenvalues right of s. An LU
    factorisation costs a small part of the eigenvalues; about half of all log-uniform sets fail the first shift, and
    further shifts find many of those with two such eigenvalues. Matrices that are not finite fail; singular ones are
    left undecided.

    Parameters
    ----------
    jacobian
        ``(n_sets, n, n)``.
    threshold
        Negative, in the matrices' unit.
    """
    n_sets, size, _ = jacobian.shape
    candidates = np.array(np.isfinite(jacobian).reshape(n_sets, size**2).all(axis=1), dtype=np.bool_)
    diagonal = np.arange(size)
    for shift in SHIFTS:
        rows = np.flatnonzero(candidates)
        shifted = -jacobian[rows]
        shifted[:, diagonal, diagonal] += shift * threshold
        candidates[rows] = np.linalg.slogdet(shifted).sign >= 0
    return candidates
