"""One standard form with its solvers and its known bases: answers for many copies at once."""

import logging
import os
import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .basis import BasisError, Ray, build_basis, find_ray, flux_matrix
from .basis_cache import UNKNOWN, BasisCache
from .glpk_engine import GlpkSimplex
from .highs_engine import HighsSimplex
from .simplex import FloatArray, Simplex, SimplexAnswer, SolverError
from .standard_form import WITHIN, StandardForm

GENOME_SCALE = 200
"""Metabolites above which a new basis costs tenths of a second where many exchanges vary."""
FEW_VARYING = 40
"""Varying reactions up to which bases of a genome-scale model are few, and cheap to keep."""
MAX_BASES = {False: 4096, True: 256}
WINDOW = 1000
LEAST_HIT_RATE = 0.8
"""Of the last ``WINDOW`` programs or more; with less, simplex runs alone are faster than a search before them.

The first window does not count: nothing is known then.
"""
CROSSED = -(2**31)
"""Place of a copy with a lower bound above its upper one."""
OTHER = {"glpk": "highs", "highs": "glpk"}
CHECK_STRIDE = 7919
AGREES = 1e-7

logger = logging.getLogger(__name__)


class LinearProgramError(RuntimeError):
    """Solvers fail or contradict each other; the bounds lie in ``file`` (NPZ), and the message says so."""

    def __init__(self, reason: str, lower: FloatArray, upper: FloatArray) -> None:
        handle, self.file = tempfile.mkstemp(prefix="bioppo-linear-program-", suffix=".npz")
        os.close(handle)
        self.reason, self.lower, self.upper = reason, lower, upper
        self.keep({})
        super().__init__(f"{reason}; the bounds are in {self.file}")

    def keep(self, more: dict[str, Any]) -> None:
        """Write further arrays into the file, such as the state in which it happened."""
        np.savez(self.file, lower=self.lower, upper=self.upper, **more)


@dataclass(slots=True, eq=False)
class Answers:
    """For K copies: each answer's place (`BasisCache`), whether there is one, growth and tracked fluxes, all fluxes."""

    place: NDArray[np.intp]
    feasible: NDArray[np.bool_]
    outputs: FloatArray
    fluxes: FloatArray | None

    def put(self, copies: NDArray[np.intp], part: "Answers") -> None:
        """Write the answers of some copies."""
        self.place[copies], self.feasible[copies], self.outputs[copies] = part.place, part.feasible, part.outputs
        if self.fluxes is not None and part.fluxes is not None:
            self.fluxes[copies] = part.fluxes


