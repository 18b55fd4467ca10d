"""Thermodynamically consistent flux directions, fluxes and free energies by mixed-integer and linear programs.

Chemical potentials are the unknowns and ``dG = N^T mu``, so that the free energies around every loop add up to 0. The
problems are solved by HiGHS through SciPy. Units: fluxes mmol/gDW/h, potentials and free energies in RT.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import KineticInputError
from ..network import BoolArray, FloatArray

LARGEST_FLUX = 60.0
LARGEST_POTENTIAL = 150.0
BIG_M = 400.0
SMALLEST_DRIVING_FORCE = 0.05
SECONDS = 120.0
OPTIMAL, TIME_LIMIT = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class DirectionProblem:
    """What decides the directions of a network's fluxes.

    Parameters
    ----------
    stoichiometry
        All species whose potential counts, ``(n_species, n_reactions)``.
    balanced
        Species that must be at steady state, ``(n_species,)``.
    reference
        Fluxes to stay close to, ``(n_reactions,)``.
    smallest_flux
        Smallest absolute flux of every reaction, ``(n_reactions,)``.
    fixed_direction
        +1 or -1 for a reaction with a given direction, 0 for a free one, ``(n_reactions,)``.
    driven
        Reactions that need a driving force, ``(n_reactions,)``; None: all. A growth reaction is none: its coefficients
        are no numbers of molecules.
    weight
        What a unit of distance from the reference costs, ``(n_reactions,)``; None: ``1 / (1 + |w_j|)``.
    largest_flux
        Bound on every absolute flux.
    """

    stoichiometry: FloatArray
    balanced: BoolArray
    reference: FloatArray
    smallest_flux: FloatArray
    fixed_direction: FloatArray
    driven: BoolArray | None = None
    weight: FloatArray | None = None
    largest_flux: float = LARGEST_FLUX


def choose_directions(problem: DirectionProblem) -> tuple[FloatArray, float]:
    """Return the direction (+1 or -1) of every reaction and the smallest distance from the reference fluxes.

    Minimises ``sum_j weight_j |u_j - w_j|`` over steady fluxes u that run down the gradient of some potentials.

    Raises
    ------
    KineticInputError
        No such fluxes exist, or none were found in time.
    """
    solution = _solve_directions(problem)
    if solution.status == TIME_LIMIT:
        raise KineticInputError(
            f"Flux directions: no optimum within {SECONDS:g} s; give more reactions a fixed direction or lower the "
            "smallest fluxes (eps)."
        )
    if solution.status != OPTIMAL:
        raise KineticInputError(f"Flux directions: no solution exists; {_remedy(problem)}.")
    n_reactions = len(problem.reference)
    return np.where(solution.x[n_reactions : 2 * n_reactions] > 0.5, 1.0, -1.0), float(solution.fun)


def has_directions(problem: DirectionProblem) -> bool:
    """Whether fluxes and potentials exist for a problem, optimal or not."""
    return bool(_solve_directions(replace(problem, weight=np.zeros_like(problem.reference))).status == OPTIMAL)


def drivable_reactions(problem: DirectionProblem, optional: BoolArray) -> BoolArray:
    """Return the largest set of reactions that can run all at once down some potentials, ``(n_reactions,)``.

    Reactions that are not optional belong to it. A set found when time is up may be smaller than the largest.

    Raises
    ------
    KineticInputError
        The reactions that are not optional cannot run at once, or nothing was found in time.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import block_array, csr_array, diags_array, eye_array

    n_species, n_reactions = problem.stoichiometry.shape
    driven = np.ones(n_reactions, dtype=bool) if problem.driven is None else problem.driven
    one = eye_array(n_reactions)
    smallest, largest = diags_array(problem.smallest_flux), problem.largest_flux * one
    balance = csr_array(problem.stoichiometry[problem.balanced])
    gradient = csr_array(problem.stoichiometry.T[driven])
    flag = BIG_M * csr_array(one)[driven]
    # Unknowns: fluxes, flags of running forward and backward, potentials.
    blocks = block_array(
        [
            [balance, None, None, None],
            [one, -largest, smallest, None],
            [one, -smallest, largest, None],
            [None, one, one, None],
            [None, flag, None, gradient],
            [None, None, -flag, gradient],
        ]
    )
    zeros, ones = np.zeros(n_reactions), np.ones(n_reactions)
    none = np.zeros(int(problem.balanced.sum()))
    limit = np.full(int(driven.sum()), BIG_M - SMALLEST_DRIVING_FORCE)
    lower = [none, zeros - np.inf, zeros, 1.0 - optional, limit - np.inf, -limit]
    upper = [none, zeros, zeros + np.inf, ones, limit, limit + np.inf]
    potentials = np.full(n_species, LARGEST_POTENTIAL)
    solution = milp(
        np.concatenate([zeros, -ones, -ones, np.zeros(n_species)]),
        constraints=LinearConstraint(blocks, np.concatenate(lower), np.concatenate(upper)),
        bounds=Bounds(
            np.concatenate([zeros - problem.largest_flux, zeros, zeros, -potentials]),
            np.concatenate(
                [
                    zeros + problem.largest_flux,
                    problem.fixed_direction >= 0,
                    problem.fixed_direction <= 0,
                    potentials,
                ]
            ),
        ),
        integrality=np.concatenate([zeros, ones, ones, np.zeros(n_species)]),
        options={"time_limit": SECONDS},
    )
    if solution.x is None:
        raise KineticInputError(f"Flux directions: no solution exists; {_remedy(problem)}.")
    running: FloatArray = solution.x[n_reactions : 2 * n_reactions] + solution.x[2 * n_reactions : 3 * n_reactions]
    return running > 0.5


