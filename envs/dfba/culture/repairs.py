"""What a microbe does where no flux fits its bounds: give less away, neglect its maintenance, stand still, or die."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, hstack, vstack

from ..flux_model import FluxModel
from ..linear_program import LinearProgram

FloatArray = NDArray[np.float64]

OPTIMAL, CLIPPED, RELAXED, FROZEN, DECAYED = range(5)
STATUSES = ("optimal", "clip_action", "relax_maintenance", "freeze", "decay")
"""Names of the codes: how a step's fluxes were found."""
UNBOUNDED = 1e5
"""mmol/gDW/h: more than any flux."""
MOST_SECANTS = 50
SLACK = 1e-9
"""Floors are lowered by this share where rounding leaves no flux at their largest possible size."""


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
            self.fluxes[rows] = solution.fluxes[fits, : self.fluxes.shape[1]]


class Repairs:
    """Repairs of one group's linear programs; what they need is built at first use.

    Parameters
    ----------
    model, varying, tracked, program
        As the group's linear program has them.
    options
        ``infeasible``, ``death_rate`` and the settings of linear programs.
    """

    def __init__(
        self, model: FluxModel, varying: Sequence[int], tracked: Sequence[int], program: LinearProgram, options: Any
    ) -> None:
        self.model, self.varying, self.tracked, self.program = model, list(varying), list(tracked), program
        self.options = options
        self.maintained = maintained_reactions(model, self.varying)
        self._largest: dict[int, LinearProgram] = {}
        self._relaxed: tuple[LinearProgram, LinearProgram] | None = None
        self._elastic: dict[tuple[int, ...], LinearProgram] = {}

    def repair(self, lower: FloatArray, upper: FloatArray, floors: list[tuple[int, FloatArray]]) -> Repair:
        """Apply the configured modes in order to rows ``lower`` (R, V) that have no solution.

        ``floors`` are the forced bounds (R,) by their place among the varying ones.
        """
        count = len(lower)
        found = Repair(np.zeros(count), np.zeros((count, len(self.tracked))), np.full(count, FROZEN), np.zeros(count))
        if self.options.record_fluxes:
            found.fluxes = np.zeros((count, len(self.model.reactions)))
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
                open_rows = self._clip(lower, upper, floors, open_rows, found)
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
        rows: NDArray[np.int64],
        found: Repair,
    ) -> NDArray[np.int64]:
        """Lower all floors of a row by the largest possible factor; drop them in rows that this does not help."""
        wanted = {place: np.maximum(np.nan_to_num(floor[rows]), 0.0) for place, floor in floors}
        if not wanted:
            return rows
        forced = np.array(list(wanted.values()))
        places = list(wanted)
        bare = lower[rows]
        for place, floor in wanted.items():
            bare[:, place] = np.where(floor > 0, np.maximum(self.model.lower[self.varying[place]], 0.0), bare[:, place])
        theta = np.full(len(rows), np.nan)
        several = (forced > 0).sum(axis=0)
        for number, place in enumerate(places):
            single = np.flatnonzero((several == 1) & (forced[number] > 0))
            if len(single):
                largest = self._largest_program(place).solve(bare[single], self._rows(upper, len(single)))
                theta[single] = np.where(largest.feasible, largest.growth / forced[number, single], np.nan)
        together = np.flatnonzero(several > 1)
        if len(together):
            theta[together] = self._common_factors(bare[together], upper, places, forced[:, together])
        theta = np.clip(theta, 0.0, 1.0)
        lower[rows] = bare
        left = np.ones(len(rows), dtype=bool)
        for slack in (0.0, SLACK, 1e-6):
            tried = np.flatnonzero(left & np.isfinite(theta))
            if not len(tried):
                break
            bounds = bare[tried]
            for number, place in enumerate(places):
                floor = theta[tried] * forced[number, tried] * (1 - slack)
                bounds[:, place] = np.where(
                    forced[number, tried] > 0, np.maximum(floor, bounds[:, place]), bounds[:, place]
                )
            solution = self.program.solve(bounds, self._rows(upper, len(tried)), all_fluxes=self.options.record_fluxes)
            fits = np.flatnonzero(solution.feasible)
            done = rows[tried[fits]]
            found.take(done, solution, fits, CLIPPED)
            left[tried[fits]] = False
        return rows[left]

    def _relax(self, lower: FloatArray, upper: FloatArray, rows: NDArray[np.int64], found: Repair) -> NDArray[np.int64]:
        """Meet as much of the maintenance as the bounds allow, then grow."""
        if not self.maintained:
            return rows
        least, best = self._relaxed_programs()
        total = float(self.model.lower[self.maintained].sum())
        missing_lower = np.full((len(rows), 1), -total)
        bounds = np.hstack([lower[rows], missing_lower])
        tops = np.hstack([self._rows(upper, len(rows)), np.zeros((len(rows), 1))])
        first = least.solve(bounds, tops)
        met = np.flatnonzero(first.feasible)
        if not len(met):
            return rows
        bounds[:, -1] = np.where(first.feasible, first.growth, -total)
        left = np.ones(len(rows), dtype=bool)
        for slack in (0.0, SLACK):
            tried = met[left[met]]
            if not len(tried):
                break
            eased = bounds[tried]
            eased[:, -1] -= slack * total
            solution = best.solve(eased, tops[tried], all_fluxes=self.options.record_fluxes)
            fits = np.flatnonzero(solution.feasible)
            done = rows[tried[fits]]
            found.take(done, solution, fits, RELAXED)
            found.shortfall[done] = np.clip(-bounds[tried[fits], -1] / total, 0.0, 1.0)
            left[tried[fits]] = False
        return rows[left]

    def _rows(self, upper: FloatArray, count: int) -> FloatArray:
        return np.repeat(upper[None], count, axis=0)

    def _program(self, model: FluxModel, varying: list[int], tracked: list[int], tie_break: str) -> LinearProgram:
        options = self.options
        return LinearProgram(
            model,
            varying=varying,
            tracked=tracked,
            actions=[] if not tracked else list(self.program.actions),
            tie_break=tie_break,
            solver=options.solver,
            max_bases=options.max_bases,
            cross_check=options.cross_check,
        )

    def _largest_program(self, place: int) -> LinearProgram:
        """Return the program of the largest flux through one varying reaction."""
        if place not in self._largest:
            model = replace(self.model, objective=self.varying[place])
            self._largest[place] = self._program(model, self.varying, [], "vertex")
        return self._largest[place]

    def _relaxed_programs(self) -> tuple[LinearProgram, LinearProgram]:
        """Return the programs of the least shortfall, and of growth at a given one."""
        if self._relaxed is None:
            model = relaxed_model(self.model, self.maintained)
            missing = len(model.reactions) - 1
            varying = [*self.varying, missing]
            least = self._program(replace(model, objective=missing), varying, [], "vertex")
            self._relaxed = least, self._program(model, varying, self.tracked, self.options.tie_break)
        return self._relaxed

    def _common_factors(self, bare: FloatArray, upper: FloatArray, places: list[int], forced: FloatArray) -> FloatArray:
        """Return the largest theta with ``v_r >= theta forced_r`` for all reactions at once, (R,); NaN: not even 0.

        The least sum of what the floors lack is a convex, piecewise linear function of theta that is 0 up to the wanted
        one. A secant through two points above it never falls below it, and meets it exactly once both lie on the
        last piece.
        """
        rows, limit = len(bare), np.maximum(forced.T, 0.0)
        program = self._elastic_program(places)
        tops = np.hstack([self._rows(upper, rows), np.full((rows, len(places)), UNBOUNDED)])

        def lacking(theta: FloatArray) -> FloatArray:
            floors = np.where(limit > 0, theta[:, None] * limit, -UNBOUNDED)
            found = program.solve(np.hstack([bare, floors]), tops)
            return np.where(found.feasible, -found.growth, np.nan)

        above, theta = np.full(rows, 2.0), np.ones(rows)
        lack_above, lack = lacking(above), lacking(theta)
        enough = 1e-11 * limit.sum(axis=1)
        for _ in range(MOST_SECANTS):
            moving = lack > enough
            if not moving.any():
                break
            slope = (lack_above - lack) / np.where(above > theta, above - theta, 1.0)
            closer = np.where(moving & (slope > 0), theta - lack / np.where(slope > 0, slope, 1.0), theta)
            above, lack_above = np.where(moving, theta, above), np.where(moving, lack, lack_above)
            theta = np.maximum(closer, 0.0)
            lack = lacking(theta)
        return np.where(np.isfinite(lack), theta, np.nan)

    def _elastic_program(self, places: list[int]) -> LinearProgram:
        """Return the program of the least sum of what some floors lack; the floors vary after all else."""
        key = tuple(places)
        if key not in self._elastic:
            reactions = [self.varying[place] for place in places]
            model = elastic_model(self.model, reactions, np.zeros(len(places)))
            supplies = len(self.model.reactions) + len(places) + np.arange(len(places))
            model = replace(model, objective=len(model.reactions) - 1)
            self._elastic[key] = self._program(model, [*self.varying, *map(int, supplies)], [], "vertex")
        return self._elastic[key]


