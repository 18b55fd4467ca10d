"""Rewards of a set of Michaelis constants, as functions of the largest eigenvalue of its Jacobian.

With ``z = clip(lambda_max - lambda_part, -20, 20)``; every function maps (n,) to (n,), and a set without finite
eigenvalues (``lambda_max = inf``) earns 0.
"""

from collections.abc import Callable

import numpy as np

CLIP = 20.0
WORST_COST = 1e3
"""Cost of a set whose eigenvalues could not be computed; asinh of any finite eigenvalue is below it."""


def sigmoid(lambda_max: np.ndarray, lambda_part: float | np.ndarray) -> np.ndarray:
    """Return ``1 / (1 + e^z)``: the poster's reward, flat beyond 20 1/h above the threshold."""
    z = np.clip(lambda_max - lambda_part, -CLIP, CLIP)
    return np.where(np.isfinite(lambda_max), 1.0 / (1.0 + np.exp(z)), 0.0)


def incidence(lambda_max: np.ndarray, lambda_part: float | np.ndarray) -> np.ndarray:
    """Return 1 for a valid set, else 0."""
    return (lambda_max <= lambda_part).astype(np.float64)


def exp10(lambda_max: np.ndarray, lambda_part: float | np.ndarray) -> np.ndarray:
    """Return ``e^(-lambda_max / 10) / 2`` within [0, 1000]: RENAISSANCE's reward flag 1, for a single set."""
    del lambda_part
    exponent = np.clip(-0.1 * np.where(np.isfinite(lambda_max), lambda_max, np.inf), -700.0, 700.0)
    return np.where(np.isfinite(lambda_max), np.clip(0.5 * np.exp(exponent), 0.0, 1e3), 0.0)


def asinh_cost(lambda_max: np.ndarray, lambda_part: float | np.ndarray) -> np.ndarray:
    """Return ``asinh(lambda_max - lambda_part)``: what searches minimise, and minus the potential of a policy."""
    return np.where(np.isfinite(lambda_max), np.arcsinh(lambda_max - lambda_part), WORST_COST)


def asinh(lambda_max: np.ndarray, lambda_part: float | np.ndarray) -> np.ndarray:
    """Return ``-asinh(lambda_max - lambda_part)``, whose slope is felt however far away the threshold is."""
    return np.where(np.isfinite(lambda_max), -np.arcsinh(lambda_max - lambda_part), 0.0)


DIRECT_REWARDS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "asinh": asinh,
    "sigmoid": sigmoid,
    "incidence": incidence,
    "exp10": exp10,
}
"""Rewards of a set by itself; ``asinh_potential`` is the fall of `asinh_cost` from one step to the next."""
