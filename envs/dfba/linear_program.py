"""Flux-balance linear programs for many copies at once: growth, exchange fluxes and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from .flux_model import FluxModel
from .solvers.basis import PROOF
from .solvers.basis_cache import UNKNOWN
from .solvers.form_solver import Answers, FormSolver, LinearProgramError
from .solvers.standard_form import FloatArray, build_form
from .solvers.tie_break import TIE_BREAKS

SOLVERS = ("auto", "cache", "highs", "glpk")
UNBOUNDED = 1e30
"""Stands for an infinite bound, which would make 0 times it not a number; solvers take 1e20 for infinite."""
TIED = 1e-7
MOST_PROOFS = 50
SMALLER, FASTER = 1e-9, 8.0
"""Share by which a factor falls where rounding hides the proof that it is too large, and how that share grows."""
NEGLIGIBLE = 1e-12


@dataclass(slots=True, eq=False)
class Solution:
    """What the linear programs of K copies say.

    Parameters
    ----------
    growth
        1/h, ``(K,)``; NaN where infeasible.
    feasible
        ``(K,)``.
    exchange
        Fluxes of the tracked exchanges, positive for secretion, mmol/gDW/h, ``(K, n_tracked)``; 0 where infeasible.
    basis
        Where the answers were found, to be given as ``last`` in the next call, ``(K,)``; -1: nowhere.
    fluxes
        Of all reactions, ``(K, n_reactions)``, 0 where infeasible; None unless asked for.
    tied
        Whether optimal growth leaves some tracked flux open, ``(K,)``; None unless asked for.
    """

    growth: FloatArray
    feasible: NDArray[np.bool_]
    exchange: FloatArray
    basis: NDArray[np.intp]
    fluxes: FloatArray | None = None
    tied: NDArray[np.bool_] | None = None


class LinearProgram:
    """Growth of one model under bounds that change from copy to copy and from call to call.

    Results depend neither on the other copies nor on earlier calls. It can be pickled; solvers are built anew.

    Parameters
    ----------
    model
        Its bounds hold for all reactions that do not vary.
    varying
        Positions of the reactions whose bounds every call gives, in that order.
    tracked
        Positions of the exchanges whose fluxes are wanted, in the order of the species.
    actions
        Positions of the reactions that actions move, in the order of the configuration.
    named
        Exchanges that keep levels of their own where more than 40 are tracked: observed and shared species.
    tie_break
        Which optimum: ``lexicographic``, ``parsimonious`` or ``vertex`` (see :mod:`.solvers.tie_break`).
    solver
        ``cache`` (known bases first, see :mod:`.solvers.basis_cache`; what they do not answer goes to GLPK), ``glpk``,
        ``highs``, or ``auto``: cache, which switches itself off where it answers less than 80 % of 1000 programs, but
        glpk for models of more than 200 metabolites with more than 40 varying reactions.
    max_bases
        Bases that the cache keeps; None: 4096, or 256 for models of more than 200 metabolites.
    cross_check
        Share of the cache's answers that HiGHS solves again from scratch.
    report_ties
        Whether solutions say which copies are tied; costs two more programs per copy.
    """

    def __init__(
        self,
        model: FluxModel,
        *,
        varying: Sequence[int],
        tracked: Sequence[int],
        actions: Sequence[int] = (),
        named: Sequence[int] = (),
        tie_break: str = "lexicographic",
        solver: str = "auto",
        max_bases: int | None = None,
        cross_check: float = 1e-3,
        report_ties: bool = False,
    ) -> None:
        for key, value, choices in (("tie_break", tie_break, TIE_BREAKS), ("solver", solver, SOLVERS)):
            if value not in choices:
                raise UserError(f"{key}={value}: choose one of {', '.join(choices)}.")
        self.model = model
        self.varying, self.tracked = tuple(varying), tuple(tracked)
        self.actions, self.named = tuple(actions), tuple(named)
        self.tie_break, self.report_ties = tie_break, report_ties
        self._options: dict[str, Any] = {"solver": solver, "max_bases": max_bases, "cross_check": cross_check}
        self.maintenance = tuple(
            reaction
            for reaction in range(len(model.reactions))
            if model.lower[reaction] > 0.0 and reaction not in self.varying
        )
        self._main = self._solver()
        self._relaxed: FormSolver | None = None
        self._probes = [self._solver(probe=sign) for sign in (1.0, -1.0)] if report_ties else []

    def _solver(self, **form: Any) -> FormSolver:
        built = build_form(
            self.model,
            varying=self.varying,
            tracked=self.tracked,
            actions=self.actions,
            named=self.named,
            tie_break=self.tie_break,
            **form,
        )
        return FormSolver(built, **self._options)

    @property
    def statistics(self) -> dict[str, float]:
        """Of all calls: programs solved, hits of known bases and proofs, misses, hit rate, bases and proofs kept."""
        counts = self._main.counts
        asked = counts["hits"] + counts["misses"]
        return {
            **counts,
            "hit_rate": counts["hits"] / asked if asked else 0.0,
            "bases": len(self._main.cache.bases),
            "rays": len(self._main.cache.rays),
        }

    def solve(
        self, lower: FloatArray, upper: FloatArray, *, last: NDArray[np.intp] | None = None, all_fluxes: bool = False
    ) -> Solution:
        """Return the optima within bounds ``(K, n_varying)``; a copy with a lower bound above its upper is infeasible.

        ``last`` is ``basis`` of the copies' last solution, which saves a search and changes no result.
        """
        lower, upper = self._checked(lower, upper)
        solution = self._solution(self._main.solve(lower, upper, last=last, all_fluxes=all_fluxes))
        if self.report_ties:
            solution.tied = self._tied(lower, upper)
        return solution

    def relax_maintenance(
        self, lower: FloatArray, upper: FloatArray, *, all_fluxes: bool = False
    ) -> tuple[Solution, FloatArray]:
        """Return the optima where the model's own positive lower bounds, such as maintenance, may be missed.

        First the sum of what is missed is minimised, then growth maximised, then ties settled as in `solve`. The second
        array is the share of the demanded sum that is missed, in [0, 1], ``(K,)``; NaN where still infeasible.
        """
        lower, upper = self._checked(lower, upper)
        if self._relaxed is None:
            self._relaxed = self._solver(relaxed=self.maintenance)
        answers = self._relaxed.solve(lower, upper, all_fluxes=all_fluxes)
        demanded = self.model.lower[list(self.maintenance)]
        met = answers.outputs[:, 1 + len(self.tracked) :]
        missed = np.maximum(demanded - met, 0.0).sum(axis=1) / (demanded.sum() or 1.0)
        return self._solution(answers), np.where(answers.feasible, missed, np.nan)

    def action_factor(self, lower: FloatArray, upper: FloatArray, forced: NDArray[np.bool_]) -> FloatArray:
        """Return the largest common factor of forced secretions that is feasible, ``(K,)``; see `clip_actions`."""
        return self.clip_actions(lower, upper, forced)[1]

    def clip_actions(
        self,
        lower: FloatArray,
        upper: FloatArray,
        forced: NDArray[np.bool_],
        *,
        least: FloatArray | None = None,
        proofs: NDArray[np.intp] | None = None,
        all_fluxes: bool = False,
    ) -> tuple[Solution, FloatArray]:
        """Return the optima with forced secretions lowered as little as it takes, and their common factors ``(K,)``.

        The factor is ``max theta`` in [0, 1] with ``v_r >= max(theta l_r, least_r)`` for every positive lower bound
        that ``forced`` ``(K, n_varying)`` marks; ``least``, of the same shape, is 0 unless given. It is NaN where the
        program is infeasible without them too. ``proofs`` is ``basis`` of a solution that found every copy infeasible.

        A proof of infeasibility is concave and, in pieces, linear in theta; the next, smaller candidate is where the
        first tangent of a known proof vanishes, and the first feasible one is the largest.
        """
        lower, upper = self._checked(lower, upper)
        forced = forced & (lower > 0.0)
        least = np.where(forced, 0.0 if least is None else least, lower)
        room = np.divide(upper, lower, out=np.ones_like(lower), where=forced & (lower > upper))
        factor: FloatArray = np.clip(room.min(axis=1, initial=1.0), 0.0, 1.0)
        count = len(lower)
        pending = np.arange(count)
        found = Answers(
            np.full(count, UNKNOWN, dtype=np.intp),
            np.zeros(count, dtype=bool),
            np.zeros((count, self._main.form.reported_of_columns.shape[0])),
            np.zeros((count, len(self.model.reactions))) if all_fluxes else None,
        )
        places = proofs
        for number in range(MOST_PROOFS):
            if places is None:
                scaled = np.where(
                    forced[pending],
                    scaled_bounds(factor[pending], lower[pending], least[pending], upper[pending]),
                    lower[pending],
                )
                answers = self._main.solve(scaled, upper[pending], all_fluxes=all_fluxes)
                found.put(pending, answers)
                places = answers.place[~answers.feasible]
                pending = pending[~answers.feasible]
            if len(pending):
                factor[pending] = self._next_factors(
                    lower[pending], upper[pending], forced[pending], least[pending], factor[pending], places, number
                )
                pending = pending[~np.isnan(factor[pending])]
            if not len(pending):
                return self._solution(found), factor
            places = None
        raise LinearProgramError("No common factor of forced secretions was found", lower[pending], upper[pending])

    def _next_factors(
        self,
        lower: FloatArray,
        upper: FloatArray,
        forced: NDArray[np.bool_],
        least: FloatArray,
        factor: FloatArray,
        places: NDArray[np.intp],
        number: int,
    ) -> FloatArray:
        """Return where proofs that ``factor`` (R,) is too large end, NaN where one holds at 0 too.

        ``number`` counts the calls; the more, the further a factor falls that no proof lowers.
        """
        moving = forced & (factor[:, None] * lower > least)
        begin, end = np.where(moving, 0.0, least), np.where(moving, lower, least)
        form, rays = self._main.form, self._main.cache.ray_rows
        without, whole = (form.bound_inputs(bounds, upper) for bounds in (begin, end))
        crossed = np.any(~forced & (lower > upper), axis=1) | np.any(forced & (least > upper), axis=1)
        following = zeros_of_proofs(without @ rays, whole @ rays, factor)
        for copy in np.flatnonzero((places > -2) & ~crossed).tolist():
            tried = scaled_bounds(factor[copy : copy + 1], lower[[copy]], least[[copy]], upper[[copy]])[0]
            ray = self._main.prove(np.where(forced[copy], tried, lower[copy]), upper[copy])
            if ray is not None:
                row = ray.row[:, None]
                following[copy] = zeros_of_proofs(without[[copy]] @ row, whole[[copy]] @ row, factor[[copy]])[0]
        fallen = factor * max(1.0 - SMALLER * FASTER**number, 0.0)
        following = np.where(following < factor, following, fallen)
        return np.where(crossed | (factor == 0.0), np.nan, following)

    def blocking_bounds(self, lower: FloatArray, upper: FloatArray) -> list[tuple[str, float]]:
        """Return the reactions whose bounds ``(n_varying,)`` together leave nothing feasible, and those bounds.

        They are the forced fluxes in a proof of infeasibility, the most demanding first; empty where there is none.
        """
        ray = self._main.prove(np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64))
        if ray is None:
            return []
        form = self._main.form
        low, high = form.column_bounds(form.bound_inputs(lower[None], upper[None])[0])
        bound = np.where(ray.directions > 0.0, high, low)
        share = ray.directions * bound
        reactions = form.flux_of_columns.tocoo()
        of_column = dict(
            zip(reactions.col.tolist(), zip(reactions.row.tolist(), reactions.data.tolist(), strict=True), strict=True)
        )
        blocking = [int(column) for column in np.argsort(share) if share[column] < -NEGLIGIBLE]
        return [(self.model.reactions[of_column[j][0]], of_column[j][1] * float(bound[j])) for j in blocking]

    def _tied(self, lower: FloatArray, upper: FloatArray) -> NDArray[np.bool_]:
        """Whether the first and the last optimum in the order of the tracked fluxes differ: then some flux is open."""
        first, last = (probe.solve(lower, upper) for probe in self._probes)
        difference = np.abs(first.outputs - last.outputs)
        return np.asarray(first.feasible & np.any(difference > TIED, axis=1))

    def _solution(self, answers: Answers) -> Solution:
        outputs = answers.outputs
        growth = outputs[:, 0] if answers.feasible.all() else np.where(answers.feasible, outputs[:, 0], np.nan)
        exchange = outputs[:, 1 : 1 + len(self.tracked)]
        return Solution(growth, answers.feasible, exchange, answers.place, answers.fluxes)

    def _checked(self, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
        lower, upper = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
        expected = (len(lower), len(self.varying))
        if lower.shape != expected or upper.shape != expected:
            raise ValueError(f"bounds of shape {lower.shape} and {upper.shape} for {len(self.varying)} reactions")
        return np.maximum(lower, -UNBOUNDED), np.minimum(upper, UNBOUNDED)


def scaled_bounds(factor: FloatArray, lower: FloatArray, least: FloatArray, upper: FloatArray) -> FloatArray:
    """Return ``factor`` (R,) times lower bounds (R, V), at most ``upper`` but at least ``least``."""
    return np.maximum(np.minimum(factor[:, None] * lower, upper), least)


def zeros_of_proofs(without: FloatArray, whole: FloatArray, factor: FloatArray) -> FloatArray:
    """Return the least of ``factor`` (R,) and where proofs, lines from ``without`` to ``whole`` (R, P), become 0."""
    start = np.maximum(without, 0.0)
    zeros = np.divide(start, start - whole, out=np.ones_like(whole), where=whole < -PROOF)
    least: FloatArray = np.minimum(zeros.min(axis=1, initial=1.0), factor)
    return least
