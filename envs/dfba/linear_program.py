"""Flux-balance linear programs for many copies at once: growth, exchange fluxes and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from .form_solver import FormSolver
from .model import FluxModel
from .standard_form import FloatArray, build_form
from .tie_break import TIE_BREAKS

SOLVERS = ("auto", "cache", "highs", "glpk")


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
        Which optimum: ``lexicographic``, ``parsimonious`` or ``vertex`` (see :mod:`.tie_break`).
    solver
        ``cache`` (known bases first, see :mod:`.basis_cache`), ``glpk``, ``highs``, or ``auto``: cache for models of
        up to 200 metabolites, else highs.
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
        self._main = self._solver()

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

    def solve(
        self, lower: FloatArray, upper: FloatArray, *, last: NDArray[np.intp] | None = None, all_fluxes: bool = False
    ) -> Solution:
        """Return the optima within bounds ``(K, n_varying)``; a copy with a lower bound above its upper is infeasible.

        ``last`` is ``basis`` of the copies' last solution, which saves a search and changes no result.
        """
        lower, upper = self._checked(lower, upper)
        return self._main.solve(lower, upper, last=last, all_fluxes=all_fluxes)

    def _checked(self, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
        lower, upper = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
        expected = (len(lower), len(self.varying))
        if lower.shape != expected or upper.shape != expected:
            raise ValueError(f"bounds of shape {lower.shape} and {upper.shape} for {len(self.varying)} reactions")
        return lower, upper
