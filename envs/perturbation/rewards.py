"""What a step is worth, from how far the cell was and is from its target."""

import numpy as np

from .data import FloatArray

SMALLEST_ERROR = 1e-8


def mean_squared(difference: FloatArray) -> FloatArray:
    """Return the mean square of each row, (n,)."""
    squared: FloatArray = np.einsum("ij,ij->i", difference, difference) / difference.shape[1]
    return squared


def cosine(moved: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return the cosine between the rows of two arrays, (n,); 0 where either is zero."""
    product = np.einsum("ij,ij->i", moved, wanted)
    length = np.sqrt(np.einsum("ij,ij->i", moved, moved) * np.einsum("ij,ij->i", wanted, wanted))
    angle: FloatArray = np.divide(product, length, out=np.zeros_like(product), where=length > 0)
    return angle


def penalty(actions: np.ndarray, weights: tuple[float, float], *, summed: bool) -> FloatArray | float:
    """Return ``l1 |a| + l2 a^2`` (n,), averaged over the action's dimensions or summed."""
    first, second = weights
    if not (first or second) or actions.ndim == 1:
        return 0.0
    reduce = np.sum if summed else np.mean
    paid: FloatArray = first * reduce(np.abs(actions), axis=1) + second * reduce(actions**2, axis=1)
    return paid
