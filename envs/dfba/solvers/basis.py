"""What a simplex basis and a proof of infeasibility say of all other bounds.

Reduced costs do not depend on bounds: a basis that is optimal once is optimal wherever it is feasible (Höffner, Harwood
and Barton 2013, doi:10.1002/bit.24748). That also holds for every level of a tie-break. All quantities of a
basis are linear in the vector `StandardForm.bound_inputs`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

from .simplex import AT_LOWER, AT_UPPER, AT_ZERO, BASIC, INFINITE, ZERO_COST, FloatArray
from .standard_form import StandardForm

ACCEPTED = 1e-9
"""How far a reused basis may leave a bound b, relative to 1 + |b|.

The obligation is 1e-7, but answers shall not depend on which of two bases is found first.
"""
ROW_ACCEPTED = 1e-6
PROOF = 1e-7
"""A ray, scaled to largest entry 1, proves infeasibility where it misses 0 by more."""
NOISE = 1e-13


class BasisError(Exception):
    """A basis is singular, or not optimal, or not feasible: it must not be reused."""


@dataclass(slots=True, eq=False)
class Basis:
    """A verified optimal basis.

    Parameters
    ----------
    status
        Where every column and row's activity stands, as in :class:`.simplex.SimplexAnswer`.
    inputs
        The entries of `bound_inputs` that matter, ``(n_inputs,)``.
    system
        ``(n_inputs, n_slacks + 1 + n_tracked)``: the distances to all bounds, which are at least 0 where the basis is
        feasible, then growth and tracked fluxes.
    n_slacks
        How many of those are distances.
    """

    status: NDArray[np.int8]
    inputs: NDArray[np.intp]
    system: FloatArray
    n_slacks: int
    uses: int = 0
    last_use: int = 0

    @property
    def key(self) -> bytes:
        """Equal for equal bases."""
        return self.status.tobytes()


@dataclass(slots=True, eq=False)
class Ray:
    """A sum of rows that no flux can balance (Farkas).

    With ``d = A'y`` for multipliers y, every flux has ``d'x = 0``. ``directions`` is d, ``(n_columns,)``, scaled to
    largest entry 1. The largest ``d'x`` within the bounds is ``row`` times `bound_inputs`; below 0 it proves that
    nothing is feasible.
    """

    directions: FloatArray
    row: FloatArray
    uses: int = 0


def build_basis(form: StandardForm, status: NDArray[np.int8], inputs: FloatArray) -> Basis:
    """Return what a basis says of all bounds, after a check that it is optimal, and feasible for these ``inputs``.

    Raises
    ------
    BasisError
        It must not be reused.
    """
    status = status.copy()
    basic = np.flatnonzero(status == BASIC)
    factors = _factorise(form, basic)
    _set_sides(form, status, basic, factors, inputs)
    dependence = _dependence(form, status, basic, factors)
    slacks = _slacks(form, basic, dependence)
    n_columns = form.shape[1]
    output = np.asarray(form.reported_of_columns @ dependence[:n_columns])
    if np.min(slacks @ inputs, initial=0.0) < 0.0:
        raise BasisError("it is not feasible")
    if np.max(np.abs(form.matrix @ (dependence[:n_columns] @ inputs)), initial=0.0) > ROW_ACCEPTED:
        raise BasisError("it leaves metabolites unbalanced")
    varying = np.any(slacks[:, 1:] != 0.0, axis=1)
    system = np.concatenate([slacks[varying], output]).T
    used = np.flatnonzero(np.any(system != 0.0, axis=1))
    return Basis(status, used, np.ascontiguousarray(system[used]), int(varying.sum()))


def flux_matrix(form: StandardForm, basis: Basis) -> FloatArray:
    """Return the fluxes of all reactions as a function of `bound_inputs`, ``(1 + 2 len(varying), n_reactions)``."""
    basic = np.flatnonzero(basis.status == BASIC)
    dependence = _dependence(form, basis.status, basic, _factorise(form, basic))
    return np.asarray(form.flux_of_columns @ dependence[: form.shape[1]]).T


def find_ray(
    form: StandardForm, status: NDArray[np.int8], inputs: FloatArray, given: FloatArray | None = None
) -> Ray | None:
    """Return a proof that nothing is feasible, from a solver's multipliers or the rows of its last basis, or None."""
    candidates = [] if given is None else [given]
    best, least = None, 0.0
    for multipliers in candidates:
        for ray in _rays(form, multipliers[:, None]):
            if (value := float(ray.row @ inputs)) < least:
                best, least = ray, value
    if least < -PROOF:
        return best
    for ray in _rays(form, _violated_rows(form, status, inputs)):
        if (value := float(ray.row @ inputs)) < least:
            best, least = ray, value
    return best


def _factorise(form: StandardForm, basic: NDArray[np.intp]) -> SuperLU:
    if len(basic) != form.shape[0]:
        raise BasisError("it has the wrong size")
    try:
        return splu(form.full_matrix[:, basic].tocsc())
    except RuntimeError as error:
        raise BasisError("it is singular") from error


def _set_sides(
    form: StandardForm, status: NDArray[np.int8], basic: NDArray[np.intp], factors: SuperLU, inputs: FloatArray
) -> None:
    """Check that the first level at which a non-basic column has a reduced cost agrees with where it stands.

    Where both bounds coincide now the column has no side; it gets the one at which the basis is optimal.
    """
    multipliers = factors.solve(form.level_matrix[basic], trans="T")
    reduced = form.level_matrix - form.full_matrix.T @ multipliers
    costly = np.abs(reduced) > ZERO_COST
    first = np.argmax(costly, axis=1)
    every = np.arange(len(status))
    sign = np.where(np.any(costly, axis=1), np.sign(reduced[every, first]), 0.0)
    lower, upper = form.column_bounds(inputs)
    n_columns = form.shape[1]
    fixed = np.ones(len(status), dtype=bool)  # activities of rows are
    fixed[:n_columns] = lower == upper
    beside = status != BASIC
    wanted = np.where(sign > 0, AT_LOWER, np.where(sign < 0, AT_UPPER, status))
    if np.any(beside & ~fixed & (wanted != status)):
        raise BasisError("it is not optimal")
    varies = np.zeros(len(status), dtype=bool)
    varies[form.varying] = True
    change = beside & varies & fixed
    status[change] = wanted[change]