def nearest_fluxes(
    stoichiometry: FloatArray,
    target: FloatArray,
    direction: FloatArray,
    smallest_flux: FloatArray,
    *,
    weight: FloatArray | None = None,
    largest_flux: float = LARGEST_FLUX,
) -> FloatArray:
    """Return steady fluxes with given directions closest to targets, ``(n_reactions,)``.

    Minimises ``sum_j weight_j |u_j - t_j|``, by default with the weights ``1 / (1 + |t_j|)``, and projects the result
    on the null space of ``stoichiometry`` ``(n_balanced, n_reactions)``, because the solver's tolerance is wider than a
    steady state's.
    """
    lower = np.where(direction > 0, smallest_flux, -largest_flux)
    upper = np.where(direction > 0, largest_flux, -smallest_flux)
    flux = _nearest(np.eye(len(target)), target, lower, upper, weight=weight, balance=stoichiometry)
    steady: FloatArray = flux - np.linalg.lstsq(stoichiometry, stoichiometry @ flux, rcond=None)[0]
    return steady


def nearest_free_energies(
    stoichiometry: FloatArray,
    target: FloatArray,
    smallest: float | FloatArray,
    *,
    weight: FloatArray | None = None,
) -> FloatArray:
    """Return free energies ``dG = N^T mu`` of the targets' signs closest to them, ``(n_reactions,)``.

    Minimises ``sum_j weight_j |dG_j - t_j|``, by default with the weights ``1 / (1 + |t_j|)``, where
    ``|dG_j| >= smallest_j``.
    """
    bound = np.full(len(stoichiometry), LARGEST_POTENTIAL)
    signed = np.sign(target)[:, None] * stoichiometry.T
    potential = _nearest(stoichiometry.T, target, -bound, bound, weight=weight, at_least=(signed, smallest))
    free_energy: FloatArray = stoichiometry.T @ potential
    return free_energy


