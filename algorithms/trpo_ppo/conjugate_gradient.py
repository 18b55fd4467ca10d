"""Solve F d = g knowing only products with the matrix (Hestenes and Stiefel 1952)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """What the conjugate gradient found.

    Attributes
    ----------
    direction
        (n_parameters,), float64.
    residuals
        Norm of g - F d over that of g after every step; it may rise between steps.
    """

    direction: Tensor
    residuals: list[float]

    @property
    def iterations(self) -> int:
        """Number of steps taken."""
        return len(self.residuals)

    @property
    def residual(self) -> float:
        """The last relative residual; 1 where no step was taken."""
        return self.residuals[-1] if self.residuals else 1.0


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], gradient: Tensor, *, max_steps: int, tolerance: float
) -> Solution:
    """Return an approximate solution of F d = g for a positive semi-definite F, starting at zero.

    Parameters
    ----------
    product
        Maps v (n_parameters,) to F v; called with the type of ``gradient``. Everything else is float64.
    gradient
        g (n_parameters,).
    max_steps
        Most products taken.
    tolerance
        Stop below this residual, relative to the norm of g; also where F is found not to be positive definite.
    """
    residual = gradient.double()
    direction = torch.zeros_like(residual)
    search = residual
    squared = initial = float(residual @ residual)
    residuals: list[float] = []
    while len(residuals) < max_steps and squared > initial * tolerance**2:
        image = product(search.to(gradient.dtype)).double()
        curvature = float(search @ image)
        if not curvature > 0.0:  # also where it is not a number
            break
        step = squared / curvature
        direction = direction + step * search
        residual = residual - step * image
        previous, squared = squared, float(residual @ residual)
        search = residual + (squared / previous) * search
        residuals.append((squared / initial) ** 0.5)
    return Solution(direction, residuals)
