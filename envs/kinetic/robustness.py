"""How many perturbed starts return to the steady state: validation of Michaelis constants beyond the linear regime.

A negative largest eigenvalue says that small perturbations die out; it says nothing of large ones. Each start moves
the concentrations by up to a given displacement and passes if the network is back after ten time constants, as in the
nonlinear validation of RENAISSANCE (Choudhury et al. 2024).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from .errors import KineticInputError
from .integrators import Arrival, integrate_together
from .network import BoolArray, FloatArray, IntArray
from .nonlinear import Dynamics, NonlinearModel

if TYPE_CHECKING:
    import pandas as pd

Integrator = Callable[[Dynamics, FloatArray, FloatArray], tuple[FloatArray, IntArray]]

TOLERANCE = 0.01
"""A start has returned if no concentration is farther from its steady value than this share of it."""
FREE_FACTOR = 10.0
"""With changed totals there is no way back; a start passes if no concentration ends farther away than this factor."""
TIME_CONSTANTS = 10.0
"""Time that a start has, in units of ``1 / |lambda_max|``."""
TOTALS = ("kept", "free")
COPIES_PER_BLOCK = 64


class Outcome(IntEnum):
    """What became of a start; the last three are counted as failures of their own."""

    RETURNED = 0
    STRAYED = 1
    NOT_POSITIVE = 2
    NOT_FINITE = 3
    TIMED_OUT = 4


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """What became of perturbed starts.

    Parameters
    ----------
    lambda_max
        Largest eigenvalue of every set, 1/h; infinite where it does not exist, ``(n_sets,)``.
    outcome
        `Outcome` of every start, ``(n_sets, n_starts)``.
    """

    lambda_max: FloatArray
    outcome: IntArray

    @property
    def share(self) -> FloatArray:
        """Share of every set's starts that returned, ``(n_sets,)``."""
        share: FloatArray = (self.outcome == Outcome.RETURNED).mean(axis=1)
        return share

    def count(self, outcome: Outcome) -> IntArray:
        """Return how many starts of every set ended so, ``(n_sets,)``."""
        count: IntArray = (self.outcome == outcome).sum(axis=1)
        return count


def perturbed_starts(
    model: NonlinearModel, displacement: float, starts: int, generator: np.random.Generator, *, totals: str = "kept"
) -> FloatArray:
    """Return drawn concentration ratios ``x / x*``, ``(n_variables, starts)``.

    Parameters
    ----------
    model
        The steady state.
    displacement
        Largest relative change p of a concentration, between 0 and 1.
    starts
        How many to draw.
    generator
        Source of the draws.
    totals
        ``kept``: independent species are multiplied by U(1 - p, 1 + p), the others follow from the conserved totals,
        and the whole change is scaled down where that would move one of them by more than p. ``free``: every species
        is multiplied by a factor of its own, which changes the totals.
    """
    if not 0 < displacement < 1:
        raise KineticInputError(f"displacement={displacement:g}: give a share of the concentrations between 0 and 1.")
    if starts < 1:
        raise KineticInputError(f"starts={starts}: give at least 1.")
    if totals not in TOTALS:
        raise KineticInputError(f"totals={totals}: give {' or '.join(TOTALS)}.")
    n_changed = len(model.species) if totals == "free" else len(model.reduction.independent)
    # One row for each start, so that more starts leave the first ones as they are.
    change = generator.uniform(-displacement, displacement, (starts, n_changed)).T
    if totals == "kept":
        change = model.relative_link @ change
        largest = np.abs(change[model.dependent]).max(axis=0, initial=0.0)
        change *= np.minimum(1.0, displacement / np.maximum(largest, displacement))
    return 1.0 + change


def robustness(
    model: NonlinearModel,
    ln_km: FloatArray,
    *,
    displacement: float = 0.25,
    starts: int = 10,
    generator: np.random.Generator,
    totals: str = "kept",
    integrator: Integrator = integrate_together,
    workers: int = 1,
) -> Robustness:
    """Return what becomes of perturbed starts under every set of Michaelis constants.

    Every set faces the same starts, so that its result does not depend on the others. Sets without finite eigenvalues
    are not integrated; their starts count as not finite.

    Parameters
    ----------
    model
        Network and steady state.
    ln_km
        Natural logarithms of the Michaelis constants in mol/L, ``(n_sets, n_parameters)``.
    displacement, starts, generator, totals
        As in `perturbed_starts`.
    integrator
        `integrate_together`, or `integrate_each` for SciPy's BDF or Radau at strict tolerances.
    workers
        Threads over blocks of starts.
    """
    if workers < 1:
        raise KineticInputError(f"workers={workers}: give at least 1.")
    ratio = perturbed_starts(model, displacement, starts, generator, totals=totals)
    lambda_max = largest_eigenvalue(model, ln_km)
    outcome = np.full((len(lambda_max), starts), Outcome.NOT_FINITE, dtype=np.intp)
    usable = np.flatnonzero(np.isfinite(lambda_max) & (lambda_max != 0))
    copy_set, copy_start = np.repeat(usable, starts), np.tile(np.arange(starts), len(usable))
    outcome[copy_set, copy_start] = outcomes(
        model,
        ln_km[copy_set],
        ratio[:, copy_start],
        lambda_max[copy_set],
        totals=totals,
        integrator=integrator,
        workers=workers,
    )
    return Robustness(lambda_max, outcome)


