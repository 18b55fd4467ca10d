"""Agents that share a model: their bounds, and one call of the linear program for all of them in all copies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..flux_model import FluxModel
from ..kinetics import UptakeKinetics, as_slice
from ..linear_program import LinearProgram
from .case import Action, Agent, Case
from .repairs import OPTIMAL, Repairs

FloatArray = NDArray[np.float64]

SPAM_UPPER, SPAM_LARGEST_FLOOR = 100.0, 10.0
"""SPAM-DFBA 1.0.0: upper bound of every mapped exchange, and the most that an action forces, mmol/gDW/h."""


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How a step is taken; ``semantics="spam"`` is that of SPAM-DFBA 1.0.0 (Ghadermazi and Chan 2024).

    Attributes
    ----------
    semantics
        ``standard`` conserves matter: uptake is shared in proportion where a step would take more than there is.
        ``spam`` lets concentrations become negative and cuts them at the next step.
    infeasible
        What is tried, in this order, where no flux fits the bounds.
    death_rate
        1/h, times the share of maintenance that is not met.
    substeps
        Euler steps in one step, or ``auto``: as many as the fastest uptake needs, up to 64.
    """

    semantics: str = "standard"
    infeasible: tuple[str, ...] = ("clip_action", "relax_maintenance")
    death_rate: float = 0.0
    substeps: int | str = 1
    tie_break: str = "lexicographic"
    solver: str = "auto"
    max_bases: int | None = None
    cross_check: float = 1e-3
    report_ties: bool = False
    released: str | None = None
    record_fluxes: bool = False


@dataclass
class GroupFluxes:
    """What the members of a group do: arrays (m, K), exchange (m, K, E), fluxes (m, K, n_reactions).

    ``status`` is None where all are optimal, ``death`` (1/h) where none dies.
    """

    growth: FloatArray
    exchange: FloatArray
    basis: NDArray[np.int64]
    status: NDArray[np.int64] | None = None
    death: FloatArray | None = None
    tied: NDArray[np.bool_] | None = None
    fluxes: FloatArray | None = None


