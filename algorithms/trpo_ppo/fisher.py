"""Products of the Fisher matrix with vectors, F v + lambda v (equation 5), in two ways that agree."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .distributions import ActionDistribution

FisherProduct = Callable[[Tensor], Tensor]
"""Maps v (n_parameters,) to F v + lambda v; may be called many times."""


def double_backward(
    distribution: ActionDistribution, parameters: Sequence[Tensor], *, scale: float, damping: float
) -> FisherProduct:
    """Differentiate the mean divergence from the distribution to itself twice; its graph is built once.

    Parameters
    ----------
    distribution
        At the current parameters, with its graph.
    parameters
        Those that it depends on; their flat order is that of the vectors.
    scale
        Of the mean divergence: 1, or one over the number of components to average over them.
    damping
        lambda.
    """
    divergence = scale * distribution.detach().divergence(distribution).mean()
    slope = flat(torch.autograd.grad(divergence, parameters, create_graph=True))

    def product(vector: Tensor) -> Tensor:
        curvature = torch.autograd.grad(slope @ vector, parameters, retain_graph=True)
        return flat(curvature) + damping * vector

    return product


def gauss_newton(
    distribution: ActionDistribution, parameters: Sequence[Tensor], *, scale: float, damping: float
) -> FisherProduct:
    """Return J' M J v, with the Jacobian J of the distribution's coordinates and their Fisher metric M.

    Exact at the current parameters: there the divergence has no slope in the coordinates, so that their curvature does
    not count. J v is the derivative by u of (J' u).v, which is linear in u. Parameters as in `double_backward`.
    """
    coordinates = distribution.coordinates
    metric = [part * (scale / len(part)) for part in distribution.detach().fisher_metric()]
    cotangents = [torch.zeros_like(part, requires_grad=True) for part in coordinates]
    pulled_back = torch.autograd.grad(coordinates, parameters, cotangents, create_graph=True)

    def product(vector: Tensor) -> Tensor:
        tangents = torch.autograd.grad(pulled_back, cotangents, unflat(vector, parameters), retain_graph=True)
        weighted = [weight * tangent for weight, tangent in zip(metric, tangents, strict=True)]
        return flat(torch.autograd.grad(coordinates, parameters, weighted, retain_graph=True)) + damping * vector

    return product


def flat(parts: Sequence[Tensor]) -> Tensor:
    """Join tensors to one vector."""
    return torch.cat([part.reshape(-1) for part in parts])


def unflat(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Cut a vector into tensors of the given shapes."""
    parts = torch.split(vector, [part.numel() for part in like])
    return [part.view_as(shape) for part, shape in zip(parts, like, strict=True)]
