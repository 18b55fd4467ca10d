"""Linear programs by GLPK: the dual simplex after a change of bounds, the primal one from level to level.

The primal simplex is never asked for a verdict: from an infeasible start it calls programs optimal that miss a bound by
up to about 1e-3.
"""

from typing import Any

import numpy as np
import swiglpk as glpk
from numpy.typing import NDArray
from swiglpk import _swiglpk

from .simplex import (
    AT_LOWER,
    AT_UPPER,
    AT_ZERO,
    BASIC,
    FEASIBILITY,
    INFINITE,
    ZERO_COST,
    FloatArray,
    SimplexAnswer,
    SolverError,
)
from .standard_form import BALANCED, WITHIN, StandardForm
from .tie_break import Level

# The compiled functions behind swiglpk's: called for every column, where a second call in Python doubles the time.
get_standing = _swiglpk.glp_get_col_stat
get_value = _swiglpk.glp_get_col_prim
get_reduced_cost = _swiglpk.glp_get_col_dual
set_bounds = _swiglpk.glp_set_col_bnds

STANDING = {
    glpk.GLP_BS: BASIC,
    glpk.GLP_NL: AT_LOWER,
    glpk.GLP_NU: AT_UPPER,
    glpk.GLP_NF: AT_ZERO,
    glpk.GLP_NS: AT_LOWER,
}


