"""One standard form with its solvers: answers for many copies."""

import numpy as np
from .glpk_engine import GlpkSimplex
from .highs_engine import HighsSimplex
from .standard_form import FloatArray, StandardForm


class FormSolver:
    def __init__(self, form: StandardForm, *, solver: str, max_bases: int | None, cross_check: float) -> None:
        self.form = form
        small = form.shape[0] <= 200
        self.simplex = (
            GlpkSimplex(form) if solver == "glpk" or (solver in ("auto", "cache") and small) else HighsSimplex(form)
        )

    def solve(self, lower, upper, *, last=None, all_fluxes=False):
        from .linear_program import Solution

        form = self.form
        count = len(lower)
        growth = np.full(count, np.nan)
        feasible = np.zeros(count, dtype=bool)
        fluxes = np.zeros((count, form.flux_of_columns.shape[0]))
        inputs = form.bound_inputs(lower, upper)
        for copy in range(count):
            if not np.all(lower[copy] <= upper[copy]):
                continue
            answer = self.simplex.solve(*form.column_bounds(inputs[copy]))
            if answer.columns is not None:
                feasible[copy] = True
                fluxes[copy] = form.flux_of_columns @ answer.columns
                growth[copy] = fluxes[copy, form.objective]
        return Solution(growth, feasible, fluxes[:, form.tracked], np.full(count, -1), fluxes if all_fluxes else None)