def maintained_reactions(model: FluxModel, varying: Sequence[int]) -> list[int]:
    """Return the reactions that the model itself forces to run, such as ATP maintenance."""
    return [int(place) for place in np.flatnonzero(model.lower > 0) if place not in varying]


def relaxed_model(model: FluxModel, maintained: Sequence[int]) -> FluxModel:
    """Return a model that may fall short of its maintenance; see `elastic_model`."""
    demand = model.lower[list(maintained)]
    lower = model.lower.copy()
    lower[list(maintained)] = 0.0
    return elastic_model(replace(model, lower=lower), maintained, demand)


def elastic_model(model: FluxModel, reactions: Sequence[int], demand: FloatArray) -> FluxModel:
    """Return a model with demands on some reactions that may be missed.

    For each of them, r, there are two more reactions: ``v_r + s_r - w_r = 0`` with ``s_r >= 0``, what is lacking, and
    ``w_r`` at least the demand. A last reaction t has ``sum s_r + t = 0``: it is minus the shortfall, mmol/gDW/h.
    """
    count, rows = len(model.reactions), len(reactions)
    links = np.zeros((rows + 1, count + 2 * rows + 1))
    for number, reaction in enumerate(reactions):
        links[number, reaction] = links[number, count + number] = 1.0
        links[number, count + rows + number] = -1.0
        links[rows, count + number] = 1.0
    links[rows, -1] = 1.0
    above = hstack([model.stoichiometry, csc_array((len(model.metabolites), 2 * rows + 1))])
    names = [model.reactions[reaction] for reaction in reactions]
    free = np.full(rows, UNBOUNDED)
    return replace(
        model,
        metabolites=(*model.metabolites, *(f"demand of {name}" for name in names), "shortfall"),
        reactions=(
            *model.reactions,
            *(f"shortfall of {name}" for name in names),
            *(f"supply of {name}" for name in names),
            "minus shortfall",
        ),
        stoichiometry=csc_array(vstack([above, csc_array(links)])),
        lower=np.concatenate([model.lower, np.zeros(rows), demand, [-UNBOUNDED]]),
        upper=np.concatenate([model.upper, free, free, [0.0]]),
    )
