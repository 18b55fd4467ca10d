"""What a microbe does where no flux fits its bounds: give less away, neglect its maintenance, stand still, or die."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..linear_program import LinearProgram

FloatArray = NDArray[np.float64]

OPTIMAL, CLIPPED, RELAXED, FROZEN, DECAYED = range(5)
STATUSES = ("optimal", "clip_action", "relax_maintenance", "freeze", "decay")
"""Names of the codes: how a step's fluxes were found."""


@dataclass
class Repair:
    """What applies to linear programs without a solution; arrays have a row for each.

    Attributes
    ----------
    death
        Rate of decline, 1/h; None where nothing dies.
    shortfall
        Share of the maintenance that is not met.
    """

    growth: FloatArray
    exchange: FloatArray
    status: NDArray[np.int64]
    shortfall: FloatArray
    death: FloatArray | None = None
    fluxes: FloatArray | None = None

    def take(self, rows: NDArray[np.int64], solution: Any, fits: NDArray[np.int64], status: int) -> None:
        """Take the solutions ``fits`` for some rows."""
        self.growth[rows], self.exchange[rows] = solution.growth[fits], solution.exchange[fits]
        self.status[rows] = status
        if self.fluxes is not None and solution.fluxes is not None:
            self.fluxes[rows] = solution.fluxes[fits]


class Repairs:
    """Repairs of one group's linear programs.

    Parameters
    ----------
    program
        The group's linear program.
    options
        ``infeasible``, ``death_rate`` and ``record_fluxes``.
    """

    def __init__(self, program: LinearProgram, options: Any) -> None:
        self.program, self.options = program, options
        self.file_lower = program.model.lower[list(program.varying)]

    def repair(
        self,
        lower: FloatArray,
        upper: FloatArray,
        floors: list[tuple[int, FloatArray]],
        proofs: NDArray[np.intp],
    ) -> Repair:
        """Apply the configured modes in order to rows ``lower`` (R, V) that have no solution.

        ``floors`` are the forced bounds (R,) by their place among the varying ones.
        """
        count, program = len(lower), self.program
        found = Repair(
            np.zeros(count), np.zeros((count, len(program.tracked))), np.full(count, FROZEN), np.zeros(count)
        )
        if self.options.record_fluxes:
            found.fluxes = np.zeros((count, len(program.model.reactions)))
        open_rows = np.arange(count)
        lower = lower.copy()
        for mode in self.options.infeasible:
            if not len(open_rows):
                break
            if mode in ("freeze", "decay"):
                found.status[open_rows] = FROZEN if mode == "freeze" else DECAYED
                if mode == "decay":
                    found.death = np.zeros(count) if found.death is None else found.death
                    found.death[open_rows] = self.options.death_rate
                open_rows = open_rows[:0]
            elif mode == "clip_action":
                open_rows = self._clip(lower, upper, floors, proofs, open_rows, found)
            else:
                open_rows = self._relax(lower, upper, open_rows, found)
        if self.options.death_rate and found.shortfall.any():
            found.death = np.zeros(count) if found.death is None else found.death
            found.death += self.options.death_rate * found.shortfall
        return found

    def _clip(
        self,
        lower: FloatArray,
        upper: FloatArray,
        floors: list[tuple[int, FloatArray]],
        proofs: NDArray[np.intp],
        rows: NDArray[np.int64],
        found: Repair,
    ) -> NDArray[np.int64]:
        """Lower all floors of a row by the largest possible factor; drop them in rows that this does not help."""
        if not floors:
            return rows
        wanted = lower[rows]
        forced = np.zeros(wanted.shape, dtype=bool)
        for place, floor in floors:
            forced[:, place] = floor[rows] > 0
        bare = np.where(forced, np.maximum(self.file_lower, 0.0), wanted)
        tops = np.repeat(upper[None], len(rows), axis=0)
        solution, _ = self.program.clip_actions(
            wanted, tops, forced, least=bare, proofs=proofs[rows], all_fluxes=self.options.record_fluxes
        )
        fits = np.flatnonzero(solution.feasible)
        found.take(rows[fits], solution, fits, CLIPPED)
        lower[rows] = bare
        return np.delete(rows, fits)

    def _relax(self, lower: FloatArray, upper: FloatArray, rows: NDArray[np.int64], found: Repair) -> NDArray[np.int64]:
        """Meet as much of the maintenance as the bounds allow, then grow."""
        if not self.program.maintenance:
            return rows
        tops = np.repeat(upper[None], len(rows), axis=0)
        solution, missed = self.program.relax_maintenance(lower[rows], tops, all_fluxes=self.options.record_fluxes)
        fits = np.flatnonzero(solution.feasible)
        found.take(rows[fits], solution, fits, RELAXED)
        found.shortfall[rows[fits]] = missed[fits]
        return np.delete(rows, fits)