class GlpkSimplex:
    """A GLPK problem that lives as long as this object."""

    def __init__(self, form: StandardForm) -> None:
        self.form = form
        n_rows, n_columns = form.shape
        glpk.glp_term_out(glpk.GLP_OFF)
        self.problem: Any = glpk.glp_create_prob()
        glpk.glp_add_rows(self.problem, n_rows)
        glpk.glp_add_cols(self.problem, n_columns)
        for row in range(1, n_rows + 1):
            glpk.glp_set_row_bnds(self.problem, row, glpk.GLP_FX, 0.0, 0.0)
        self._load_matrix()
        self.lower, self.upper = form.lower.copy(), form.upper.copy()
        for column in range(n_columns):
            self._set_bounds(column, self.lower[column], self.upper[column])
        self.cost: Level = {}
        self.errors = (glpk.doubleArray(1), glpk.intArray(1), glpk.doubleArray(1), glpk.intArray(1))
        self.dual, self.primal = _parameters(glpk.GLP_DUALP), _parameters(glpk.GLP_PRIMAL)

    def __del__(self) -> None:
        if getattr(self, "problem", None) is not None:
            glpk.glp_delete_prob(self.problem)

    def restart(self) -> None:
        """Forget the last basis."""
        glpk.glp_std_basis(self.problem)

    def solve(self, lower: FloatArray, upper: FloatArray, *, levels: int | None = None) -> SimplexAnswer:
        """See :class:`.simplex.Simplex`."""
        for column in np.flatnonzero((lower != self.lower) | (upper != self.upper)).tolist():
            self._set_bounds(column, lower[column], upper[column])
        self.lower, self.upper = lower.copy(), upper.copy()
        if not self._solve_first():
            return SimplexAnswer(None, self._status())
        fixed: dict[int, int] = {}
        try:
            if self.form.levels[1:levels]:
                self._settle_ties(self.form.levels[1:levels], fixed)
            columns = np.array([get_value(self.problem, j + 1) for j in range(self.form.shape[1])])
        finally:
            self._release(fixed)
        return SimplexAnswer(columns, self._status())

    def sweep(self, inputs: FloatArray, *, whole: bool) -> tuple[FloatArray, NDArray[np.int8]]:
        """See :class:`.simplex.Simplex`."""
        varying, count = self.form.varying, len(self.form.varying)
        wanted = list(range(self.form.shape[1])) if whole else self.form.reported_columns
        positions = [column + 1 for column in wanted]
        values, verdict = np.zeros((len(inputs), len(wanted))), np.full(len(inputs), -1, dtype=np.int8)
        lower, upper = self.lower[varying].tolist(), self.upper[varying].tolist()
        for copy, row in enumerate(inputs.tolist()):
            for place, column in enumerate(varying.tolist()):
                low, high = row[1 + place], row[1 + count + place]
                if low != lower[place] or high != upper[place]:
                    lower[place], upper[place] = low, high
                    self._set_bounds(column, low, high)
            self.lower[varying], self.upper[varying] = lower, upper
            fixed: dict[int, int] = {}
            try:
                verdict[copy] = self._solve_first()
                if verdict[copy]:
                    if len(self.form.levels) > 1:
                        self._settle_ties(self.form.levels[1:], fixed)
                    if not self._holds():
                        raise SolverError("the optimum leaves its bounds")
                    values[copy] = [get_value(self.problem, position) for position in positions]
            except SolverError:
                verdict[copy] = -1
            finally:
                self._release(fixed)
        columns = np.zeros((len(inputs), self.form.shape[1]))
        columns[:, wanted] = values
        return columns, verdict

    def _holds(self) -> bool:
        """Whether the current point balances all metabolites and keeps its bounds, by GLPK's own check."""
        for condition, limit in ((glpk.GLP_KKT_PE, BALANCED), (glpk.GLP_KKT_PB, WITHIN)):
            glpk.glp_check_kkt(self.problem, glpk.GLP_SOL, condition, *self.errors)
            # Absolute errors of balances, relative ones of bounds.
            if self.errors[0 if condition == glpk.GLP_KKT_PE else 2][0] > limit:
                return False
        return True

    def _solve_first(self) -> bool:
        """Optimise the first level and return whether there is a feasible point."""
        self._set_cost(self.form.levels[0])
        code = glpk.glp_simplex(self.problem, self.dual)
        status = glpk.glp_get_status(self.problem)
        if code or status not in (glpk.GLP_OPT, glpk.GLP_NOFEAS, glpk.GLP_UNBND):
            self.restart()
            code = glpk.glp_simplex(self.problem, self.dual)
            status = glpk.glp_get_status(self.problem)
        if status == glpk.GLP_UNBND:
            raise SolverError("the objective is unbounded")
        if code or status not in (glpk.GLP_OPT, glpk.GLP_NOFEAS):
            raise SolverError(f"GLPK ends with code {code} and status {status}")
        return bool(status == glpk.GLP_OPT)

    def _settle_ties(self, levels: list[Level], fixed: dict[int, int]) -> None:
        """Optimise the lower levels, each within the optimal face of those before; ``fixed`` gains what was fixed."""
        free = self._fix_costly(np.flatnonzero(self.lower < self.upper).tolist(), fixed)
        for level in levels:
            if not any(get_standing(self.problem, j + 1) != glpk.GLP_BS for j in free):
                return  # nothing can move
            if len(level) == 1:
                column, coefficient = next(iter(level.items()))
                best = glpk.GLP_NL if coefficient > 0.0 else glpk.GLP_NU
                if get_standing(self.problem, column + 1) in (best, glpk.GLP_NS):
                    # Optimal already, and the only column with a reduced cost.
                    if column in free:
                        self._fix(column, fixed)
                        free.remove(column)
                    continue
            self._set_cost(level)
            code = glpk.glp_simplex(self.problem, self.primal)
            if code or glpk.glp_get_status(self.problem) != glpk.GLP_OPT:
                raise SolverError(
                    f"GLPK ends a tie-break with code {code} and status {glpk.glp_get_status(self.problem)}"
                )
            free = self._fix_costly(free, fixed)

    def _fix_costly(self, free: list[int], fixed: dict[int, int]) -> list[int]:
        """Fix non-basic columns with a reduced cost where they stand, and return the others."""
        left = []
        for column in free:
            if (
                get_standing(self.problem, column + 1) != glpk.GLP_BS
                and abs(get_reduced_cost(self.problem, column + 1)) > ZERO_COST
            ):
                self._fix(column, fixed)
            else:
                left.append(column)
        return left

    def _fix(self, column: int, fixed: dict[int, int]) -> None:
        fixed[column] = get_standing(self.problem, column + 1)
        value = get_value(self.problem, column + 1)
        set_bounds(self.problem, column + 1, glpk.GLP_FX, value, value)

    def _release(self, fixed: dict[int, int]) -> None:
        for column, standing in fixed.items():
            self._set_bounds(column, self.lower[column], self.upper[column])
            glpk.glp_set_col_stat(self.problem, column + 1, standing)

    def _status(self) -> NDArray[np.int8]:
        n_rows, n_columns = self.form.shape
        status = [STANDING[get_standing(self.problem, j)] for j in range(1, n_columns + 1)]
        status += [STANDING[glpk.glp_get_row_stat(self.problem, i)] for i in range(1, n_rows + 1)]
        return np.array(status, dtype=np.int8)

    def _set_bounds(self, column: int, lower: float, upper: float) -> None:
        low, high = lower > -INFINITE, upper < INFINITE
        if low and high:
            kind = glpk.GLP_FX if lower == upper else glpk.GLP_DB
        else:
            kind = glpk.GLP_LO if low else glpk.GLP_UP if high else glpk.GLP_FR
        set_bounds(self.problem, column + 1, kind, lower if low else 0.0, upper if high else 0.0)

    def _set_cost(self, level: Level) -> None:
        if level is self.cost:
            return
        for column in self.cost:
            glpk.glp_set_obj_coef(self.problem, column + 1, 0.0)
        for column, coefficient in level.items():
            glpk.glp_set_obj_coef(self.problem, column + 1, coefficient)
        self.cost = level

    def _load_matrix(self) -> None:
        entries = self.form.matrix.tocoo()
        count = entries.nnz
        rows, columns, values = glpk.intArray(count + 1), glpk.intArray(count + 1), glpk.doubleArray(count + 1)
        for number, (row, column, value) in enumerate(
            zip(entries.row.tolist(), entries.col.tolist(), entries.data.tolist(), strict=True), start=1
        ):
            rows[number], columns[number], values[number] = row + 1, column + 1, value
        glpk.glp_load_matrix(self.problem, count, rows, columns, values)


def _parameters(method: int) -> Any:
    parameters = glpk.glp_smcp()
    glpk.glp_init_smcp(parameters)
    parameters.msg_lev = glpk.GLP_MSG_OFF
    parameters.meth = method
    parameters.presolve = glpk.GLP_OFF
    parameters.tol_bnd = parameters.tol_dj = FEASIBILITY
    return parameters