def _nearest(
    matrix: FloatArray,
    target: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    *,
    weight: FloatArray | None,
    balance: FloatArray | None = None,
    at_least: tuple[FloatArray, float | FloatArray] | None = None,
) -> FloatArray:
    """Minimise ``sum_j weight_j |A x - t|_j`` with ``balance x = 0`` and ``rows x >= smallest``."""
    from scipy.optimize import linprog
    from scipy.sparse import block_array, csr_array, eye_array, hstack, vstack

    n_targets, n_unknowns = matrix.shape
    distance = eye_array(n_targets)
    inequalities = block_array([[csr_array(matrix), -distance], [-csr_array(matrix), -distance]])
    limits = np.concatenate([target, -target])
    if at_least is not None:
        rows, smallest = at_least
        inequalities = vstack([inequalities, hstack([-csr_array(rows), csr_array((len(rows), n_targets))])])
        limits = np.concatenate([limits, np.zeros(len(rows)) - smallest])
    equalities = None if balance is None else hstack([csr_array(balance), csr_array((len(balance), n_targets))])
    cost = 1.0 / (1.0 + np.abs(target)) if weight is None else weight
    solution = linprog(
        np.concatenate([np.zeros(n_unknowns), cost]),
        A_ub=inequalities,
        b_ub=limits,
        A_eq=equalities,
        b_eq=None if balance is None else np.zeros(len(balance)),
        bounds=np.column_stack(
            [
                np.concatenate([lower, np.zeros(n_targets)]),
                np.concatenate([upper, np.full(n_targets, np.inf)]),
            ]
        ),
        method="highs",
    )
    if solution.status != OPTIMAL:
        raise KineticInputError("No state has these directions; lower the smallest fluxes (eps) or change directions.")
    values: FloatArray = np.asarray(solution.x[:n_unknowns], dtype=np.float64)
    return values


def _solve_directions(problem: DirectionProblem, *, with_potentials: bool = True) -> Any:
    """Solve the mixed-integer program over fluxes, forward flags, distances and potentials, in this order."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import block_array, csr_array, diags_array, eye_array

    reference, smallest, largest = problem.reference, problem.smallest_flux, problem.largest_flux
    cost = 1.0 / (1.0 + np.abs(reference)) if problem.weight is None else problem.weight
    n_species, n_reactions = problem.stoichiometry.shape
    one = eye_array(n_reactions)
    span = diags_array(largest + smallest)
    balance = csr_array(problem.stoichiometry[problem.balanced])
    driven = np.ones(n_reactions, dtype=bool) if problem.driven is None else problem.driven
    driven = driven & with_potentials
    gradient = csr_array(problem.stoichiometry.T[driven])
    flag = BIG_M * csr_array(one)[driven]
    n_driven = int(driven.sum())
    blocks = block_array(
        [
            [balance, None, None, None],
            [one, None, -one, None],
            [one, None, one, None],
            [one, -span, None, None],
            [None, flag, None, gradient],
        ]
    )
    force = SMALLEST_DRIVING_FORCE
    infinite = np.full(n_reactions, np.inf)
    zeros = np.zeros(n_reactions)
    n_balanced = int(problem.balanced.sum())
    lower = [np.zeros(n_balanced), -infinite, reference, zeros - largest, np.full(n_driven, force)]
    upper = [np.zeros(n_balanced), reference, infinite, -smallest, np.full(n_driven, BIG_M - force)]
    potentials = np.full(n_species, LARGEST_POTENTIAL)
    free = np.zeros(n_species)
    return milp(
        np.concatenate([zeros, zeros, cost, free]),
        constraints=LinearConstraint(blocks, np.concatenate(lower), np.concatenate(upper)),
        bounds=Bounds(
            np.concatenate([zeros - largest, problem.fixed_direction > 0, zeros, -potentials]),
            np.concatenate([zeros + largest, problem.fixed_direction >= 0, infinite, potentials]),
        ),
        integrality=np.concatenate([zeros, zeros + 1, zeros, free]),
        options={"time_limit": SECONDS},
    )


def _remedy(problem: DirectionProblem) -> str:
    """Name the group of constraints without which the problem has a solution."""
    small = replace(problem, smallest_flux=problem.smallest_flux * 1e-3)
    undirected = replace(problem, fixed_direction=np.zeros_like(problem.fixed_direction))
    for relaxed, with_potentials, remedy in (
        (small, True, "a solution exists with smaller smallest fluxes (eps), lower them"),
        (undirected, True, "a solution exists without the given directions, free some of them"),
        (problem, False, "the balances hold but no potentials drive the fluxes, break the loop or free its directions"),
    ):
        if _solve_directions(relaxed, with_potentials=with_potentials).status == OPTIMAL:
            return remedy
    return "no single group of constraints is to blame, check the mass balances"
