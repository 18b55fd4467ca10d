"""Shorten a step until it stays within the trust region and improves the surrogate."""

import math
from collections.abc import Callable
from dataclasses import dataclass

Measure = Callable[[float], tuple[float, float]]
"""Take this part of the full step; return the mean divergence there, and the surrogate's gain."""


@dataclass(frozen=True)
class Accepted:
    """A step that holds.

    Attributes
    ----------
    coefficient
        Part of the full step that was taken.
    divergence
        Mean KL(old || new) there.
    gain
        Of the surrogate.
    """

    coefficient: float
    divergence: float
    gain: float


def backtrack(measure: Measure, *, limit: float, shrink: float, max_iter: int) -> Accepted | None:
    """Return the longest of the steps shrink^0, shrink^1, ... with divergence <= limit and gain > 0; None: none holds.

    What is not finite holds nowhere: an infinite gain is that of an action whose ratio overflows.
    """
    for attempt in range(max_iter):
        coefficient = shrink**attempt
        divergence, gain = measure(coefficient)
        if divergence <= limit and 0.0 < gain < math.inf:
            return Accepted(coefficient, divergence, gain)
    return None
