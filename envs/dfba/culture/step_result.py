"""What one step of a community did, and what it computed at an instant: data without behaviour."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass
class StepResult:
    """What one step of ``dt_h`` did; all arrays have shape (K, n_agents) unless stated.

    Attributes
    ----------
    formed
        Integral of ``mu X dt``, gDW/L.
    log_growth
        Integral of ``mu dt``.
    spam_reward
        ``mu X``, or -1 where the bounds left no flux, averaged over substeps.
    infeasible_h
        Hours in which they left none.
    status
        What applied in the last substep, a code of `repairs`.
    tied
        Whether exchange fluxes were not unique; None unless asked for.
    released
        Integral of secretion of the chosen species, mmol/L; None where none is chosen.
    growth
        mu of the last substep, 1/h.
    exchange
        Fluxes of the last substep by group, ``(n_members, K, E)``, mmol/gDW/h.
    """

    formed: FloatArray
    log_growth: FloatArray
    spam_reward: FloatArray
    infeasible_h: FloatArray
    status: NDArray[np.int64]
    growth: FloatArray
    exchange: list[FloatArray]
    tied: NDArray[np.bool_] | None = None
    released: FloatArray | None = None
    fluxes: list[FloatArray] | None = None


@dataclass
class Rates:
    """Derivative of the state and what led to it, at one instant."""

    change: FloatArray
    growth: FloatArray
    status: NDArray[np.int64]
    exchange: list[FloatArray]
    basis: NDArray[np.int64]
    tied: NDArray[np.bool_] | None
    fluxes: list[FloatArray] | None


def join_results(total: StepResult, more: StepResult, rows: Any) -> StepResult:
    """Add a substep of some copies to the step."""
    for name in ("formed", "log_growth", "spam_reward", "infeasible_h"):
        getattr(total, name)[rows] += getattr(more, name)
    if total.released is not None:
        total.released[rows] += more.released
    total.status[rows] = np.maximum(total.status[rows], more.status)
    total.growth[rows] = more.growth
    for old, new in zip(total.exchange, more.exchange, strict=True):
        old[:, rows] = new
    if total.tied is not None:
        total.tied[rows] |= more.tied
    return total