class FormSolver:
    """Answers of one standard form; see :class:`..linear_program.LinearProgram` for the options."""

    def __init__(self, form: StandardForm, *, solver: str, max_bases: int | None, cross_check: float) -> None:
        self.form = form
        large = form.shape[0] > GENOME_SCALE
        self.engine = "highs" if solver == "highs" else "glpk"
        few = form.n_varying <= FEW_VARYING
        self.uses_cache = solver == "cache" or (solver == "auto" and (few or not large))
        self.may_switch_off = solver == "auto"
        self.cross_check = cross_check
        limit = MAX_BASES[large] if max_bases is None else max_bases
        self.cache = BasisCache(1 + 2 * len(form.varying), form.reported_of_columns.shape[0], limit)
        self.counts = dict.fromkeys(("solved", "hits", "misses", "proofs", "checked", "unstored"), 0)
        self._window, self._warm = [0, 0], False
        self._due = 0.0
        self._forget_handles()

    def _forget_handles(self) -> None:
        self._simplex: dict[str, Simplex] = {}
        self._flux_matrices: dict[int, FloatArray] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_simplex", "_flux_matrices")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget_handles()

    def solve(
        self,
        lower: FloatArray,
        upper: FloatArray,
        *,
        last: NDArray[np.intp] | None = None,
        all_fluxes: bool = False,
    ) -> Answers:
        """Return the answers within bounds of the varying reactions, ``(K, n_varying)``; NaN is nowhere feasible."""
        self.counts["solved"] += len(lower)
        ordered = lower <= upper
        crossed = None if ordered.all() else np.flatnonzero(~ordered.all(axis=1))
        inputs = self.form.bound_inputs(lower, upper)
        if crossed is not None:
            inputs[crossed] = 0.0
        if self.uses_cache:
            place, outputs = self.cache.find(inputs, last)
        else:
            place = np.full(len(inputs), UNKNOWN, dtype=np.intp)
            outputs = np.zeros((len(inputs), self.form.reported_of_columns.shape[0]))
        if crossed is not None:
            place[crossed] = CROSSED
            outputs[crossed] = 0.0
        unknown = np.flatnonzero(place == UNKNOWN)
        misses = self.counts["misses"]
        direct: dict[int, FloatArray | None] = {}
        if not self.uses_cache:
            direct = self._solve_each(inputs, unknown, outputs, all_fluxes=all_fluxes)
        elif len(unknown):
            direct = self._solve_misses(inputs, unknown, place, outputs)
        feasible = place >= 0
        for copy, columns in direct.items():
            feasible[copy] = columns is not None
        if self.uses_cache:
            missed = unknown if crossed is None else np.concatenate([unknown, crossed])
            self._check(inputs, missed, feasible, outputs)
            self._count(len(inputs), self.counts["misses"] - misses, place)
        if crossed is not None:
            place[crossed] = UNKNOWN
        fluxes = self._all_fluxes(inputs, place, direct) if all_fluxes else None
        return Answers(place, feasible, outputs, fluxes)

    def prove(self, lower: FloatArray, upper: FloatArray) -> Ray | None:
        """Return a proof that bounds ``(n_varying,)`` leave nothing feasible, or None."""
        inputs = self.form.bound_inputs(lower[None], upper[None])[0]
        return self._run(inputs, proof=True)[1]

    def _solve_each(
        self, inputs: FloatArray, copies: NDArray[np.intp], outputs: FloatArray, *, all_fluxes: bool
    ) -> dict[int, FloatArray | None]:
        """Solve all copies by the simplex; return their columns, None where infeasible."""
        self.counts["misses"] += len(copies)
        columns, verdict = self._engine(self.engine).sweep(inputs[copies], whole=all_fluxes)
        for row in np.flatnonzero(verdict < 0):
            answer, _ = self._run(inputs[copies[row]], proof=False)
            verdict[row] = answer.columns is not None
            if answer.columns is not None:
                columns[row] = answer.columns
        optimal = verdict == 1
        outputs[copies[optimal]] = (self.form.reported_of_columns @ columns[optimal].T).T
        return {
            copy: row if found else None
            for copy, row, found in zip(copies.tolist(), columns, optimal.tolist(), strict=True)
        }

    def _solve_misses(
        self, inputs: FloatArray, pending: NDArray[np.intp], place: NDArray[np.intp], outputs: FloatArray
    ) -> dict[int, FloatArray | None]:
        """Solve what no known basis answers; return columns of copies without a kept basis, None where infeasible."""
        direct: dict[int, FloatArray | None] = {}
        while len(pending):
            copy = int(pending[0])
            self.counts["misses"] += 1
            answer, ray = self._run(inputs[copy], proof=True)
            if not self._keep(answer, ray, inputs, pending, place, outputs):
                # The engine settled a tie wrongly, by its tolerances; the other one may not.
                answer, ray = self._run(inputs[copy], proof=True, first=OTHER[self.engine])
                self.counts["unstored"] += not self._keep(answer, ray, inputs, pending, place, outputs)
            if place[copy] == UNKNOWN:
                direct[copy] = answer.columns
                if answer.columns is not None:
                    outputs[copy] = self.form.reported_of_columns @ answer.columns
            pending = pending[1:]
            pending = pending[place[pending] == UNKNOWN]
        return direct

    def _keep(
        self,
        answer: SimplexAnswer,
        ray: Ray | None,
        inputs: FloatArray,
        pending: NDArray[np.intp],
        place: NDArray[np.intp],
        outputs: FloatArray,
    ) -> bool:
        """Add what a simplex run found to the known bases and proofs, and answer all pending copies that it fits.

        False where the basis must not be kept.
        """
        if answer.columns is None:
            if ray is not None:
                number = self.cache.add_ray(ray)
                self.cache.try_rays(pending, inputs, place)
                if place[pending[0]] == UNKNOWN:
                    place[pending[0]] = number
            return True
        try:
            basis = build_basis(self.form, answer.status, inputs[pending[0]])
        except BasisError as error:
            logger.debug("A basis is not kept: %s.", error)
            return False
        self.cache.try_basis(self.cache.add_basis(basis), pending, inputs, place, outputs)
        return True

    def _run(self, inputs: FloatArray, *, proof: bool, first: str | None = None) -> tuple[SimplexAnswer, Ray | None]:
        """Solve one copy by the simplex, cold or by the other solver where that fails; prove an infeasible verdict."""
        lower, upper = self.form.column_bounds(inputs)
        reasons, refused = [], None
        first = first or self.engine
        for engine, cold in ((first, False), (first, True), (OTHER[first], True)):
            simplex = self._engine(engine)
            if cold:
                simplex.restart()
            try:
                answer = simplex.solve(lower, upper)
            except SolverError as error:
                reasons.append(str(error))
                continue
            if answer.columns is None:
                ray = find_ray(self.form, answer.status, inputs, answer.ray) if proof else None
                if ray is not None or not proof:
                    return answer, ray
                refused = answer
            elif self.form.holds(answer.columns[None], inputs[None])[0]:
                return answer, None
            else:
                reasons.append(f"{engine} leaves its bounds")
        if refused is not None:
            # All agree that there is no point, though none can prove it beyond rounding.
            return refused, None
        raise LinearProgramError(f"No solver solves a linear program ({'; '.join(reasons)})", lower, upper)

    def _engine(self, name: str) -> Simplex:
        if name not in self._simplex:
            self._simplex[name] = GlpkSimplex(self.form) if name == "glpk" else HighsSimplex(self.form)
        return self._simplex[name]

    def _check(
        self, inputs: FloatArray, missed: NDArray[np.intp], feasible: NDArray[np.bool_], outputs: FloatArray
    ) -> None:
        """Solve a share of the cache's answers, all but those it missed, again, cold and by HiGHS."""
        self._due += self.cross_check * (len(inputs) - len(missed))
        if self._due < 1.0:
            return
        copies = np.setdiff1d(np.arange(len(inputs)), missed, assume_unique=True)
        chosen = copies[(np.arange(int(self._due)) * CHECK_STRIDE + self.counts["checked"]) % len(copies)]
        self._due -= len(chosen)
        checker = self._simplex.setdefault("checker", HighsSimplex(self.form))
        for copy in chosen:
            self.counts["checked"] += 1
            lower, upper = self.form.column_bounds(inputs[copy])
            checker.restart()
            try:
                answer = checker.solve(lower, upper, levels=self.form.n_growth_levels)
            except SolverError as error:
                logger.debug("An answer is not checked: %s.", error)
                continue
            growth = None if answer.columns is None else float((self.form.reported_of_columns @ answer.columns)[0])
            if growth is None and feasible[copy]:
                # HiGHS may draw the line between almost and not feasible elsewhere within the tolerance.
                answer = checker.solve(
                    lower - WITHIN * (1.0 + np.abs(lower)), upper + WITHIN * (1.0 + np.abs(upper)), levels=1
                )
                if answer.columns is not None:
                    continue
            found = float(outputs[copy, 0]) if feasible[copy] else None
            if (growth is None) != (found is None) or (
                growth is not None and found is not None and abs(growth - found) > AGREES
            ):
                raise LinearProgramError(
                    f"A known basis gives growth {found} where HiGHS finds {growth} (None: infeasible)", lower, upper
                )

    def _count(self, count: int, misses: int, place: NDArray[np.intp]) -> None:
        """Note how many copies a known basis or proof answered; where that is too rarely so, the cache goes off."""
        self.counts["hits"] += count - misses
        if place.min(initial=0) <= -2:
            self.counts["proofs"] += int(np.count_nonzero((place <= -2) & (place != CROSSED)))
        if not self.may_switch_off:
            return
        self._window[0] += count
        self._window[1] += count - misses
        if self._window[0] >= WINDOW:
            if self._warm and self._window[1] < LEAST_HIT_RATE * self._window[0]:
                self.uses_cache = False
                logger.info(
                    "Known bases answered %d of the last %d linear programs: solve all of them by %s.",
                    self._window[1],
                    self._window[0],
                    self.engine,
                )
            self._window, self._warm = [0, 0], True

    def _all_fluxes(
        self, inputs: FloatArray, place: NDArray[np.intp], direct: dict[int, FloatArray | None]
    ) -> FloatArray:
        fluxes = np.zeros((len(inputs), self.form.flux_of_columns.shape[0]))
        for number in set(place[place >= 0].tolist()):
            if number not in self._flux_matrices:
                self._flux_matrices[number] = flux_matrix(self.form, self.cache.bases[number])
            copies = place == number
            fluxes[copies] = inputs[copies] @ self._flux_matrices[number]
        for copy, columns in direct.items():
            if columns is not None:
                fluxes[copy] = self.form.flux_of_columns @ columns
        return fluxes