def _dependence(form: StandardForm, status: NDArray[np.int8], basic: NDArray[np.intp], factors: SuperLU) -> FloatArray:
    """Return every column and row's activity as a function of `bound_inputs`, ``(n_columns + n_rows, n_inputs)``."""
    n_rows, n_columns = form.shape
    count = len(form.varying)
    dependence = np.zeros((n_columns + n_rows, 1 + 2 * count))
    constant = np.zeros(n_columns + n_rows)
    constant[:n_columns] = np.where(status[:n_columns] == AT_UPPER, form.upper, form.lower)
    constant[(status == BASIC) | (status == AT_ZERO)] = 0.0
    constant[form.varying] = 0.0
    if np.any(np.abs(constant) >= INFINITE):
        raise BasisError("a column stands at an infinite bound")
    dependence[:, 0] = constant
    standing = status[form.varying]
    beside = np.flatnonzero((standing != BASIC) & (standing != AT_ZERO))
    places = 1 + beside + np.where(standing[beside] == AT_UPPER, count, 0)
    # An uptake's column is minus its secretion's, and solving is the dear part.
    split = len(form.split_inputs)
    is_uptake = (beside >= split) & (beside < 2 * split)
    solved_for, of_place = np.unique(np.where(is_uptake, beside - split, beside), return_inverse=True)
    right = form.full_matrix[:, form.varying[solved_for]].toarray()
    constant_right = form.full_matrix @ constant
    solved = -factors.solve(np.column_stack([constant_right, right]))
    solved[np.abs(solved) < NOISE] = 0.0
    dependence[form.varying[beside], places] = 1.0
    dependence[basic, 0] = solved[:, 0]
    dependence[basic[:, None], places] = solved[:, 1 + of_place] * np.where(is_uptake, -1.0, 1.0)
    return dependence


def _slacks(form: StandardForm, basic: NDArray[np.intp], dependence: FloatArray) -> FloatArray:
    """Return the distances of all basic columns to their finite bounds, with what is allowed added."""
    n_columns = form.shape[1]
    count = len(form.varying)
    place = np.full(len(dependence), -1)
    place[form.varying] = np.arange(count)
    lower = np.concatenate([form.lower, np.zeros(form.shape[0])])[basic]
    upper = np.concatenate([form.upper, np.zeros(form.shape[0])])[basic]
    varies = place[basic] >= 0
    parts = []
    for bound, sign, shift in ((lower, 1.0, 1), (upper, -1.0, 1 + count)):
        rows = sign * dependence[basic]
        allowed = np.where(basic < n_columns, ACCEPTED, ROW_ACCEPTED)
        finite = varies | (np.abs(bound) < INFINITE)
        value = np.where(varies | ~finite, 0.0, bound)
        rows[:, 0] += allowed * (1.0 + np.abs(value)) - sign * value
        rows[np.flatnonzero(varies), place[basic[varies]] + shift] -= sign
        parts.append(rows[finite])
    return np.concatenate(parts)


def _violated_rows(form: StandardForm, status: NDArray[np.int8], inputs: FloatArray) -> FloatArray:
    """Return the multipliers of the rows of the basis whose basic column is outside its bounds, worst first."""
    n_rows = form.shape[0]
    basic = np.flatnonzero(status == BASIC)
    lower, upper = form.column_bounds(inputs)
    lower, upper = np.concatenate([lower, np.zeros(n_rows)]), np.concatenate([upper, np.zeros(n_rows)])
    try:
        factors = _factorise(form, basic)
    except BasisError:
        return np.zeros((n_rows, 0))
    values = np.where(status == AT_UPPER, upper, lower)
    values[(status == BASIC) | (np.abs(values) >= INFINITE)] = 0.0
    solved = factors.solve(-np.asarray(form.full_matrix @ values))
    missed = np.maximum(lower[basic] - solved, solved - upper[basic])
    worst = [row for row in np.argsort(-missed)[:20] if missed[row] > 0.0]
    return np.asarray(factors.solve(np.eye(n_rows)[:, worst], trans="T"))


def _rays(form: StandardForm, multipliers: FloatArray) -> list[Ray]:
    """Return the rays of the columns of multipliers, each in both directions, that have a finite bound."""
    rays = []
    count = len(form.varying)
    constant = np.ones(form.shape[1], dtype=bool)
    constant[form.varying] = False
    for direction in (form.matrix.T @ multipliers).T:
        scale = np.max(np.abs(direction), initial=0.0)
        if scale == 0.0:
            continue
        scaled = direction / scale
        scaled[np.abs(scaled) < NOISE] = 0.0
        for signed in (scaled, -scaled):
            bound = np.where(signed > 0.0, form.upper, form.lower)
            reached = constant & (signed != 0.0)
            if np.any(np.abs(bound[reached]) >= INFINITE):
                continue
            row = np.zeros(1 + 2 * count)
            row[0] = signed[reached] @ bound[reached]
            moving = signed[form.varying]
            row[1 : 1 + count] = np.minimum(moving, 0.0)
            row[1 + count :] = np.maximum(moving, 0.0)
            rays.append(Ray(signed, row))
    return rays
