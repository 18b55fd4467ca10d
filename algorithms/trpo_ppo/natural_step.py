"""The natural-gradient step of Algorithm 1, lines 1-4 (equations 3-6 of arXiv:2510.13018)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .config import TRPOPPOConfig
from .conjugate_gradient import Solution, conjugate_gradient
from .distributions import ActionDistribution
from .fisher import double_backward, flat, gauss_newton, unflat
from .line_search import Accepted, backtrack

PRODUCTS = {"double_backward": double_backward, "gauss_newton": gauss_newton}

LARGEST_CHANGE = 100.0
"""An adapted delta stays within this factor of the first one."""

PolicyAt = Callable[[Tensor | None], ActionDistribution]
"""The distributions that the current parameters give for these rows of the rollout; None: all."""


@dataclass(frozen=True)
class NaturalStep:
    """What a natural step did.

    Attributes
    ----------
    old
        The distributions before the step, detached.
    parameters
        Those of the actor: all that the distributions depend on.
    gradient_norm
        Of the surrogate's gradient (equation 3).
    solution
        Of the conjugate gradient.
    alpha
        Length of the full step (equation 6); 0 where the direction does not ascend.
    accepted
        None where the parameters are, bit for bit, as before.
    divergence
        Mean KL(old || new) over states, summed over components whatever ``kl_reduce`` is; 0 without a step.
    promised
        Gain of the surrogate along the accepted step, by its gradient alone; 0 without a step.
    """

    old: ActionDistribution
    parameters: list[Tensor]
    gradient_norm: float
    solution: Solution
    alpha: float
    accepted: Accepted | None
    divergence: float
    promised: float


def take_natural_step(
    policy_at: PolicyAt,
    parameters: Sequence[Tensor],
    actions: Tensor,
    advantages: Tensor,
    config: TRPOPPOConfig,
    *,
    delta: float | None = None,
    fisher_rows: Tensor | None = None,
) -> NaturalStep:
    """Move the actor's parameters, those among ``parameters`` that the policy depends on, and say how.

    No random numbers are drawn.

    Parameters
    ----------
    policy_at
        Gives the distributions at the current parameters.
    parameters
        Of policy and value function.
    actions, advantages
        (n, components) and (n,), of the whole rollout.
    config
        Options of the step.
    delta
        Its largest divergence; None: the config's.
    fisher_rows
        The states that Fisher-vector products use; None: all.
    """
    current = policy_at(None)
    old = current.detach()
    log_prob_old = old.log_prob(actions)
    surrogate = (torch.exp(current.log_prob(actions) - log_prob_old) * advantages).mean()
    gradients = torch.autograd.grad(surrogate, parameters, allow_unused=True, retain_graph=True)
    pairs = list(zip(parameters, gradients, strict=True))
    actor = [parameter for parameter, gradient in pairs if gradient is not None]
    gradient = flat([part for _, part in pairs if part is not None])

    scale = 1.0 if config.kl_reduce == "sum" else 1.0 / old.components
    damping = config.cg_damping * (scale * old.components if config.damping_scale == "dimensions" else 1.0)
    product = PRODUCTS[config.fvp](
        current if fisher_rows is None else policy_at(fisher_rows), actor, scale=scale, damping=damping
    )
    solution = conjugate_gradient(product, gradient, max_steps=config.cg_max_steps, tolerance=config.cg_rel_tol)
    delta = config.delta if delta is None else delta
    alpha = step_length(gradient, solution.direction, delta=delta, eps=config.eps)

    before = [parameter.detach().clone() for parameter in actor]
    step = unflat((alpha * solution.direction).to(gradient.dtype), actor)
    baseline = float(surrogate.detach())

    def measure(coefficient: float) -> tuple[float, float]:
        move(actor, before, step, coefficient)
        with torch.no_grad():
            new = policy_at(None)
            gain = float((torch.exp(new.log_prob(actions) - log_prob_old) * advantages).mean()) - baseline
            return scale * float(old.divergence(new).mean()), gain

    accepted = None
    if alpha > 0.0:
        accepted = (
            backtrack(measure, limit=delta, shrink=config.ls_shrink, max_iter=config.ls_max_iter)
            if config.line_search
            else full_step(measure)
        )
    if accepted is None:
        move(actor, before, step, 0.0)
        return NaturalStep(old, actor, float(gradient.double().norm()), solution, alpha, None, 0.0, 0.0)
    promised = accepted.coefficient * alpha * float(gradient.double() @ solution.direction)
    divergence = accepted.divergence / scale
    return NaturalStep(old, actor, float(gradient.double().norm()), solution, alpha, accepted, divergence, promised)


def adapted_delta(delta: float, initial: float, gain: float, promised: float) -> float:
    """Return the next delta, by the ratio of gained to promised improvement, as trust-region methods have it.

    Nocedal and Wright 2006, Algorithm 4.1. A step that was refused promised nothing and halves delta.
    """
    ratio = gain / promised if promised > 0.0 else 0.0
    factor = 0.5 if ratio < 0.25 else 1.5 if ratio > 0.75 else 1.0
    return min(max(delta * factor, initial / LARGEST_CHANGE), initial * LARGEST_CHANGE)


def step_length(gradient: Tensor, direction: Tensor, *, delta: float, eps: float) -> float:
    """Return alpha = sqrt(2 delta / (g.d + eps)) (equation 6), or 0 where g.d is not a positive number."""
    ascent = float(gradient.double() @ direction)
    return math.sqrt(2.0 * delta / (ascent + eps)) if ascent > 0.0 and math.isfinite(ascent) else 0.0


def full_step(measure: Callable[[float], tuple[float, float]]) -> Accepted | None:
    """Take the whole step, unless it leads where the policy is not finite."""
    divergence, gain = measure(1.0)
    return Accepted(1.0, divergence, gain) if math.isfinite(divergence) and math.isfinite(gain) else None


@torch.no_grad()
def move(parameters: Sequence[Tensor], before: Sequence[Tensor], step: Sequence[Tensor], coefficient: float) -> None:
    """Set the parameters to ``before + coefficient * step``; with 0 exactly to ``before``."""
    for parameter, start, part in zip(parameters, before, step, strict=True):
        parameter.copy_(start if coefficient == 0.0 else start + coefficient * part)
