"""Linear programs by HiGHS: the dual simplex after a change of bounds, the primal one from level to level."""

from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from .simplex import AT_LOWER, AT_UPPER, AT_ZERO, BASIC, FEASIBILITY, ZERO_COST, FloatArray, SimplexAnswer, SolverError
from .standard_form import StandardForm
from .tie_break import Level

STANDING = np.array([AT_LOWER, BASIC, AT_UPPER, AT_ZERO, AT_LOWER], dtype=np.int8)
"""By the number of a HiGHS status: lower, basic, upper, zero, non-basic."""
DUAL, PRIMAL = 1, 4
OPTIMAL, INFEASIBLE, UNBOUNDED = (
    highspy.HighsModelStatus.kOptimal,
    highspy.HighsModelStatus.kInfeasible,
    highspy.HighsModelStatus.kUnbounded,
)


class HighsSimplex:
    """A HiGHS problem that lives as long as this object."""

    def __init__(self, form: StandardForm) -> None:
        self.form = form
        self.lower, self.upper = form.lower.copy(), form.upper.copy()
        self.cost: Level = {}
        self.strategy = 0
        self.highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        options: dict[str, bool | int | float | str] = {
            "output_flag": False,
            "presolve": "off",
            "solver": "simplex",
            "threads": 1,
            "primal_feasibility_tolerance": FEASIBILITY,
            "dual_feasibility_tolerance": FEASIBILITY,
        }
        for name, value in options.items():
            self.highs.setOptionValue(name, value)
        self.highs.passModel(_highs_program(form))

    def restart(self) -> None:
        """Forget the last basis."""
        self.highs.clearSolver()

    def solve(self, lower: FloatArray, upper: FloatArray, *, levels: int | None = None) -> SimplexAnswer:
        """See :class:`.simplex.Simplex`."""
        optimum = self._optimum(lower.copy(), upper.copy(), levels)
        if optimum is None:
            return SimplexAnswer(None, self._status(), self._ray())
        columns, standing = optimum
        status = self._status()
        if standing is not None:
            status[: len(standing)] = standing
        return SimplexAnswer(columns, status)

    def sweep(self, inputs: FloatArray, *, whole: bool) -> tuple[FloatArray, NDArray[np.int8]]:
        """See :class:`.simplex.Simplex`."""
        del whole  # HiGHS gives all columns at once
        columns = np.zeros((len(inputs), self.form.shape[1]))
        verdict = np.full(len(inputs), -1, dtype=np.int8)
        for copy, row in enumerate(inputs):
            try:
                optimum = self._optimum(*self.form.column_bounds(row))
            except SolverError:
                continue
            verdict[copy] = optimum is not None
            if optimum is not None:
                columns[copy] = optimum[0]
        optimal = verdict == 1
        verdict[optimal] = np.where(self.form.holds(columns[optimal], inputs[optimal]), 1, -1)
        return columns, verdict

    def _optimum(
        self, lower: FloatArray, upper: FloatArray, levels: int | None = None
    ) -> tuple[FloatArray, NDArray[np.int8] | None] | None:
        """Return the columns, and where they stand after a tie-break; None where nothing is feasible."""
        changed = np.flatnonzero((lower != self.lower) | (upper != self.upper))
        self.lower, self.upper = lower, upper
        self._set_bounds(changed, lower[changed], upper[changed])
        if not self._solve_first():
            return None
        lower_levels = self.form.levels[1:levels]
        if not lower_levels:
            return self._columns(), None
        fixed, standing = np.zeros(len(lower), dtype=bool), np.zeros(len(lower), dtype=np.int8)
        try:
            status = self._settle_ties(lower_levels, fixed, standing)
            columns = self._columns()
        finally:
            released = np.flatnonzero(fixed)
            self._set_bounds(released, lower[released], upper[released])
        status[released] = standing[released]
        return columns, status

    def _solve_first(self) -> bool:
        """Optimise the first level and return whether there is a feasible point."""
        self._set_cost(self.form.levels[0])
        status = self._run(DUAL)
        if status not in (OPTIMAL, INFEASIBLE, UNBOUNDED):
            self.restart()
            status = self._run(DUAL)
        if status == UNBOUNDED:
            raise SolverError("the objective is unbounded")
        if status not in (OPTIMAL, INFEASIBLE):
            raise SolverError(f"HiGHS ends with {status}")
        return bool(status == OPTIMAL)

    def _settle_ties(
        self, levels: list[Level], fixed: NDArray[np.bool_], standing: NDArray[np.int8]
    ) -> NDArray[np.int8]:
        """Optimise the lower levels within each other's optimal faces; return where the columns stand.

        Both arrays gain what was fixed, and where.
        """
        movable = self.lower < self.upper
        status = self._fix_costly(movable & ~fixed, fixed, standing)
        for level in levels:
            if not np.any(movable & ~fixed & (status != BASIC)):
                break  # nothing can move
            if len(level) == 1:
                column, coefficient = next(iter(level.items()))
                best = AT_LOWER if coefficient > 0.0 else AT_UPPER
                if status[column] == best or fixed[column] or not movable[column]:
                    # Optimal already, and the only column with a reduced cost.
                    if movable[column] and not fixed[column]:
                        self._fix(np.array([column]), (self.lower if best == AT_LOWER else self.upper)[[column]])
                        fixed[column], standing[column] = True, best
                    continue
            self._set_cost(level)
            ended = self._run(PRIMAL)
            if ended != OPTIMAL:
                raise SolverError(f"HiGHS ends a tie-break with {ended}")
            status = self._fix_costly(movable & ~fixed, fixed, standing)
        return status

    def _fix_costly(
        self, free: NDArray[np.bool_], fixed: NDArray[np.bool_], standing: NDArray[np.int8]
    ) -> NDArray[np.int8]:
        """Fix non-basic columns with a reduced cost where they stand; return where all columns stand."""
        solution = self.highs.getSolution()
        status = self._standing(self.highs.getBasis().col_status)
        costly = free & (status != BASIC) & (np.abs(np.asarray(solution.col_dual)) > ZERO_COST)
        columns = np.flatnonzero(costly)
        standing[columns] = status[columns]
        fixed[columns] = True
        self._fix(columns, np.where(status[columns] == AT_UPPER, self.upper[columns], self.lower[columns]))
        return status

    def _fix(self, columns: np.ndarray, values: FloatArray) -> None:
        self._set_bounds(columns, values, values)

    def _run(self, strategy: int) -> Any:
        if strategy != self.strategy:
            self.highs.setOptionValue("simplex_strategy", strategy)
            self.strategy = strategy
        self.highs.run()
        return self.highs.getModelStatus()

    def _columns(self) -> FloatArray:
        return np.array(self.highs.getSolution().col_value)

    def _status(self) -> NDArray[np.int8]:
        basis = self.highs.getBasis()
        return np.concatenate([self._standing(basis.col_status), self._standing(basis.row_status)])

    def _standing(self, statuses: list[Any]) -> NDArray[np.int8]:
        return STANDING[np.fromiter(map(int, statuses), dtype=np.intp, count=len(statuses))]

    def _ray(self) -> FloatArray | None:
        _, exists, ray = self.highs.getDualRay()
        return np.array(ray) if exists else None

    def _set_bounds(self, columns: np.ndarray, lower: FloatArray, upper: FloatArray) -> None:
        if len(columns):
            self.highs.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)

    def _set_cost(self, level: Level) -> None:
        if level is self.cost:
            return
        costs = dict.fromkeys(self.cost, 0.0) | level
        self.highs.changeColsCost(len(costs), np.array(list(costs), dtype=np.int32), np.array(list(costs.values())))
        self.cost = level


def _highs_program(form: StandardForm) -> Any:
    n_rows, n_columns = form.shape
    program = highspy.HighsLp()
    program.num_row_, program.num_col_ = n_rows, n_columns
    program.col_cost_ = np.zeros(n_columns)
    program.col_lower_, program.col_upper_ = form.lower, form.upper
    program.row_lower_ = program.row_upper_ = np.zeros(n_rows)
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = form.matrix.indptr.astype(np.int32)
    program.a_matrix_.index_ = form.matrix.indices.astype(np.int32)
    program.a_matrix_.value_ = form.matrix.data
    return program