class ModelGroup:
    """Agents that share model and kinds of action: one linear program and one call for all of them.

    Attributes
    ----------
    members
        Positions of the agents, ``(m,)``.
    columns
        Columns of the state that the exchanges move, relative to the first species.
    varying
        Reactions whose bounds change: the mapped exchanges, then other reactions that actions set.
    """

    def __init__(self, case: Case, members: Sequence[int], options: StepOptions, places: Sequence[slice]) -> None:
        agents = [case.agents[member] for member in members]
        first, n_agents = agents[0], len(case.agents)
        self.first = first
        self.members = np.array(members)
        self.member_index = as_slice(self.members)
        self.species = list(first.laws)
        self.n_exchanges = len(self.species)
        columns = np.array([case.column(name) for name in self.species], dtype=np.int64)
        self.columns = as_slice(columns)
        self.kinetics = UptakeKinetics([list(agent.laws.values()) for agent in agents], columns, case.names)
        exchanges = [first.model.exchanges[name] for name in self.species]
        inner = [a.reaction for a in first.actions if a.reaction >= 0 and a.reaction not in exchanges]
        self.varying = [*exchanges, *dict.fromkeys(inner)]
        self.spam = options.semantics == "spam"
        self.model = first.model if self.spam else close_exchanges(first.model, exchanges, case.static)
        self.upper = self.model.upper[self.varying].copy()
        if self.spam:
            self.upper[: self.n_exchanges] = SPAM_UPPER
        self.inner_lower = self.model.lower[self.varying[self.n_exchanges :]]
        self.caps = self._caps(agents)
        self.actions = [
            (number, action, self.varying.index(action.reaction))
            for number, action in enumerate(first.actions)
            if action.kind != "feed_rate"
        ]
        self.places = [places[member] for member in members]
        n_actions = len(first.actions)
        starts = np.array([place.start for place in self.places])
        self.action_columns = [as_slice(starts + number) for number in range(n_actions)]
        exchanged = [action.reaction for _, action, place in self.actions if place < self.n_exchanges]
        self.program = LinearProgram(
            self.model,
            varying=self.varying,
            tracked=exchanges,
            actions=list(dict.fromkeys(exchanged)),
            named=[first.model.exchanges[name] for name in named_species(case, members)],
            tie_break=options.tie_break,
            solver=options.solver,
            max_bases=options.max_bases,
            cross_check=options.cross_check,
            report_ties=options.report_ties,
        )
        self.all_fluxes = options.record_fluxes
        self.repairs = Repairs(self.program, options)
        self.n_agents = n_agents
        self._uppers: dict[int, FloatArray] = {}

    def _caps(self, agents: Sequence[Agent]) -> FloatArray | None:
        """Return the most that the file lets every agent take up, where an agent asks to respect that."""
        if not any(agent.respect_lower for agent in agents):
            return None
        file = -np.minimum(self.first.model.lower[self.varying[: self.n_exchanges]], 0)
        return np.array([[file if agent.respect_lower else np.full_like(file, np.inf)] for agent in agents])

    def upper_rows(self, rows: int) -> FloatArray:
        """Return the upper bounds of so many linear programs."""
        if rows not in self._uppers:
            if len(self._uppers) > 8:
                self._uppers.clear()
            self._uppers[rows] = np.repeat(self.upper[None], rows, axis=0)
        return self._uppers[rows]

    def limits(self, state: FloatArray) -> FloatArray:
        """Return the uptake limits (m or 1, K, E), mmol/gDW/h."""
        limits = self.kinetics.limits(state)
        return limits if self.caps is None else np.minimum(limits, self.caps)

    def bounds(
        self, limits: FloatArray, actions: FloatArray, held: NDArray[Any] | None
    ) -> tuple[FloatArray, list[tuple[int, FloatArray]]]:
        """Return lower bounds (m, K, V) with the actions applied, and the forced floors (m, K) by place.

        ``held`` (K, n_agents, n_inner) keeps the last forced bounds of reactions that no uptake limit resets; it is
        changed in place.
        """
        copies, count = len(actions), len(self.members)
        lower = np.empty((count, copies, len(self.varying)))
        np.negative(limits, out=lower[:, :, : self.n_exchanges])
        if len(self.inner_lower):
            lower[:, :, self.n_exchanges :] = self.inner_lower
            if held is not None:
                lower[:, :, self.n_exchanges :] = held[:, self.member_index, : len(self.inner_lower)].swapaxes(0, 1)
        floors = []
        for number, action, place in self.actions:
            wanted = actions[:, self.action_columns[number]].T
            bound = lower[:, :, place]
            floor = self._act(action, wanted, bound)
            if floor is not None:
                floors.append((place, floor))
            if held is not None and place >= self.n_exchanges:
                held[:, self.member_index, place - self.n_exchanges] = bound.T
        return lower, floors

    def solve(
        self, limits: FloatArray, actions: FloatArray, basis: NDArray[np.int64], held: NDArray[Any] | None
    ) -> "GroupFluxes":
        """Return what the members do within their uptake limits, repaired where nothing fits.

        ``basis`` (K, n_agents) are the last bases; ``held`` as in `bounds`.
        """
        lower, floors = self.bounds(limits, actions, held)
        count, copies, width = lower.shape
        flat = lower.reshape(count * copies, width)
        last = basis[:, self.member_index].T.reshape(-1)
        found = self.program.solve(flat, self.upper_rows(len(flat)), last=last, all_fluxes=self.all_fluxes)
        fluxes = GroupFluxes(
            growth=found.growth.reshape(count, copies),
            exchange=found.exchange.reshape(count, copies, self.n_exchanges),
            basis=found.basis.reshape(count, copies),
            tied=None if found.tied is None else found.tied.reshape(count, copies),
            fluxes=None if found.fluxes is None else found.fluxes.reshape(count, copies, -1),
        )
        if not found.feasible.all():
            self._repair(flat, floors, np.flatnonzero(~found.feasible), fluxes)
        return fluxes

    def _repair(
        self, lower: FloatArray, floors: list[tuple[int, FloatArray]], wrong: NDArray[np.int64], fluxes: "GroupFluxes"
    ) -> None:
        """Put into ``fluxes`` what applies to the programs ``wrong`` without a solution."""
        shape = fluxes.growth.shape
        forced = [(place, floor.reshape(-1)[wrong]) for place, floor in floors]
        repair = self.repairs.repair(lower[wrong], self.upper, forced, fluxes.basis.reshape(-1)[wrong])
        place = np.unravel_index(wrong, shape)
        fluxes.growth, fluxes.exchange = fluxes.growth.copy(), fluxes.exchange.copy()
        fluxes.growth[place], fluxes.exchange[place] = repair.growth, repair.exchange
        fluxes.status = np.full(shape, OPTIMAL)
        fluxes.status[place] = repair.status
        if repair.death is not None:
            fluxes.death = np.zeros(shape)
            fluxes.death[place] = repair.death
        if fluxes.fluxes is not None and repair.fluxes is not None:
            fluxes.fluxes = fluxes.fluxes.copy()
            fluxes.fluxes[place] = repair.fluxes

    def _act(self, action: Action, wanted: FloatArray, bound: FloatArray) -> FloatArray | None:
        """Set one bound (m, K) in place; return what it forces, where it can. NaN leaves the bound as it is."""
        if action.kind == "uptake_limit":
            bound *= np.where(wanted >= 0, np.minimum(wanted, 1.0), np.where(wanted < 0, 0.0, 1.0))
            return None
        floor = np.minimum(wanted, SPAM_LARGEST_FLOOR) if self.spam else wanted
        if action.kind == "secretion_floor" or (action.species is None and not self.spam):
            np.copyto(bound, np.maximum(floor, bound), where=wanted > 0)
        else:
            np.copyto(bound, np.where(wanted >= 0, floor, np.fmax(wanted, bound)))
        return floor


def named_species(case: Case, members: Sequence[int]) -> list[str]:
    """Return the species that a group's agents observe, or that any agent acts on, in the order of the state."""
    observed = {name for member in members for name in case.agents[member].observables}
    acted = {action.species for agent in case.agents for action in agent.actions}
    return [name for name in case.agents[members[0]].laws if name in observed | acted]


def close_exchanges(model: FluxModel, mapped: Sequence[int], static: dict[str, float]) -> FluxModel:
    """Return the model with all exchanges shut to uptake, but for those in excess; the mapped ones change later."""
    lower = model.lower.copy()
    for species, reaction in model.exchanges.items():
        lower[reaction] = 0.0 if reaction in mapped else -static.get(species, 0.0)
    return replace(model, lower=np.minimum(lower, model.upper))