def outcomes(
    model: NonlinearModel,
    ln_km: FloatArray,
    concentration_ratio: FloatArray,
    lambda_max: FloatArray,
    *,
    totals: str = "kept",
    integrator: Integrator = integrate_together,
    workers: int = 1,
) -> IntArray:
    """Return the `Outcome` of copies that each have a set and a start of their own, ``(n_copies,)``.

    Parameters
    ----------
    model
        Network and steady state.
    ln_km
        Sets, ln(mol/L), ``(n_copies, n_parameters)``.
    concentration_ratio
        Starts ``x / x*``, ``(n_variables, n_copies)``.
    lambda_max
        Largest eigenvalue of every copy's set, finite and not 0, 1/h, ``(n_copies,)``.
    totals, integrator, workers
        As in `robustness`.
    """

    def run(block: slice) -> IntArray:
        ratio = concentration_ratio[:, block]
        dynamics = model.at(ln_km[block]).with_totals_of(ratio)
        z = np.log(ratio[model.reduction.independent])
        ends, arrivals = integrator(dynamics, z, TIME_CONSTANTS / np.abs(lambda_max[block]))
        return _judged(dynamics.concentration_ratio(ends), arrivals, totals)

    blocks = [slice(first, first + COPIES_PER_BLOCK) for first in range(0, len(lambda_max), COPIES_PER_BLOCK)]
    if workers == 1 or len(blocks) < 2:
        results = list(map(run, blocks))
    else:
        with ThreadPoolExecutor(workers) as pool:
            results = list(pool.map(run, blocks))
    return np.concatenate([np.zeros(0, dtype=np.intp), *results])


def largest_eigenvalue(model: NonlinearModel, ln_km: FloatArray) -> FloatArray:
    """Return the largest real part of the Jacobian's eigenvalues at the steady state, 1/h, ``(n_sets,)``.

    It is infinite for a set whose constants or eigenvalues are not finite.
    """
    result = np.full(len(ln_km), np.inf)
    for row in np.flatnonzero(np.isfinite(ln_km[:, model.acting]).all(axis=1)):
        jacobian = model.at(ln_km[row : row + 1]).jacobian(np.zeros((len(model.reduction.independent), 1)))
        if np.isfinite(jacobian).all():
            result[row] = np.linalg.eigvals(jacobian).real.max()
    return result


def validation_table(
    model: NonlinearModel,
    ln_km: FloatArray,
    *,
    displacements: Sequence[float] = (0.1, 0.25, 0.5),
    starts: int = 10,
    seed: int = 0,
    totals: str = "kept",
    integrator: Integrator = integrate_together,
    workers: int = 1,
) -> "pd.DataFrame":
    """Return one row for every set and displacement: ``robustness`` and the number of starts with each outcome.

    Every displacement draws from the same seed, so that the starts differ in size only.
    """
    import pandas as pd

    rows = []
    for displacement in displacements:
        result = robustness(
            model,
            ln_km,
            displacement=displacement,
            starts=starts,
            generator=np.random.default_rng(seed),
            totals=totals,
            integrator=integrator,
            workers=workers,
        )
        columns = {
            "set": np.arange(len(ln_km)),
            "lambda_max": result.lambda_max,
            "displacement": displacement,
            "starts": starts,
            "robustness": result.share,
        }
        rows.append(pd.DataFrame(columns | {outcome.name.lower(): result.count(outcome) for outcome in Outcome}))
    return pd.concat(rows, ignore_index=True).sort_values(["set", "displacement"], ignore_index=True)


def _judged(concentration_ratio: FloatArray, arrivals: IntArray, totals: str) -> IntArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        if totals == "free":
            near: BoolArray = np.abs(np.log(concentration_ratio)).max(axis=0) <= np.log(FREE_FACTOR)
        else:
            near = np.abs(concentration_ratio - 1.0).max(axis=0) < TOLERANCE
    judged = np.where(near, Outcome.RETURNED, Outcome.STRAYED)
    judged[arrivals == Arrival.NOT_POSITIVE] = Outcome.NOT_POSITIVE
    judged[arrivals == Arrival.NOT_FINITE] = Outcome.NOT_FINITE
    judged[arrivals == Arrival.TIMED_OUT] = Outcome.TIMED_OUT
    return judged
